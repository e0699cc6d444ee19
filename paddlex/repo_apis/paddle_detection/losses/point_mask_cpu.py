"""The mask losses of `point_mask` for the CPU, where they dominate a training step.

One pair is done at a time for all layers, so that its points stay in the processor's cache; sampling and
its gradient are one sparse product each, and the losses' derivatives are written down rather than recorded.
"""

import math
from threading import Lock

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor
from paddle.autograd import PyLayer, PyLayerContext
from paddle.utils.dlpack import from_dlpack

from paddlex.nn.host_threads import share_among_threads
from paddlex.nn.point_sampling import BinaryMaskSampler, bilinear_matrix
from paddlex.nn.softplus import softplus_sums

__all__ = ["nearest_points", "point_mask_losses_cpu"]

Array = NDArray[np.float32]

_SAMPLE_STRIDE = 32


def point_mask_losses_cpu(
    pair_logits: Tensor,
    masks: Tensor,
    *,
    indices: Tensor,
    candidates: Tensor,
    random_points: Tensor,
    num_uncertain: int,
    weights: tuple[float, float],
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute what `point_mask.point_mask_losses` does; the arguments are the same."""
    sampler = BinaryMaskSampler(masks.numpy())
    points = (candidates, random_points)
    return _PointMaskLosses.apply(pair_logits, sampler, indices.numpy(), points, num_uncertain, weights)


class _PointMaskLosses(PyLayer):
    """Losses and, in the same pass, the gradient of their weighted sum with respect to the maps."""

    @staticmethod
    def forward(
        ctx: PyLayerContext,
        pair_logits: Tensor,
        sampler: BinaryMaskSampler,
        indices: NDArray[np.int64],
        points: tuple[Tensor, Tensor],
        num_uncertain: int,
        weights: tuple[float, float],
    ) -> tuple[Tensor, Tensor, Tensor]:
        # DLPack shares the memory; `numpy()` and `to_tensor` would copy over 100 MB per step.
        maps, candidates, random_points = map(np.from_dlpack, (pair_logits.detach(), *points))
        counts = (candidates.shape[1], num_uncertain, random_points.shape[1])
        losses = np.empty((2, *indices.shape), np.float32)
        gradients = np.empty(maps.shape, np.float32)
        lock = Lock()

        def score(pairs: range) -> None:
            scorer = _PairScorer(sampler, maps.shape[1:], counts=counts, weights=weights, lock=lock)
            for pair in pairs:
                pair_points = np.concatenate([candidates[pair], random_points[pair]])
                losses[:, pair], gradients[pair] = scorer.score(maps[pair], indices[pair], pair_points)

        share_among_threads(score, len(maps))
        ctx.save_for_backward(from_dlpack(gradients))
        bce, dice = map(paddle.to_tensor, losses)
        ctx.mark_non_differentiable(bce, dice)
        return paddle.to_tensor(np.tensordot(np.array(weights, np.float32), losses, 1)), bce, dice

    @staticmethod
    def backward(ctx: PyLayerContext, total_gradient: Tensor, *_: Tensor) -> Tensor:
        (saved,) = ctx.saved_tensor()
        gradients, factors = np.from_dlpack(saved), total_gradient.numpy()[..., None, None]
        scaled = np.empty_like(gradients)

        def scale(pairs: range) -> None:
            for pair in pairs:  # one pair's maps fit the cache
                np.multiply(gradients[pair], factors[pair], out=scaled[pair])

        share_among_threads(scale, len(scaled))
        return from_dlpack(scaled)


class _PairScorer:
    """Scores one pair after another, each in all layers, in the same memory.

    Args:
        sampler: the target masks.
        shape: (L, h, w) of a pair's maps.
        counts: numbers of candidates, of those among them that count, and of random points.
        weights: factors of cross-entropy and dice in the sum that the gradient belongs to.
        lock: held by the one thread that works on short arrays. Sparse products leave the interpreter to
            other threads; on short arrays two threads would only pass it to and fro.
    """

    def __init__(
        self,
        sampler: BinaryMaskSampler,
        shape: tuple[int, int, int],
        *,
        counts: tuple[int, int, int],
        weights: tuple[float, float],
        lock: Lock,
    ) -> None:
        self._sampler = sampler
        self._weights = weights
        self._lock = lock
        num_layers, height, width = shape
        self._num_candidates, self._num_uncertain, num_random = counts
        num_points = self._num_candidates + num_random
        self._random = np.arange(self._num_candidates, num_points)
        # Sparse products are fastest on rows of whole vector registers.
        padded_layers = math.ceil(num_layers / 4) * 4
        # Fresh memory for each pair would cost more, in page faults, than the arithmetic.
        self._map = np.zeros((height + 2, width + 2, padded_layers), np.float32)
        self._logits = np.empty((num_layers, num_points), np.float32)
        self._distances = np.empty((num_layers, self._num_candidates), np.float32)
        self._kept = np.empty((num_layers, self._num_uncertain + num_random), np.int64)
        self._kept[:, self._num_uncertain :] = np.arange(self._num_candidates, num_points)
        self._derivatives = np.empty((num_points, padded_layers), np.float32)

    def score(self, maps: Array, targets: NDArray[np.int64], points: Array) -> tuple[Array, Array]:
        """Return mean cross-entropy and dice, (2, L), and the gradient of their weighted sum, (L, h, w).

        Args:
            maps: (L, h, w) logits.
            targets: (L,) index of the target mask.
            points: (K, 2), the candidates before the random points.
        """
        num_layers, height, width = maps.shape
        matrix = bilinear_matrix(points, size=(height, width))
        self._map[1:-1, 1:-1, :num_layers] = maps.transpose(1, 2, 0)
        sampled = matrix @ self._map.reshape(len(self._map) * (width + 2), -1)
        np.copyto(self._logits, sampled.T[:num_layers])
        self._derivatives.fill(0)
        with self._lock:
            losses = self._score_points(points, targets)
        gradients = matrix.T @ self._derivatives
        gradients = gradients.reshape(height + 2, width + 2, -1)[1:-1, 1:-1, :num_layers]
        return losses, gradients.transpose(2, 0, 1)

    def _score_points(self, points: Array, targets: NDArray[np.int64]) -> Array:
        """Return the losses (2, L) of the sampled logits, and store their derivatives."""
        self._find_kept_points()
        unique, rows = np.unique(targets, return_inverse=True)
        labels = self._sampler.sample(unique, points)
        losses, derivatives = _losses_and_derivatives(
            _take(self._logits, np.arange(len(targets)), self._kept),
            _take(labels, rows, self._kept),
            weights=self._weights,
        )
        for layer, kept in enumerate(self._kept):
            self._derivatives[:, layer][kept] = derivatives[layer]
        return losses

    def _find_kept_points(self) -> None:
        """Find for each layer the points that count."""
        np.abs(self._logits[:, : self._num_candidates], out=self._distances)
        for distances, kept in zip(self._distances, self._kept, strict=True):
            kept[: self._num_uncertain] = nearest_points(distances, self._num_uncertain)


def _take(values: Array, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Array:
    """Return values[rows[i], columns[i, j]] at (i, j)."""
    taken: Array = values.reshape(-1).take(columns + rows[:, None] * values.shape[1])
    return taken


def nearest_points(distances: Array, count: int) -> NDArray[np.int64]:
    """Return the indices of the `count` smallest of `distances` (K,), ascending.

    Every 32nd value tells roughly where the limit lies; only the values around it are then partitioned. That
    takes a third of the time of partitioning all of them.
    """
    low, high = _bracket(distances, count)
    near = np.flatnonzero(distances <= high)
    values = distances.take(near)
    around = values.take(np.flatnonzero(values >= low))
    rank = count - 1 - (len(values) - len(around))
    if not 0 <= rank < len(around):  # the estimate was wrong, or a distance is NaN
        near, values, around, rank = np.arange(len(distances)), distances, distances.copy(), count - 1
    around.partition(rank)
    limit = around[rank]
    nearest = near.take(np.flatnonzero(values <= limit))
    surplus = len(nearest) - count
    if surplus > 0:  # equal distances at the limit
        nearest = np.delete(nearest, np.flatnonzero(distances[nearest] == limit)[:surplus])
    return nearest


def _bracket(distances: Array, count: int) -> tuple[np.float32, np.float32]:
    """Return two values between which the `count`-th smallest lies, but once in a few hundred times."""
    sample = np.sort(distances[::_SAMPLE_STRIDE])
    rank = len(sample) * count / len(distances)
    margin = 3 * math.sqrt(rank * (1 - count / len(distances))) + 1  # three standard deviations
    last = len(sample) - 1
    low, high = rank - margin, rank + margin
    return (
        sample[math.floor(low)] if low >= 0 else np.float32(-math.inf),
        sample[math.ceil(high)] if high <= last else np.float32(math.inf),
    )


def _losses_and_derivatives(
    logits: Array, labels: Array, *, weights: tuple[float, float]
) -> tuple[Array, Array]:
    """Return cross-entropy and dice of (L, K) points, (2, L), and the derivatives of their weighted sum."""
    num_points = logits.shape[1]
    of_bce, of_dice = np.float32(weights[0] / num_points), np.float32(weights[1])
    tanh = np.tanh(logits * np.float32(0.5))  # p = (1 + tanh(z / 2)) / 2 cannot overflow
    num_set = labels.sum(1)
    above = num_set + np.einsum("lk,lk->l", tanh, labels) + 1
    below = np.float32(0.5) * (num_points + tanh.sum(1)) + num_set + 1
    # Dice: (above / (4 below^2) - label / (2 below)) (1 - tanh^2); cross-entropy: (1 + tanh) / 2 - label.
    derivatives = np.square(tanh)
    np.subtract(1, derivatives, out=derivatives)
    part = labels * (of_dice * np.float32(-0.5) / below)[:, None]
    part += (of_dice * np.float32(0.25) * above / below**2)[:, None]
    derivatives *= part
    np.multiply(tanh, of_bce / 2, out=part)
    part += of_bce / 2
    derivatives += part
    derivatives -= np.multiply(labels, of_bce, out=part)
    overlap = np.einsum("lk,lk->l", logits, labels)
    bce = (softplus_sums(logits.T, tanh.T) - overlap) / np.float32(num_points)
    return np.stack([bce, 1 - above / below]), derivatives
