"""Which LabelMe files train and which validate: two text files of paths, or a seeded split."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paddlex.data.formats.names import is_file, is_utf8, path_tails
from paddlex.utils.errors import FileFormatError
from paddlex.utils.files import read_text

__all__ = [
    "TRAIN_LIST",
    "VAL_LIST",
    "AnnotationLists",
    "read_annotation_list",
    "read_annotation_lists",
]

TRAIN_LIST = "train_anno_list.txt"
VAL_LIST = "val_anno_list.txt"
# What a conversion writes into the folder that is searched when there is no list.
_OUTPUTS = frozenset({"instance_train.json", "instance_val.json"})


@dataclass(frozen=True)
class AnnotationLists:
    """Annotation files of both sides, posix paths relative to the root.

    Attributes:
        train: files to train on.
        val: files to validate on.
        is_split: whether the sides were drawn here, so that lists are to be written.
        errors: one line per listed file that cannot be used.
        warnings: one line per oddity that does no harm.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    is_split: bool = False
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_annotation_lists(root: Path, *, seed: int, val_percent: float | None) -> AnnotationLists:
    """Read `train_anno_list.txt` and `val_anno_list.txt`, or split.

    Without a val list the train list is split; without either, all of `annotations/**/*.json`. The split
    shuffles with Python's generator as the reference does and leaves neither side empty.

    Args:
        root: the data set.
        seed: of the shuffle.
        val_percent: share of the val side, between 0 and 100; None leaves that side empty.
    """
    has_train, has_val = (root / TRAIN_LIST).is_file(), (root / VAL_LIST).is_file()
    if has_val and not has_train:
        return AnnotationLists(
            (), (), errors=[f"{TRAIN_LIST} is missing beside {VAL_LIST}; write it or remove both"]
        )
    errors: list[str] = []
    warnings: list[str] = []
    if has_train:
        train = read_annotation_list(root, TRAIN_LIST, errors=errors, warnings=warnings)
    else:
        train = _find_annotations(root, errors=errors)
    if not train and not errors:
        where = (
            f"{TRAIN_LIST} names no file"
            if has_train
            else f"neither {TRAIN_LIST} nor annotations/*.json exists"
        )
        errors.append(f"{where}; expected LabelMe files, one path a line")
    if has_val:
        val = read_annotation_list(root, VAL_LIST, errors=errors, warnings=warnings)
        if not val and not errors:
            warnings.append(
                f"{VAL_LIST} names no file: there is nothing to validate on; delete it to split by chance"
            )
        return AnnotationLists(tuple(train), tuple(val), errors=errors, warnings=warnings)
    if val_percent is None:
        return AnnotationLists(tuple(train), (), errors=errors, warnings=warnings)
    if len(train) == 1 and not errors:
        errors.append(
            f"one annotated photo cannot be split into train and val; annotate more or write {VAL_LIST}"
        )
    train, val = _split(train, seed=seed, val_percent=val_percent)
    return AnnotationLists(tuple(train), tuple(val), is_split=True, errors=errors, warnings=warnings)


def _find_annotations(root: Path, *, errors: list[str]) -> list[str]:
    found = sorted(path.relative_to(root).as_posix() for path in (root / "annotations").rglob("*.json"))
    found = [path for path in found if path.split("/")[-1] not in _OUTPUTS]
    errors += [f"the file name {path!r} is not UTF-8; rename it" for path in found if not is_utf8(path)]
    return [path for path in found if is_utf8(path)]


def _split(paths: Sequence[str], *, seed: int, val_percent: float) -> tuple[list[str], list[str]]:
    shuffled = list(paths)
    random.Random(seed).shuffle(shuffled)
    count = max(1, min(int(len(shuffled) * (100.0 - val_percent) / 100.0), len(shuffled) - 1))
    return shuffled[:count], shuffled[count:]


def read_annotation_list(root: Path, name: str, *, errors: list[str], warnings: list[str]) -> list[str]:
    """The LabelMe files of a list, posix paths relative to `root`.

    Args:
        root: the data set.
        name: the list, relative to it or absolute.
        errors: receives a line per listed file that is not there.
        warnings: receives a line per file listed again.
    """
    try:
        lines = read_text(root / name).splitlines()
    except FileFormatError as error:
        errors.append(str(error))
        return []
    paths: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        path = _listed_file(root, line)
        if path is None:
            errors.append(
                f"{name}, line {number}: {line.strip()!r} is not in {root}; mend the path or delete the line"
            )
        elif path in paths:
            warnings.append(f"{name}, line {number}: {path} again, as in line {paths[path]}; counted once")
        else:
            paths[path] = number
    return list(paths)


def _listed_file(root: Path, line: str) -> str | None:
    """Path of a listed file below `root`: the whole line, else its last column."""
    for text in dict.fromkeys((line.strip(), line.split()[-1])):
        for tail in path_tails(text):
            if tail.lower().endswith(".json") and is_file(root / tail):
                return tail
    return None
