"""One fault of a data set, told in one line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Literal

__all__ = ["Problem", "Scan", "Severity", "list_briefly"]

Severity = Literal["error", "warning"]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A fault with its place and its remedy.

    Attributes:
        kind: short name of this sort of fault, e.g. "photo-missing"; stable, for tools that read the report.
        severity: "error" forbids training, "warning" does not.
        file: annotation file or photo, relative to the data set.
        where: the entry within the file, e.g. "annotation 12 of nuts_05.jpg"; may be empty.
        found: what is there.
        expected: what should be there; may be empty where `found` says it all.
        remedy: what to do.
    """

    kind: str
    severity: Severity
    file: str
    where: str = ""
    found: str
    expected: str = ""
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}, {self.where}" if self.where else self.file
        expected = f"; expected {self.expected}" if self.expected else ""
        # Names of files and classes may hold line breaks.
        return " ".join(f"{place}: {self.found}{expected}; {self.remedy}".split())

    def to_json(self) -> dict[str, str]:
        """The attributes and the whole line as `message`."""
        return {**asdict(self), "message": str(self)}


@dataclass(frozen=True)
class Scan:
    """What a full scan found.

    Attributes:
        problems: errors and warnings, in the order of the checks.
        num_photos: different photos that were read.
    """

    problems: list[Problem] = field(default_factory=list)
    num_photos: int = 0

    @property
    def errors(self) -> list[Problem]:
        """Problems that forbid training."""
        return [problem for problem in self.problems if problem.severity == "error"]

    @property
    def warnings(self) -> list[Problem]:
        """Problems that training copes with."""
        return [problem for problem in self.problems if problem.severity == "warning"]


def list_briefly(problems: Iterable[Problem], *, limit: int = 20) -> list[str]:
    """Lines for a person: of each kind the first `limit`, then how many more there are."""
    by_kind: dict[str, list[Problem]] = {}
    for problem in problems:
        by_kind.setdefault(problem.kind, []).append(problem)
    lines = []
    for kind, members in by_kind.items():
        lines += [str(problem) for problem in members[:limit]]
        if len(members) > limit:
            lines.append(f"... and {len(members) - limit} more of this kind ({kind})")
    return lines
