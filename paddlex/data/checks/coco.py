"""All checks of a COCO instance data set, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paddlex.data.checks.photos import PhotoScan, check_copies, check_photos, photo_paths, scan_photos
from paddlex.data.checks.problems import Problem, Scan
from paddlex.data.checks.segmentations import segmentation_faults
from paddlex.data.checks.structure import (
    CocoFile,
    check_categories,
    check_ids,
    check_links,
    check_listed_twice,
    is_object,
    read_coco_file,
)
from paddlex.utils.errors import DatasetFileNotFoundError
from paddlex.utils.progress import progress

if TYPE_CHECKING:
    from paddlex.utils.images import ImageHeader

__all__ = ["SPLITS", "check_coco_dataset"]

SPLITS = ("train", "val")


def check_coco_dataset(
    dataset_dir: Path, *, num_classes: int | None = None, allow_empty: bool = True, num_workers: int = 4
) -> Scan:
    """Check every photo and every annotation of a data set in COCO form.

    Expects `images/`, `annotations/instance_train.json` and `annotations/instance_val.json`. One fault hides
    no other as far as files can be read at all.

    Args:
        dataset_dir: the data set.
        num_classes: the number of classes the user set training to; None when it follows the data.
        allow_empty: whether photos without objects take part in training.
        num_workers: threads that decode photos.

    Raises:
        DatasetFileNotFoundError: if `dataset_dir` is no folder.
    """
    if not dataset_dir.is_dir():
        raise DatasetFileNotFoundError(
            f"{dataset_dir}: no such folder; set Global.dataset_dir to the folder of images and annotations"
        )
    files, problems = [], []
    for split in SPLITS:
        file, faults = read_coco_file(dataset_dir, split)
        files.append(file)
        problems += faults
        for check in (check_ids, check_links, check_categories):
            problems += check(file)
    paths = {file.split: photo_paths(dataset_dir, file) for file in files}
    scans = scan_photos(
        dataset_dir, (path for split in SPLITS for path in paths[split]), num_workers=num_workers
    )
    for file in files:
        problems += check_listed_twice(file, paths[file.split])
        problems += check_photos(dataset_dir, file, paths=paths[file.split], scans=scans)
        problems += _check_outlines(file, paths=paths[file.split], scans=scans)
        if not allow_empty:
            problems += _check_empty(file)
    problems += check_copies(paths, scans=scans)
    problems += _check_classes(*files, num_classes=num_classes)
    return Scan(problems, num_photos=len(scans))


def _check_outlines(
    file: CocoFile, *, paths: Sequence[str], scans: Mapping[str, PhotoScan]
) -> Iterator[Problem]:
    """Every annotation's outline."""
    sizes: dict[int, tuple[int, int]] = {}
    names: dict[int, str] = {}
    for image, path in zip(file.images, paths, strict=True):
        size = _frame(image, scans[path].header)
        names[image["id"]] = image["file_name"]
        if size:
            sizes[image["id"]] = size
    for annotation in progress(file.annotations, description=f"Checking annotations of {file.split}"):
        size = sizes.get(annotation["image_id"])
        if size is None:
            continue  # no photo, no frame: that is reported already
        for fault in segmentation_faults(annotation, size):
            where = f"annotation {annotation['id']} of {names[annotation['image_id']]}"
            yield file.problem(**vars(fault), where=where)


def _check_empty(file: CocoFile) -> Iterator[Problem]:
    annotated = {annotation["image_id"] for annotation in file.annotations}
    empty = [image for image in file.images if image["id"] not in annotated]
    if empty:
        yield file.problem(
            "photos-empty",
            "warning",
            found=f"{len(empty)} photos without objects, the first {empty[0]['file_name']}",
            remedy="they are left out, as the setting allow_empty=False asks",
        )


def _frame(image: dict[str, Any], header: ImageHeader | None) -> tuple[int, int] | None:
    """(height, width) that the outlines were drawn on, as far as can be told."""
    stated = (image.get("height"), image.get("width"))
    if header is None:
        return stated if all(isinstance(side, int) and side > 0 for side in stated) else None  # type: ignore[return-value]
    return header.stored_size if stated == header.stored_size else header.size


# ---------------------------------------------------------------- classes


def _check_classes(train: CocoFile, val: CocoFile, *, num_classes: int | None) -> Iterator[Problem]:
    if not train.categories or not val.categories:
        return  # reported as such
    listed = {
        file.split: [(category["id"], category["name"]) for category in file.categories]
        for file in (train, val)
    }
    if listed["train"] != listed["val"]:
        yield _categories_differ(val, train=listed["train"], val=listed["val"])
    for file in (train, val):
        yield from _check_instances(file)
    if num_classes is not None and num_classes != len(train.categories):
        yield train.problem(
            "num-classes",
            "error",
            where="categories",
            found=f"{len(train.categories)} classes, but Train.num_classes is {num_classes}",
            remedy=f"set Train.num_classes={len(train.categories)} before training",
        )


def _categories_differ(
    file: CocoFile, *, train: list[tuple[int, str]], val: list[tuple[int, str]]
) -> Problem:
    only_train = sorted({name for _, name in train} - {name for _, name in val})
    only_val = sorted({name for _, name in val} - {name for _, name in train})
    if only_train or only_val:
        sides = (("only train lists", only_train), ("only val lists", only_val))
        found = "; ".join(f"{text} {', '.join(names)}" for text, names in sides if names)
    elif dict(train) != dict(val):
        found = "the same classes with other ids than in train"
    else:
        found = "the same classes in another order than in train"
    return file.problem(
        "categories-differ",
        "error",
        where="categories",
        found=found,
        expected="the same list in both files, as a class is known by its place",
        remedy="give both files one list (and fitting category_id), or split anew, which merges them",
    )


def _check_instances(file: CocoFile) -> Iterator[Problem]:
    counts = Counter(annotation["category_id"] for annotation in file.annotations if is_object(annotation))
    empty = [category["name"] for category in file.categories if not counts[category["id"]]]
    if file.annotations and empty:
        yield file.problem(
            "class-without-objects",
            "warning",
            where="categories",
            found=f"no object of {', '.join(empty[:20])}{' and others' if len(empty) > 20 else ''}",
            remedy="annotate some, or split anew"
            if file.split == "val"
            else "annotate some, or remove the class: it cannot be learnt",
        )
