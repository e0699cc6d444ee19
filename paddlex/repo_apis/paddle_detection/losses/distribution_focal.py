"""Distribution focal loss (arXiv:2006.04388): a distance learnt as a distribution over whole numbers."""

import paddle
import paddle.nn.functional as F
from paddle import Tensor

__all__ = ["distribution_focal_loss"]

_BELOW_LAST_BIN = 0.01


def distribution_focal_loss(logits: Tensor, distances: Tensor) -> Tensor:
    """Return the cross entropy with the two bins around each distance, weighted by their nearness.

    Args:
        logits: (..., bins) of the distances 0, 1, ..., bins - 1.
        distances: (...) targets; clipped to [0, bins - 1.01].

    Returns:
        (...).
    """
    log_probabilities = F.log_softmax(logits, axis=-1)
    distances = distances.clip(min=0.0, max=logits.shape[-1] - 1 - _BELOW_LAST_BIN)
    lower = paddle.floor(distances)
    index = paddle.stack([lower, lower + 1.0], axis=-1).astype("int64")
    nearness = paddle.stack([lower + 1.0 - distances, distances - lower], axis=-1)
    chosen = paddle.take_along_axis(log_probabilities, index, axis=-1, broadcast=False)
    return -(chosen * nearness).sum(-1)
