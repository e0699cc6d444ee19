"""Random samples of positive and negative boxes (arXiv:1506.01497, section 3.1.3)."""

import paddle
from paddle import Tensor

from paddlex.nn.draws import UniformDraws

__all__ = ["sample_positives_and_negatives"]


def sample_positives_and_negatives(
    is_positive: Tensor, is_negative: Tensor, *, count: int, positive_fraction: float, draws: UniformDraws
) -> tuple[Tensor, Tensor]:
    """Choose boxes to learn from; negatives take the places that positives leave.

    Args:
        is_positive: (N,) bool.
        is_negative: (N,) bool; a box may be neither.
        count: boxes wanted; fewer are returned if there are not enough.
        positive_fraction: largest share of positives.
        draws: source of randomness.

    Returns:
        Indices of the positives (P,) and of the negatives (Q,), int64 in random order, P + Q <= count.
    """
    positives = _choose(is_positive, int(count * positive_fraction), draws)
    return positives, _choose(is_negative, count - len(positives), draws)


def _choose(flags: Tensor, count: int, draws: UniformDraws) -> Tensor:
    """Return at most `count` indices of set `flags`."""
    indices = paddle.nonzero(flags).flatten()
    return indices.gather(draws.choose(len(indices), min(count, len(indices))))
