"""Lists of photos and their masks: `train.txt` and `val.txt`, one pair a line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from paddlex.data.formats.faults import Fault
from paddlex.data.formats.labels import read_labels
from paddlex.data.formats.names import is_file, path_tails
from paddlex.utils.files import read_text

__all__ = ["CLASS_FILES", "Pair", "PairList", "format_pairs", "read_class_names", "read_pair_list"]

# Where a data set names its classes, one a line in the order of their indices.
CLASS_FILES = ("class_name.txt", "labels.txt")


@dataclass(frozen=True)
class Pair:
    """One line: paths relative to the data set, with forward slashes; the files may be missing."""

    line: int
    image: str
    mask: str


@dataclass(frozen=True)
class PairList:
    """One list.

    Attributes:
        name: the file, relative to the data set.
        pairs: in file order.
        faults: lines that are no pair.
    """

    name: str
    pairs: tuple[Pair, ...]
    faults: tuple[Fault, ...] = ()


def read_pair_list(root: Path, name: str) -> PairList:
    r"""Read a list "photo mask", separated by a tab or blanks; names may hold blanks if the files exist.

    Back-slashes count as slashes; of absolute paths and of those through folders above, the last parts count.

    Raises:
        FileFormatError: the list is missing or no text.
    """
    pairs, faults = [], []
    for number, line in enumerate(read_text(root / name).splitlines(), start=1):
        if not line.strip():
            continue
        found = next(_splits(root, line), None)
        if found is None:
            kind = "not a photo and its mask, separated by one blank"
            faults.append(Fault(f"line {number}", kind, repr(line.strip())[:200]))
        else:
            pairs.append(Pair(number, *found))
    return PairList(name, tuple(pairs), tuple(faults))


def _splits(root: Path, line: str) -> Iterator[tuple[str, str]]:
    """What the line may mean, the likeliest first."""
    fields = [field.strip() for field in line.split("\t") if field.strip()]
    if len(fields) != 2:
        fields = line.split()
    if len(fields) == 2:
        yield _listed(root, fields[0]), _listed(root, fields[1])
        return
    text = line.strip()
    for gap in re.finditer(r"\s+", text):
        names = _listed(root, text[: gap.start()]), _listed(root, text[gap.end() :])
        if all(is_file(root / name) for name in names):
            yield names


def _listed(root: Path, text: str) -> str:
    tails = path_tails(text) or [text]
    return next((tail for tail in tails if is_file(root / tail)), tails[0])


def format_pairs(pairs: Sequence[tuple[str, str]]) -> str:
    """The text of a list of (photo, mask), which `read_pair_list` reads; a tab where names hold blanks."""
    return "".join(f"{image}{chr(9) if ' ' in image + mask else ' '}{mask}\n" for image, mask in pairs)


def read_class_names(root: Path) -> tuple[tuple[str, ...], str] | None:
    """Names of the classes by index, and the file that holds them; None if there is none.

    Raises:
        FileFormatError: as `read_labels`.
    """
    for file in CLASS_FILES:
        if not (root / file).is_file():
            continue
        if read_text(root / file).strip():
            return read_labels(root / file), file
    return None
