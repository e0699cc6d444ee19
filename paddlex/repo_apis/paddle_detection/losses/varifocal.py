"""Varifocal loss (arXiv:2008.13367): classification towards the IoU of the matched box or mask."""

import paddle.nn.functional as F
from paddle import Tensor

__all__ = ["varifocal_loss"]


def varifocal_loss(logits: Tensor, scores: Tensor, labels: Tensor, *, alpha: float = 0.75) -> Tensor:
    """Return the element-wise varifocal loss.

    As in RT-DETR the weight of the negatives is not detached: the gradient also flows through it.

    Args:
        logits: any shape.
        scores: target in [0, 1] of the matched elements, 0 elsewhere.
        labels: 1 at the matched elements, 0 elsewhere; a matched element may have score 0.
        alpha: weight of the negatives.

    Returns:
        The shape of `logits`.
    """
    weight = alpha * F.sigmoid(logits).square() * (1 - labels) + scores * labels
    return weight * F.binary_cross_entropy_with_logits(logits, scores, reduction="none")
