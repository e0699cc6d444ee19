"""Varifocal loss (arXiv:2008.13367): classification towards the IoU of the matched box or mask."""

import paddle.nn.functional as F
from paddle import Tensor

__all__ = ["varifocal_loss"]


def varifocal_loss(
    logits: Tensor, scores: Tensor, labels: Tensor, *, alpha: float = 0.75, saturating: bool = False
) -> Tensor:
    """Return the element-wise varifocal loss.

    As in RT-DETR the weight of the negatives is not detached: the gradient also flows through it.

    Args:
        logits: any shape.
        scores: target in [0, 1] of the matched elements, 0 elsewhere.
        labels: 1 at the matched elements, 0 elsewhere; a matched element may have score 0.
        alpha: weight of the negatives.
        saturating: take logarithms of the rounded probability, at least -100, as PP-YOLOE does: beyond logits
            of about 17 a false one costs 100 and gives no gradient. NaN raises ValueError.

    Returns:
        The shape of `logits`.
    """
    probabilities = F.sigmoid(logits)
    weight = alpha * probabilities.square() * (1 - labels) + scores * labels
    if saturating:
        return weight * F.binary_cross_entropy(probabilities, scores, reduction="none")
    return weight * F.binary_cross_entropy_with_logits(logits, scores, reduction="none")
