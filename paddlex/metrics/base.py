"""The form of every metric: forget, take in one photo at a time, give numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

__all__ = ["Metric"]


class Metric(Protocol):
    """A score over a data set; knows arrays, never networks."""

    def reset(self) -> None:
        """Forget all photos."""

    @property
    def update(self) -> Callable[..., None]:
        """Take in one photo's predictions; the arguments depend on the task."""
        ...

    def compute(self) -> dict[str, float]:
        """Scores over the photos taken in; NaN where nothing is defined."""
        ...
