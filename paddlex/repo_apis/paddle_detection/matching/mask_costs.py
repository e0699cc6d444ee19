"""Mask costs of matching on random points (Mask2Former, arXiv:2112.01527).

Sampling is linear, so prototypes are sampled rather than the masks of all queries, and the sum of logit times
target over the points needs no sampled mask at all.
"""

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from paddlex.nn.point_sampling import sample_binary_masks, sample_maps
from paddlex.repo_apis.paddle_detection.matching.mask_costs_cpu import mask_costs_cpu

__all__ = ["mask_costs", "mask_costs_by_operators"]


def mask_costs(embeds: Tensor, prototypes: Tensor, masks: Tensor, *, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean binary cross-entropy and the dice cost of every query with every object of one image.

    Args:
        embeds: (L, Q, P), without gradient.
        prototypes: (P, h, w), without gradient.
        masks: (n, S, S) uint8 with values 0 and 1.
        points: (K, 2), where masks are compared.

    Returns:
        Two (L, Q, n) tensors.
    """
    compute = mask_costs_cpu if points.place.is_cpu_place() else mask_costs_by_operators
    return compute(embeds, prototypes, masks, points=points)


def mask_costs_by_operators(
    embeds: Tensor, prototypes: Tensor, masks: Tensor, *, points: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute `mask_costs` with Paddle's operators."""
    count, num_points = masks.shape[0], points.shape[0]
    shared = points.unsqueeze(0).expand([count, -1, -1])
    targets = sample_binary_masks(masks, index=paddle.arange(count), points=shared)
    sampled = sample_maps(prototypes.unsqueeze(0), points.unsqueeze(0))[0]
    costs = []
    for layer in embeds:  # one layer's sampled masks at a time bound the memory
        logits = layer @ sampled
        probability = F.sigmoid(logits)
        bce = (F.softplus(logits).sum(-1, keepdim=True) - logits @ targets.T) / num_points
        above = 2 * (probability @ targets.T) + 1
        costs.append((bce, 1 - above / (probability.sum(-1, keepdim=True) + targets.sum(-1) + 1)))
    bce, dice = (paddle.stack(part) for part in zip(*costs, strict=True))
    return bce, dice
