"""What makes single entries of a data set unusable, counted by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Fault", "summarise_faults"]


@dataclass(frozen=True)
class Fault:
    """What is wrong with one entry.

    Attributes:
        place: which entry, for example "annotation 12".
        kind: the fault in words that are equal for equal faults, so that they can be counted.
        found: what this entry holds.
    """

    place: str
    kind: str
    found: str

    def __str__(self) -> str:
        return f"{self.place}: {self.kind} ({self.found})"


def summarise_faults(faults: Sequence[Fault]) -> str:
    """One line: how many of each kind, and where the first of the kind stands."""
    first = {fault.kind: fault for fault in reversed(faults)}
    counts = Counter(fault.kind for fault in faults)
    return "; ".join(f"{count} x {kind} (first: {first[kind].place})" for kind, count in counts.most_common())
