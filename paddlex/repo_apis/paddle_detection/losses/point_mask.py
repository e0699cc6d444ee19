"""Mask losses of matched pairs on uncertain points (PointRend, arXiv:1912.08193)."""

from dataclasses import dataclass

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from paddlex.nn.draws import UniformDraws
from paddlex.nn.point_sampling import sample_binary_masks, sample_maps
from paddlex.repo_apis.paddle_detection.losses.point_mask_cpu import point_mask_losses_cpu

__all__ = ["PointCounts", "PointMaskLoss", "point_mask_losses"]

_PAIRS_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class PointCounts:
    """How many points each pair is compared on.

    Attributes:
        candidates: points drawn to choose from.
        uncertain: candidates kept, those whose logit is nearest to 0.
        random: further points drawn and kept as they are.
    """

    candidates: int = 37632
    uncertain: int = 9408
    random: int = 3136


class PointMaskLoss:
    """Binary cross-entropy and dice loss of matched masks, on points drawn for each pair.

    The layers share the drawn points: pair m of every layer looks at the same candidates and keeps its own
    uncertain ones among them.

    Args:
        counts: numbers of points.
    """

    def __init__(self, counts: PointCounts | None = None) -> None:
        self.counts = counts or PointCounts()

    def __call__(
        self,
        pair_logits: Tensor,
        masks: Tensor,
        indices: Tensor,
        draws: UniformDraws,
        *,
        weights: tuple[float, float],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the weighted sum of both losses, the mean cross-entropy and the dice loss of each pair.

        Args:
            pair_logits: (M, L, h, w) predicted mask logits.
            masks: (T, S, S) uint8 target masks with values 0 and 1.
            indices: (M, L) int64, the target of each pair.
            draws: source of the points.
            weights: factors of cross-entropy and dice in the sum.

        Returns:
            Three (M, L) tensors. Only the first has a gradient, in `pair_logits`: on the CPU it is formed
            along with the losses, and one gradient takes half the memory of two.
        """
        num_pairs, counts = pair_logits.shape[0], self.counts
        candidates = draws.uniform([num_pairs, 1, counts.candidates, 2]).squeeze(1)
        random_points = draws.uniform([num_pairs, counts.random, 2])
        compute = point_mask_losses_cpu if pair_logits.place.is_cpu_place() else point_mask_losses
        return compute(
            pair_logits,
            masks,
            indices=indices,
            candidates=candidates,
            random_points=random_points,
            num_uncertain=counts.uncertain,
            weights=weights,
        )


def point_mask_losses(
    pair_logits: Tensor,
    masks: Tensor,
    *,
    indices: Tensor,
    candidates: Tensor,
    random_points: Tensor,
    num_uncertain: int,
    weights: tuple[float, float],
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the losses of `PointMaskLoss` on given points, with Paddle's operators.

    Args:
        pair_logits: (M, L, h, w).
        masks: (T, S, S) uint8.
        indices: (M, L) int64.
        candidates: (M, K, 2), points to choose from.
        random_points: (M, R, 2), points that count in any case.
        num_uncertain: how many candidates count.
        weights: factors of cross-entropy and dice in the sum.

    Returns:
        The weighted sum, with a gradient; mean cross-entropy and dice loss, without. (M, L) each.
    """
    parts = []
    for start in range(0, pair_logits.shape[0], _PAIRS_AT_ONCE):  # bounds the memory of the candidates
        rows = slice(start, start + _PAIRS_AT_ONCE)
        kept = _kept_points(
            pair_logits[rows].detach(), candidates[rows], random_points[rows], num_uncertain=num_uncertain
        )
        targets = sample_binary_masks(masks, index=indices[rows].flatten(), points=kept)
        logits = sample_maps(pair_logits[rows].flatten(0, 1).unsqueeze(1), kept).squeeze(1)
        bce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(-1)
        probability = F.sigmoid(logits)
        intersection = (probability * targets).sum(-1)
        dice = 1 - (2 * intersection + 1) / (probability.sum(-1) + targets.sum(-1) + 1)
        parts.append(paddle.stack([bce, dice]))
    bce, dice = paddle.concat(parts, axis=1).reshape([2, *indices.shape])
    return weights[0] * bce + weights[1] * dice, bce.detach(), dice.detach()


def _kept_points(
    pair_logits: Tensor, candidates: Tensor, random_points: Tensor, *, num_uncertain: int
) -> Tensor:
    """Return the (M * L, num_uncertain + R, 2) points that count."""
    num_pairs, num_layers = pair_logits.shape[:2]
    distance = sample_maps(pair_logits, candidates).abs()
    nearest = paddle.topk(distance, num_uncertain, axis=-1, largest=False, sorted=False)[1]
    index = nearest.flatten(1).unsqueeze(-1).expand([-1, -1, 2])
    uncertain = paddle.take_along_axis(candidates, index, axis=1)
    uncertain = uncertain.reshape([num_pairs, num_layers, num_uncertain, 2])
    shared = random_points.unsqueeze(1).expand([-1, num_layers, -1, -1])
    return paddle.concat([uncertain, shared], axis=2).flatten(0, 1)
