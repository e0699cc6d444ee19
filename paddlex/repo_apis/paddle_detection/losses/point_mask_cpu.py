"""The mask losses of `point_mask` for the CPU, where they dominate a training step.

One pair is done at a time for all layers, so that its points stay in the processor's cache; sampling and
its gradient are one sparse product each, and the losses' derivatives are written down rather than recorded.
"""

import math
from collections.abc import Iterator
from typing import Any

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

_SAMPLE_STRIDE = 64


def point_mask_losses_cpu(
    pair_logits: Tensor,
    masks: Tensor,
    *,
    indices: Tensor,
    candidates: Tensor,
    random_points: Tensor,
    num_uncertain: int,
) -> tuple[Tensor, Tensor]:
    """Compute what `point_mask.point_mask_losses` does; the arguments are the same."""
    sampler = BinaryMaskSampler(masks.numpy())
    points = (candidates, random_points)
    return _PointMaskLosses.apply(pair_logits, sampler, indices.numpy(), points, num_uncertain)


class _PointMaskLosses(PyLayer):
    """Losses and, in the same pass, their two gradients with respect to the maps."""

    @staticmethod
    def forward(
        ctx: PyLayerContext,
        pair_logits: Tensor,
        sampler: BinaryMaskSampler,
        indices: NDArray[np.int64],
        points: tuple[Tensor, Tensor],
        num_uncertain: int,
    ) -> tuple[Tensor, Tensor]:
        # DLPack shares the memory; `numpy()` and `to_tensor` would copy over 100 MB per step.
        maps, candidates, random_points = map(np.from_dlpack, (pair_logits.detach(), *points))
        counts = (candidates.shape[1], num_uncertain, random_points.shape[1])
        losses = np.empty((2, *indices.shape), np.float32)
        gradients = np.empty((2, *maps.shape), np.float32)

        def score(pairs: range) -> None:
            scorer = _PairScorer(sampler, maps.shape[1:], counts=counts)
            for pair in pairs:
                pair_points = np.concatenate([candidates[pair], random_points[pair]])
                losses[:, pair], gradients[:, pair] = scorer.score(maps[pair], indices[pair], pair_points)

        share_among_threads(score, len(maps))
        ctx.save_for_backward(from_dlpack(gradients))
        return paddle.to_tensor(losses[0]), paddle.to_tensor(losses[1])

    @staticmethod
    def backward(ctx: PyLayerContext, bce_gradient: Tensor, dice_gradient: Tensor) -> Tensor:
        (saved,) = ctx.saved_tensor()
        gradients = np.from_dlpack(saved)
        factors = np.stack([bce_gradient.numpy(), dice_gradient.numpy()])[..., None, None]
        total = np.empty(gradients.shape[1:], np.float32)

        def combine(pairs: range) -> None:
            for pair in pairs:  # one pair's maps fit the cache
                np.multiply(gradients[0, pair], factors[0, pair], out=total[pair])
                total[pair] += gradients[1, pair] * factors[1, pair]

        share_among_threads(combine, len(total))
        return from_dlpack(total)


class _PairScorer:
    """Scores one pair after another, each in all layers, in the same memory.

    Args:
        sampler: the target masks.
        shape: (L, h, w) of a pair's maps.
        counts: numbers of candidates, of those among them that count, and of random points.
    """

    def __init__(
        self, sampler: BinaryMaskSampler, shape: tuple[int, int, int], *, counts: tuple[int, int, int]
    ) -> None:
        self._sampler = sampler
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
        # Per point and layer the derivatives of both losses, side by side as one complex number.
        self._derivatives = np.empty((num_points, padded_layers), np.complex64)

    def score(self, maps: Array, targets: NDArray[np.int64], points: Array) -> tuple[Array, Array]:
        """Return mean cross-entropy and dice, (2, L), and their gradients, (2, L, h, w).

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
        unique = sorted(set(targets.tolist()))
        labels = dict(zip(unique, self._sampler.sample(np.array(unique), points), strict=True))
        losses = np.empty((2, num_layers), np.float32)
        self._derivatives.fill(0)
        for layer, kept in enumerate(self._kept_points()):
            losses[:, layer], derivatives = _losses_and_derivatives(
                self._logits[layer].take(kept), labels[int(targets[layer])].take(kept)
            )
            self._derivatives[:, layer][kept] = derivatives
        gradients = matrix.T @ self._derivatives.view(np.float32)
        gradients = gradients.reshape(height + 2, width + 2, -1, 2)[1:-1, 1:-1, :num_layers]
        return losses, gradients.transpose(3, 2, 0, 1)

    def _kept_points(self) -> Iterator[NDArray[np.int64]]:
        """Yield for each layer the indices of the points that count."""
        np.abs(self._logits[:, : self._num_candidates], out=self._distances)
        for distances in self._distances:
            yield np.concatenate([nearest_points(distances, self._num_uncertain), self._random])


def nearest_points(distances: Array, count: int) -> NDArray[np.int64]:
    """Return the indices of the `count` smallest of `distances` (K,), ascending.

    Every 64th value tells roughly where the limit lies; only the values around it are then partitioned. That
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
    """Return two values between which the `count`-th smallest almost surely lies."""
    sample = np.sort(distances[::_SAMPLE_STRIDE])
    rank = len(sample) * count / len(distances)
    margin = 5 * math.sqrt(rank * (1 - count / len(distances))) + 1  # five standard deviations
    last = len(sample) - 1
    low, high = rank - margin, rank + margin
    return (
        sample[math.floor(low)] if low >= 0 else np.float32(-math.inf),
        sample[math.ceil(high)] if high <= last else np.float32(math.inf),
    )


def _losses_and_derivatives(logits: Array, labels: Array) -> tuple[tuple[Any, Any], NDArray[np.complex64]]:
    """Return mean cross-entropy and dice of (K,) points, and their derivatives as real and imaginary part."""
    scale = np.float32(1 / len(logits))
    tanh = np.tanh(logits * np.float32(0.5))  # p = (1 + tanh(z / 2)) / 2 cannot overflow
    num_set = labels.sum()
    above = num_set + tanh @ labels + 1
    below = np.float32(0.5) * (len(logits) + tanh.sum()) + num_set + 1
    derivatives = np.empty(len(logits), np.complex64)
    np.subtract(tanh * (scale / 2) + scale / 2, labels * scale, out=derivatives.real)
    slope = labels * (np.float32(-0.5) / below) + np.float32(0.25) * above / below**2
    np.multiply(slope, 1 - tanh * tanh, out=derivatives.imag)
    overlap = logits @ labels
    bce = (softplus_sums(logits, tanh) - overlap) * scale
    return (bce, 1 - above / below), derivatives
