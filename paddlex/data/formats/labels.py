"""Lists of class names, one a line in the order of their indices."""

from __future__ import annotations

from pathlib import Path

from paddlex.utils.errors import FileFormatError
from paddlex.utils.files import read_text, write_text

__all__ = ["read_labels", "write_labels"]


def read_labels(path: Path | str) -> tuple[str, ...]:
    """Read the names; empty lines at the end count for nothing.

    Raises:
        FileFormatError: the file is no text or holds no name, or a name is missing between others or there
            twice.
    """
    names = [line.strip() for line in read_text(path).rstrip().splitlines()]
    if not names:
        raise FileFormatError(f"{path}: the file is empty; expected the name of a class a line")
    if "" in names:
        raise FileFormatError(
            f"{path}, line {names.index('') + 1}: empty; expected the name of a class, "
            "as the line tells its index"
        )
    first = {name: line for line, name in reversed(list(enumerate(names, start=1)))}
    for line, name in enumerate(names, start=1):
        if first[name] != line:
            raise FileFormatError(
                f"{path}, line {line}: {name!r} is in line {first[name]} already; each class has one line"
            )
    return tuple(names)


def write_labels(path: Path | str, names: tuple[str, ...] | list[str]) -> None:
    """Write the names, atomically."""
    write_text(path, "".join(f"{name}\n" for name in names))
