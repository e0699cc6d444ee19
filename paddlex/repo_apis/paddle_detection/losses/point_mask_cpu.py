"""The mask losses of `point_mask` for the CPU, where they dominate a training step.

One pair is done at a time for all layers, so that its points stay in the processor's cache; sampling and
its gradient are one sparse product each, and the losses' derivatives are written down rather than recorded.
"""

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor
from paddle.autograd import PyLayer

from paddlex.nn.point_sampling import BinaryMaskSampler, bilinear_matrix

__all__ = ["point_mask_losses_cpu"]

Array = NDArray[np.float32]


def point_mask_losses_cpu(
    pair_logits: Tensor, masks: Tensor, indices: Tensor, points: Tensor, num_uncertain: int, num_random: int
) -> tuple[Tensor, Tensor]:
    """Compute what `point_mask.point_mask_losses` does; the arguments are the same."""
    return _PointMaskLosses.apply(pair_logits, masks, indices, points, num_uncertain, num_random)


class _PointMaskLosses(PyLayer):
    """Losses and, in the same pass, the two gradients with respect to the maps."""

    @staticmethod
    def forward(ctx, pair_logits, masks, indices, points, num_uncertain, num_random):  # type: (...) -> tuple[Tensor, Tensor]
        maps, targets, host_points = pair_logits.numpy(), indices.numpy(), points.numpy()
        num_pairs, num_layers, height, width = maps.shape
        sampler = BinaryMaskSampler(masks.numpy())
        losses = np.empty((2, num_pairs, num_layers), np.float32)
        gradients = np.empty((2, *maps.shape), np.float32)
        for pair in range(num_pairs):
            matrix = bilinear_matrix(host_points[pair], size=(height, width))
            logits = np.ascontiguousarray((matrix @ maps[pair].reshape(num_layers, -1).T).T)
            kept = _kept_points(logits, num_uncertain, num_random)
            unique, inverse = np.unique(targets[pair], return_inverse=True)
            sampled = sampler.sample(unique, host_points[pair])
            values = np.take_along_axis(logits, kept, 1)
            losses[:, pair], derivatives = _losses_and_derivatives(values, sampled[inverse[:, None], kept])
            spread = np.zeros((len(host_points[pair]), 2 * num_layers), np.float32)
            for layer in range(num_layers):
                spread[kept[layer], layer] = derivatives[0, layer]
                spread[kept[layer], num_layers + layer] = derivatives[1, layer]
            gradients[:, pair] = (matrix.T @ spread).T.reshape(2, num_layers, height, width)
        ctx.save_for_backward(paddle.to_tensor(gradients))
        return paddle.to_tensor(losses[0]), paddle.to_tensor(losses[1])

    @staticmethod
    def backward(ctx, bce_gradient, dice_gradient):  # type: (...) -> Tensor
        (gradients,) = ctx.saved_tensor()
        return gradients[0] * bce_gradient.unsqueeze([2, 3]) + gradients[1] * dice_gradient.unsqueeze([2, 3])


def _kept_points(logits: Array, num_uncertain: int, num_random: int) -> NDArray[np.int64]:
    """Return the (L, num_uncertain + num_random) indices of the points that count."""
    num_layers, num_points = logits.shape
    candidates = np.abs(logits[:, : num_points - num_random])
    uncertain = np.argpartition(candidates, num_uncertain - 1, axis=1)[:, :num_uncertain]
    random = np.broadcast_to(np.arange(num_points - num_random, num_points), (num_layers, num_random))
    return np.concatenate([uncertain, random], axis=1)


def _losses_and_derivatives(logits: Array, targets: Array) -> tuple[Array, Array]:
    """Return mean cross-entropy and dice (2, L), and their derivatives (2, L, K) by the logits (L, K)."""
    num_points = np.float32(logits.shape[1])
    small = np.exp(-np.abs(logits))
    probability = np.where(logits >= 0, 1, small) / (1 + small)
    bce = (np.maximum(logits, 0) - logits * targets + np.log1p(small)).sum(1) / num_points
    above = 2 * (probability * targets).sum(1, keepdims=True) + 1
    below = (probability + targets).sum(1, keepdims=True) + 1
    dice = 1 - above / below
    derivatives = np.empty((2, *logits.shape), np.float32)
    derivatives[0] = (probability - targets) / num_points
    derivatives[1] = (above / below - 2 * targets) / below * probability * (1 - probability)
    return np.stack([bce, dice[:, 0]]), derivatives
