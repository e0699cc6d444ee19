"""`split_dataset`: what `paddlex --split_dataset` of PaddleX 2 did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from paddlex.data.checks.masks import scan_masks
from paddlex.data.formats.pair_list import format_pairs
from paddlex.data.formats.staging import StagedFiles
from paddlex.data.formats.voc import read_voc
from paddlex.utils.errors import DatasetFileNotFoundError, FileFormatError, SplitFailedError, UsageError
from paddlex.utils.files import read_json
from paddlex.utils.images import IMAGE_SUFFIXES
from paddlex.utils.logging import logger, set_up_logging

__all__ = ["split_dataset"]

_SIDES = ("train", "val", "test")

Places = Sequence[Sequence[int]]


def split_dataset(
    dataset_dir: Path | str, *, format: str, val_value: float, test_value: float = 0.0, seed: int = 0
) -> None:
    """Split a data set at random into training, validation and test.

    Of n photos, `int(n * val_value)` validate and `int(n * test_value)` test; the others train. A file is
    written for each side that gets photos; what it replaces stays as `.bak`.

    - `format="COCO"`: `annotations.json` (photos in `JPEGImages/`) gives `train.json`, `val.json`,
      `test.json`.
    - `format="SEG"`: photos in `JPEGImages/`, masks of the same name in `Annotations/`, give
      `train_list.txt`, `val_list.txt`, `test_list.txt` (photo and mask, one pair a line) and, unless there is
      one, `labels.txt` with the numbers of the classes.
    - `format="VOC"`: likewise with XML files in `Annotations/` and the names of the classes.

    Args:
        dataset_dir: the data set.
        format: "COCO", "SEG" or "VOC".
        val_value: share of validation, in [0, 1).
        test_value: share of test, in [0, 1).
        seed: of the draw.

    Raises:
        UsageError: for another format.
        DatasetFileNotFoundError: if the folder does not exist.
        SplitFailedError: for impossible shares and unusable files; the folder is as it was.
    """
    set_up_logging()
    split = _FORMATS.get(format.upper())
    if split is None:
        raise UsageError(f"format {format!r}; expected COCO, SEG or VOC")
    dataset_dir = Path(dataset_dir)
    if not dataset_dir.is_dir():
        raise DatasetFileNotFoundError(f"{dataset_dir}: no such folder; dataset_dir must name the data set")
    for name, value in (("val_value", val_value), ("test_value", test_value)):
        if type(value) not in (int, float) or not 0 <= value < 1:
            raise SplitFailedError(f"{name} {value!r}; expected a share from 0 to below 1, for example 0.2")
    if val_value + test_value >= 1:
        raise SplitFailedError(f"val_value {val_value} and test_value {test_value} leave nothing to train on")

    def draw(count: int) -> Places:
        order = np.random.default_rng(seed).permutation(count).tolist()
        val, test = int(count * val_value), int(count * test_value)
        return order[val + test :], order[:val], order[val : val + test]

    try:
        split(dataset_dir, draw)
    except FileFormatError as error:
        raise SplitFailedError(f"cannot split: {error}") from error
    except OSError as error:
        reason = error.strerror or error
        raise SplitFailedError(f"{dataset_dir}: cannot be written ({reason}); nothing was changed") from error


def _split_coco(dataset_dir: Path, draw: Callable[[int], Places]) -> None:
    path = dataset_dir / "annotations.json"
    content = read_json(path)
    images, annotations = (_entries(content, key, path=path) for key in ("images", "annotations"))
    owners = [annotation.get("image_id") for annotation in annotations]
    known = {str(image.get("id")) for image in images}
    if len(known) < len(images) or not known.issuperset(map(str, owners)):
        raise SplitFailedError(f"{path}: ids of images that occur twice, or annotations of none; mend them")
    sides = draw(len(images))
    with StagedFiles(dataset_dir) as staged:
        for side, places in zip(_SIDES, sides, strict=True):
            chosen = [images[place] for place in sorted(places)]
            ids = {str(image.get("id")) for image in chosen}
            part = [a for a, owner in zip(annotations, owners, strict=True) if str(owner) in ids]
            if places:
                staged.add_json(
                    {**content, "images": chosen, "annotations": part}, dataset_dir / f"{side}.json"
                )
        staged.commit()
    _tell(sides)


def _entries(content: Any, key: str, *, path: Path) -> list[dict[str, Any]]:  # noqa: ANN401 (any JSON)
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SplitFailedError(f"{path}: no list {key!r} of objects; expected COCO annotations")
    if key == "images" and not entries:
        raise SplitFailedError(f"{path}: lists no images; there is nothing to split")
    return entries


def _split_masks(dataset_dir: Path, draw: Callable[[int], Places]) -> None:
    _split_pairs(dataset_dir, draw, suffix=".png", names_of=_class_numbers)


def _split_voc(dataset_dir: Path, draw: Callable[[int], Places]) -> None:
    _split_pairs(dataset_dir, draw, suffix=".xml", names_of=_class_names)


def _split_pairs(
    dataset_dir: Path,
    draw: Callable[[int], Places],
    *,
    suffix: str,
    names_of: Callable[[Path, Sequence[str]], Iterable[str]],
) -> None:
    """Split photos with annotations of the same name; `names_of` finds the classes in these."""
    folder = dataset_dir / "JPEGImages"
    photos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    pairs = []
    for photo in photos:
        partner = Path("Annotations") / photo.relative_to(folder).with_suffix(suffix)
        if (dataset_dir / partner).is_file():
            pairs.append((photo.relative_to(dataset_dir).as_posix(), partner.as_posix()))
    if not pairs:
        raise SplitFailedError(
            f"{dataset_dir}: no photo in JPEGImages/ has its <name>{suffix} in Annotations/; put them there"
        )
    if len(pairs) < len(photos):
        logger.warning("%d of %d photos are not annotated; left out", len(photos) - len(pairs), len(photos))
    sides = draw(len(pairs))
    with StagedFiles(dataset_dir) as staged:
        for side, places in zip(_SIDES, sides, strict=True):
            if places:
                text = format_pairs([pairs[place] for place in places])
                staged.add_text(text, dataset_dir / f"{side}_list.txt")
        if not (dataset_dir / "labels.txt").is_file():
            names = names_of(dataset_dir, [partner for _, partner in pairs])
            staged.add_text("".join(f"{name}\n" for name in names), dataset_dir / "labels.txt")
        staged.commit()
    _tell(sides)


def _class_names(dataset_dir: Path, files: Sequence[str]) -> Iterable[str]:
    """The names of classes in order of appearance."""
    return dict.fromkeys(one.name for file in files for one in read_voc(dataset_dir / file).objects)


def _class_numbers(dataset_dir: Path, masks: Sequence[str]) -> Iterable[str]:
    """The numbers of classes up to the largest that occurs."""
    scans = scan_masks(dataset_dir, masks, num_workers=4)
    problems = [scan.problem for scan in scans.values() if scan.problem is not None]
    if problems:
        raise SplitFailedError(f"cannot split: {problems[0]}")
    largest = max((label for scan in scans.values() for label in scan.labels), default=0)
    return [str(number) for number in range(1 + largest)]


def _tell(sides: Places) -> None:
    counts = ", ".join(f"{len(places)} {side}" for side, places in zip(_SIDES, sides, strict=True))
    logger.info("Photos: %s.", counts)


_FORMATS: dict[str, Callable[[Path, Callable[[int], Places]], None]] = {
    "COCO": _split_coco,
    "SEG": _split_masks,
    "VOC": _split_voc,
}
