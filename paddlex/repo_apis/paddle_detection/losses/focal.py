"""Sigmoid focal loss (arXiv:1708.02002)."""

import paddle.nn.functional as F
from paddle import Tensor

__all__ = ["sigmoid_focal_loss"]


def sigmoid_focal_loss(logits: Tensor, labels: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Return the element-wise focal loss.

    Args:
        logits: any shape.
        labels: 0 or 1, of the same shape.
        alpha: weight of the positives; the negatives weigh 1 - alpha.
        gamma: exponent that damps well classified elements.

    Returns:
        The shape of `logits`.
    """
    p = F.sigmoid(logits)
    p_t = p * labels + (1 - p) * (1 - labels)
    alpha_t = alpha * labels + (1 - alpha) * (1 - labels)
    bce = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return alpha_t * (1 - p_t) ** gamma * bce
