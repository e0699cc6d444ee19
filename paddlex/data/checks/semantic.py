"""All checks of a data set of photos and index masks, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paddlex.data.checks.label_values import check_classes, check_label_values
from paddlex.data.checks.masks import MaskScan, check_pairs, scan_masks
from paddlex.data.checks.photos import check_copies, scan_photos
from paddlex.data.checks.problems import Problem, Scan
from paddlex.data.formats.faults import Fault
from paddlex.data.formats.pair_list import Pair, PairList, read_class_names, read_pair_list
from paddlex.utils.errors import DatasetFileNotFoundError, FileFormatError

__all__ = ["SemanticScan", "check_semantic_dataset"]

_SPLITS = ("train", "val")


@dataclass(frozen=True)
class SemanticScan(Scan):
    """What a full scan found.

    Attributes:
        pairs: per split, the listed pairs.
        masks: by path, what reading each mask gave.
        class_names: as the data set names them, None if it does not.
    """

    pairs: Mapping[str, tuple[Pair, ...]] = field(default_factory=dict)
    masks: Mapping[str, MaskScan] = field(default_factory=dict)
    class_names: tuple[str, ...] | None = None

    @property
    def labels(self) -> list[int]:
        """The classes that occur, ascending."""
        return sorted({label for mask in self.masks.values() for label in mask.labels})


def check_semantic_dataset(
    dataset_dir: Path, *, num_classes: int | None = None, num_workers: int = 4
) -> SemanticScan:
    """Check every photo and every mask of a data set in the layout of semantic segmentation.

    Expects `train.txt` and `val.txt`, each line a photo and its mask relative to the data set. One fault
    hides no other as far as files can be read at all.

    Args:
        dataset_dir: the data set.
        num_classes: the number of classes the user set training to; None where it follows the names in
            `class_name.txt` or `labels.txt`, or else the masks.
        num_workers: threads that decode photos and masks.

    Raises:
        DatasetFileNotFoundError: if `dataset_dir` is no folder.
    """
    if not dataset_dir.is_dir():
        raise DatasetFileNotFoundError(
            f"{dataset_dir}: no such folder; set Global.dataset_dir to the folder of images and annotations"
        )
    problems: list[Problem] = []
    lists = {}
    for split in _SPLITS:
        lists[split], faults = _read_list(dataset_dir, f"{split}.txt")
        problems += faults
    names, faults = _read_names(dataset_dir)
    problems += faults
    images = {split: [pair.image for pair in listed.pairs] for split, listed in lists.items()}
    photos = scan_photos(
        dataset_dir, (path for split in _SPLITS for path in images[split]), num_workers=num_workers
    )
    masks = scan_masks(
        dataset_dir,
        (pair.mask for listed in lists.values() for pair in listed.pairs),
        num_workers=num_workers,
    )
    for listed in lists.values():
        problems += check_pairs(dataset_dir, listed, photos=photos, masks=masks)
    problems += check_copies(images, scans=photos)
    expected = num_classes if num_classes is not None else len(names[0]) if names else None
    named_in = names[1] if names and num_classes is None else None
    problems += check_label_values(masks, num_classes=expected, named_in=named_in)
    counts = {split: _counts(listed, masks) for split, listed in lists.items()}
    problems += check_classes(counts, num_classes=num_classes, names=names)
    return SemanticScan(
        problems,
        num_photos=len(photos),
        pairs={split: listed.pairs for split, listed in lists.items()},
        masks=masks,
        class_names=names[0] if names else None,
    )


def _counts(listed: PairList, masks: Mapping[str, MaskScan]) -> NDArray[np.int64]:
    """(256,) pixels of each value on one side."""
    counts = np.zeros(256, np.int64)
    for pair in listed.pairs:
        counts += masks[pair.mask].counts
    return counts


# ---------------------------------------------------------------- lists


def _read_list(root: Path, name: str) -> tuple[PairList, list[Problem]]:
    """Read a list as far as it can be read, with the faults of its lines."""
    if not (root / name).is_file():
        missing = Problem(
            kind="list-missing",
            severity="error",
            file=name,
            found="the list does not exist",
            remedy=_how_to_get(root, name),
        )
        return PairList(name, ()), [missing]
    try:
        listed = read_pair_list(root, name)
    except FileFormatError as error:
        found, _, remedy = str(error).removeprefix(f"{root / name}: ").partition("; ")
        unreadable = Problem(
            kind="list-unreadable", severity="error", file=name, found=found, remedy=remedy or "write it anew"
        )
        return PairList(name, ()), [unreadable]
    problems = [_faulty_line(name, fault) for fault in listed.faults]
    if not listed.pairs and not problems:
        problems.append(
            Problem(
                kind="list-empty",
                severity="error",
                file=name,
                found="no pair of photo and mask",
                remedy="list them, or split anew (CheckDataset.split.enable=True)",
            )
        )
    return listed, problems


def _faulty_line(name: str, fault: Fault) -> Problem:
    fields = fault.found.split()
    if len(fields) > 1:
        remedy = "put a tab between photo and mask if their names hold blanks, and look whether both exist"
    elif "," in fault.found or ";" in fault.found:
        remedy = "put a blank in place of the comma"
    else:
        remedy = "add the mask, or remove the line"
    return Problem(
        kind="line-faulty",
        severity="error",
        file=name,
        where=fault.place,
        found=fault.found,
        expected="the photo and its mask, separated by one blank",
        remedy=remedy,
    )


def _how_to_get(root: Path, name: str) -> str:
    other = "val.txt" if name == "train.txt" else "train.txt"
    if (root / other).is_file():
        return f"set CheckDataset.split.enable=True to split {other} in two"
    if (root / "train_anno_list.txt").is_file() or any((root / "annotations").glob("*.json")):
        return "set CheckDataset.convert.enable=True and CheckDataset.convert.src_dataset_type=LabelMe"
    return "write it: one line `images/NAME.jpg annotations/NAME.png` a photo"


def _read_names(root: Path) -> tuple[tuple[tuple[str, ...], str] | None, list[Problem]]:
    try:
        return read_class_names(root), []
    except FileFormatError as error:
        place, _, found = str(error).removeprefix(f"{root}/").partition(": ")
        problem = Problem(
            kind="class-names",
            severity="error",
            file=place.split(",")[0],
            where=place.partition(", ")[2],
            found=found,
            remedy="name every class, one a line",
        )
        return None, [problem]
