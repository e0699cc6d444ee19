"""When a run of PaddleX 2 stops early."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["has_stalled"]

_SAME = 1e-4


def has_stalled(scores: Iterable[float], *, patience: int) -> bool:
    """Whether scores fell or stood still `patience` times in a row without a new best.

    The first score is only what the second is compared with; a rise over the one before starts the count
    anew.

    Args:
        scores: of all evaluations, oldest first.
        patience: at least 1.
    """
    best, count = 0.0, 0
    last: float | None = None
    for score in scores:
        if last is not None:
            if score > best:
                best, count = score, 0
            elif score < last or abs(last - score) < _SAME:
                count += 1
            else:
                count = 0
            if count >= patience:
                return True
        last = score
    return False
