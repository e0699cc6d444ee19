"""The mask losses of `point_mask` for the CPU, where they dominate a training step.

One pair is done at a time for all layers, so that its points stay in the processor's cache; sampling and
its gradient are one sparse product each, and the losses' derivatives are written down rather than recorded.
"""

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

__all__ = ["point_mask_losses_cpu"]

Array = NDArray[np.float32]


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
        (gradients,) = ctx.saved_tensor()
        return gradients[0] * bce_gradient.unsqueeze([2, 3]) + gradients[1] * dice_gradient.unsqueeze([2, 3])


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
        self._shape = shape
        self._num_candidates, self._num_uncertain, num_random = counts
        num_points = self._num_candidates + num_random
        self._random = np.arange(self._num_candidates, num_points)
        # Fresh memory for each pair would cost more, in page faults, than the arithmetic.
        self._logits = np.empty((shape[0], num_points), np.float32)
        self._distances = np.empty((2, shape[0], self._num_candidates), np.float32)
        # Per point and layer the derivatives of both losses, side by side as one complex number.
        self._derivatives = np.empty((num_points, shape[0]), np.complex64)

    def score(self, maps: Array, targets: NDArray[np.int64], points: Array) -> tuple[Array, Array]:
        """Return mean cross-entropy and dice, (2, L), and their gradients, (2, L, h, w).

        Args:
            maps: (L, h, w) logits.
            targets: (L,) index of the target mask.
            points: (K, 2), the candidates before the random points.
        """
        num_layers, height, width = self._shape
        matrix = bilinear_matrix(points, size=(height, width))
        np.copyto(self._logits, (matrix @ maps.reshape(num_layers, -1).T).T)
        unique, inverse = np.unique(targets, return_inverse=True)
        labels = self._sampler.sample(unique, points)
        losses = np.empty((2, num_layers), np.float32)
        self._derivatives.fill(0)
        for layer, kept in enumerate(self._kept_points()):
            losses[:, layer], derivatives = _losses_and_derivatives(
                self._logits[layer].take(kept), labels[inverse[layer]].take(kept)
            )
            self._derivatives[kept, layer] = derivatives
        gradients = matrix.T @ self._derivatives.view(np.float32)
        return losses, gradients.T.reshape(num_layers, 2, height, width).swapaxes(0, 1)

    def _kept_points(self) -> Iterator[NDArray[np.int64]]:
        """Yield for each layer the indices of the points that count."""
        distances, ordered = self._distances
        np.abs(self._logits[:, : self._num_candidates], out=distances)
        ordered[...] = distances
        ordered.partition(self._num_uncertain - 1, axis=1)
        limits = ordered[:, self._num_uncertain - 1]
        for distance, limit in zip(distances, limits, strict=True):
            nearest = np.flatnonzero(distance <= limit)
            surplus = len(nearest) - self._num_uncertain
            if surplus > 0:  # equal distances at the limit
                nearest = np.delete(nearest, np.flatnonzero(distance[nearest] == limit)[:surplus])
            yield np.concatenate([nearest, self._random])


def _losses_and_derivatives(logits: Array, labels: Array) -> tuple[tuple[Any, Any], NDArray[np.complex64]]:
    """Return mean cross-entropy and dice of (K,) points, and their derivatives as real and imaginary part."""
    scale = np.float32(1 / len(logits))
    np.maximum(logits, -80, out=logits)  # keeps exp finite; both losses are flat there
    odds = np.exp(-logits)
    odds += 1
    probability = np.reciprocal(odds)
    # softplus(z) = z + log(1 + exp(-z))
    bce = (logits.sum() - (logits * labels).sum() + np.log(odds).sum()) * scale
    above = 2 * (probability * labels).sum() + 1
    below = probability.sum() + labels.sum() + 1
    derivatives = np.empty(len(logits), np.complex64)
    derivatives.real = (probability - labels) * scale
    derivatives.imag = (above / below**2 - labels * (2 / below)) * (probability - probability * probability)
    return (bce, 1 - above / below), derivatives
