"""The mask losses of `point_mask` for the CPU, where they dominate a training step.

One pair is done at a time for all layers, so that its points stay in the processor's cache; sampling and
its gradient are one sparse product each, and the losses' derivatives are written down rather than recorded.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor
from paddle.autograd import PyLayer, PyLayerContext
from paddle.utils.dlpack import from_dlpack

from paddlex.nn.point_sampling import BinaryMaskSampler, bilinear_matrix
from paddlex.utils.cpu import available_cores

__all__ = ["point_mask_losses_cpu"]

Array = NDArray[np.float32]


def point_mask_losses_cpu(
    pair_logits: Tensor,
    masks: Tensor,
    *,
    indices: Tensor,
    points: Tensor,
    num_uncertain: int,
    num_random: int,
) -> tuple[Tensor, Tensor]:
    """Compute what `point_mask.point_mask_losses` does; the arguments are the same."""
    scorer = _PairScorer(masks.numpy(), num_uncertain=num_uncertain, num_random=num_random)
    return _PointMaskLosses.apply(pair_logits, scorer, indices.numpy(), points)


class _PointMaskLosses(PyLayer):
    """Losses and, in the same pass, their two gradients with respect to the maps."""

    @staticmethod
    def forward(
        ctx: PyLayerContext,
        pair_logits: Tensor,
        scorer: "_PairScorer",
        indices: NDArray[np.int64],
        points: Tensor,
    ) -> tuple[Tensor, Tensor]:
        # DLPack shares the memory; `numpy()` and `to_tensor` would copy over 100 MB per step.
        maps, host_points = np.from_dlpack(pair_logits.detach()), np.from_dlpack(points)
        losses = np.empty((2, *indices.shape), np.float32)
        gradients = np.empty((2, *maps.shape), np.float32)

        def score(pair: int) -> None:
            losses[:, pair], gradients[:, pair] = scorer.score(maps[pair], indices[pair], host_points[pair])

        with ThreadPoolExecutor(_num_threads()) as pool:
            list(pool.map(score, range(len(maps))))
        ctx.save_for_backward(from_dlpack(gradients))
        return paddle.to_tensor(losses[0]), paddle.to_tensor(losses[1])

    @staticmethod
    def backward(ctx: PyLayerContext, bce_gradient: Tensor, dice_gradient: Tensor) -> Tensor:
        (gradients,) = ctx.saved_tensor()
        return gradients[0] * bce_gradient.unsqueeze([2, 3]) + gradients[1] * dice_gradient.unsqueeze([2, 3])


def _num_threads() -> int:
    """Return how many threads to use: what OMP_NUM_THREADS says, or one per core."""
    configured = os.environ.get("OMP_NUM_THREADS", "")
    return int(configured) if configured.isdigit() and int(configured) else available_cores()


class _PairScorer:
    """Scores one pair in all layers.

    Args:
        masks: (T, S, S) uint8.
        num_uncertain: points kept of the candidates.
        num_random: number of points at the end that are kept as they are.
    """

    def __init__(self, masks: NDArray[np.uint8], *, num_uncertain: int, num_random: int) -> None:
        self._sampler = BinaryMaskSampler(masks)
        self._num_uncertain = num_uncertain
        self._num_random = num_random

    def score(self, maps: Array, targets: NDArray[np.int64], points: Array) -> tuple[Array, Array]:
        """Return mean cross-entropy and dice, (2, L), and their gradients, (2, L, h, w).

        Args:
            maps: (L, h, w) logits.
            targets: (L,) index of the target mask.
            points: (K, 2).
        """
        num_layers, height, width = maps.shape
        matrix = bilinear_matrix(points, size=(height, width))
        sampled = np.ascontiguousarray((matrix @ maps.reshape(num_layers, -1).T).T)
        kept = self._kept_points(sampled)
        unique, inverse = np.unique(targets, return_inverse=True)
        logits = np.take_along_axis(sampled, kept, 1)
        labels = self._sampler.sample(unique, points)[inverse[:, None], kept]
        losses, derivatives = _losses_and_derivatives(logits, labels)
        spread = np.zeros((len(points), 2, num_layers), np.float32)
        spread[kept, :, np.arange(num_layers)[:, None]] = derivatives
        gradients = (matrix.T @ spread.reshape(len(points), -1)).T
        return losses, gradients.reshape(2, num_layers, height, width)

    def _kept_points(self, sampled: Array) -> NDArray[np.int64]:
        """Return the (L, num_uncertain + num_random) indices of the points that count."""
        num_layers, num_points = sampled.shape
        distance = np.abs(sampled[:, : num_points - self._num_random])
        kept = np.empty((num_layers, self._num_uncertain + self._num_random), np.int64)
        nearest = np.argpartition(distance, self._num_uncertain - 1, axis=1)
        kept[:, : self._num_uncertain] = nearest[:, : self._num_uncertain]
        kept[:, self._num_uncertain :] = np.arange(num_points - self._num_random, num_points)
        return kept


def _losses_and_derivatives(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Return mean cross-entropy and dice (2, L), and their derivatives (L, K, 2) by the logits (L, K)."""
    scale = np.float32(1 / logits.shape[1])
    logits = np.maximum(logits, -80)  # keeps exp finite; both losses are flat there
    odds = np.exp(-logits)
    odds += 1
    probability = 1 / odds
    # softplus(z) = z + log(1 + exp(-z))
    bce = (logits * (1 - labels) + np.log(odds)).sum(1) * scale
    above = 2 * np.einsum("lk,lk->l", probability, labels) + 1
    below = probability.sum(1) + labels.sum(1) + 1
    derivatives = np.empty((*logits.shape, 2), np.float32)
    np.multiply(probability - labels, scale, out=derivatives[..., 0])
    slope = probability - probability * probability
    slope *= (above / below / below)[:, None] - labels * (2 / below)[:, None]
    derivatives[..., 1] = slope
    return np.stack([bce, 1 - above / below]), derivatives
