"""What is wrong with an annotation file: one line per reason, naming every shape it holds for."""

from __future__ import annotations

__all__ = ["Findings"]


class Findings:
    """Faults of one file, gathered instead of raised so that all are told at once.

    Args:
        where: the file as the user knows it, the start of each line.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self._errors: dict[str, list[int]] = {}
        self._warnings: dict[str, list[int]] = {}

    def error(self, reason: str, *, shape: int | None = None) -> None:
        """Record what makes the file unusable.

        Args:
            reason: what was found, what was expected, the remedy.
            shape: number of the shape, counted from 1 in the order of the file.
        """
        _record(self._errors, reason, shape)

    def warn(self, reason: str, *, shape: int | None = None) -> None:
        """Record what was left out or mended; arguments as in `error`."""
        _record(self._warnings, reason, shape)

    @property
    def errors(self) -> list[str]:
        """One line per reason."""
        return [self._line(reason, shapes) for reason, shapes in self._errors.items()]

    @property
    def warnings(self) -> list[str]:
        """One line per reason."""
        return [self._line(reason, shapes) for reason, shapes in self._warnings.items()]

    def _line(self, reason: str, shapes: list[int]) -> str:
        if not shapes:
            return f"{self.where}: {reason}"
        numbers = ", ".join(str(number) for number in shapes)
        return f"{self.where}, shape{'s' if len(shapes) > 1 else ''} {numbers}: {reason}"


def _record(lines: dict[str, list[int]], reason: str, shape: int | None) -> None:
    shapes = lines.setdefault(reason, [])
    if shape is not None and shape not in shapes:
        shapes.append(shape)
