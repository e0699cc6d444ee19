"""LabelMe data set to COCO, in place: `instance_train.json` and `instance_val.json` beside the originals.

The LabelMe files are read and left as they are. The two JSON files, split lists and photos that come from
elsewhere (carried in a LabelMe file, or lying outside `images/`) are written together or, after any fault,
not at all.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddlex.data.formats.findings import Findings
from paddlex.data.formats.labelme import fit_to_photo, read_labelme
from paddlex.data.formats.labelme_instances import LabelMeInstance, gather_instances
from paddlex.data.formats.labelme_lists import (
    TRAIN_LIST,
    VAL_LIST,
    AnnotationLists,
    read_annotation_lists,
)
from paddlex.data.formats.labelme_photos import Photo, PhotoFolder
from paddlex.data.formats.staging import StagedFiles
from paddlex.utils.errors import ConvertFailedError, DatasetFileNotFoundError, FileFormatError
from paddlex.utils.logging import logger
from paddlex.utils.progress import progress

__all__ = ["ConversionSummary", "convert_labelme_to_coco"]

# Warnings beyond these are counted only; all of them are in the summary.
_LOGGED_WARNINGS = 20


@dataclass(frozen=True)
class ConversionSummary:
    """What a conversion did.

    Attributes:
        class_names: in the order of category ids 1, 2, ...
        train_images: photos of the train side, those without objects included.
        val_images: photos of the val side.
        train_instances: objects of the train side.
        val_instances: objects of the val side.
        special_shapes: shapes of labels such as `__ignore__`, which are no objects.
        skipped_shapes: lines, points and shapes that cover no pixel.
        added_photos: `file_name` of each photo written into `images/`.
        is_split: whether train and val were drawn by chance.
        warnings: one line each.
    """

    class_names: tuple[str, ...]
    train_images: int
    val_images: int
    train_instances: int
    val_instances: int
    special_shapes: int
    skipped_shapes: int
    added_photos: tuple[str, ...]
    is_split: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Object:
    """One instance, ready for COCO; no pixels are kept, so memory does not grow with the photos."""

    label: str
    area: float
    box: list[float]
    segmentation: list[list[float]] | dict[str, Any]


@dataclass(frozen=True)
class _Record:
    """One LabelMe file, read."""

    findings: Findings
    photo: Photo | None = None
    objects: tuple[_Object, ...] = ()
    special_shapes: int = 0
    skipped_shapes: int = 0


def convert_labelme_to_coco(
    dataset_dir: Path | str, *, seed: int = 0, val_percent: float = 20.0, num_workers: int = 4
) -> ConversionSummary:
    """Convert a LabelMe data set to COCO in its own folder.

    Args:
        dataset_dir: holds `images/`, LabelMe files (usually in `annotations/`) and, optionally,
            `train_anno_list.txt` and `val_anno_list.txt`.
        seed: of the split that is made when there is no val list.
        val_percent: share of val in that split, between 0 and 100.
        num_workers: threads that read files.

    Raises:
        DatasetFileNotFoundError: if the folder does not exist.
        ConvertFailedError: listing every fault of every file; the folder is as it was.
    """
    root = Path(os.path.normpath(dataset_dir))
    if not root.is_dir():
        raise DatasetFileNotFoundError(f"{root}: no such folder; Global.dataset_dir must name the data set")
    if not 0 < val_percent < 100:
        raise ConvertFailedError(f"val_percent is {val_percent}; expected a share between 0 and 100")
    try:
        with StagedFiles(root) as staged:
            return _convert(root, staged, seed=seed, val_percent=val_percent, num_workers=num_workers)
    except OSError as error:
        place = error.filename or root
        raise ConvertFailedError(
            f"{place}: cannot be written ({error.strerror or error}); nothing was changed, "
            "make room or give the right to write"
        ) from error


def _convert(
    root: Path, staged: StagedFiles, *, seed: int, val_percent: float, num_workers: int
) -> ConversionSummary:
    lists = read_annotation_lists(root, seed=seed, val_percent=val_percent)
    photos = PhotoFolder(root, staged)
    paths = list(dict.fromkeys(lists.train + lists.val))
    with ThreadPoolExecutor(max_workers=max(1, num_workers)) as pool:
        reading = pool.map(lambda path: _read(root, path, photos), paths)
        read = list(progress(reading, description="Reading LabelMe files", total=len(paths)))
    _require_sound(root, lists, read)

    records = dict(zip(paths, read, strict=True))
    placed = photos.place([record.photo for record in read if record.photo is not None])
    names = dict(zip(paths, placed, strict=True))
    labels = [item.label for record in read for item in record.objects]
    category_ids = {label: number for number, label in enumerate(dict.fromkeys(labels), start=1)}
    train = _coco(lists.train, records=records, names=names, category_ids=category_ids)
    val = _coco(
        lists.val, records=records, names=names, category_ids=category_ids, after=len(train["images"])
    )
    _stage(root, staged, lists=lists, train=train, val=val)
    staged.commit()

    warnings = [*lists.warnings, *_shared_photos(lists, names)]
    warnings += [line for record in read for line in record.findings.warnings]
    _log(warnings)
    return ConversionSummary(
        class_names=tuple(category_ids),
        train_images=len(train["images"]),
        val_images=len(val["images"]),
        train_instances=len(train["annotations"]),
        val_instances=len(val["annotations"]),
        special_shapes=sum(record.special_shapes for record in read),
        skipped_shapes=sum(record.skipped_shapes for record in read),
        added_photos=photos.added,
        is_split=lists.is_split,
        warnings=tuple(warnings),
    )


def _read(root: Path, path: str, photos: PhotoFolder) -> _Record:
    """Read one file wholly; what is wrong with it is in the record's findings."""
    findings = Findings(path)
    try:
        file = read_labelme(root / path, findings=findings)
    except FileFormatError as error:
        findings.error(str(error).removeprefix(f"{root / path}: "))
        return _Record(findings)
    photo = photos.find(file, findings)
    if photo is None:
        return _Record(findings)
    shapes = fit_to_photo(file, header=photo.header, findings=findings).shapes
    instances = gather_instances(shapes, size=photo.header.size, findings=findings)
    special = sum(shape.is_special for shape in shapes)
    kept = sum(len(instance.numbers) for instance in instances)
    objects = tuple(_object(instance, findings) for instance in instances)
    return _Record(findings, photo, objects, special, len(shapes) - special - kept)


def _object(instance: LabelMeInstance, findings: Findings) -> _Object:
    area, box = instance.area_and_box()
    segmentation = instance.segmentation()
    if isinstance(segmentation, dict):
        reason = "has holes, which polygons cannot tell; stored as RLE, which other programs may not read"
        findings.warn(reason, shape=instance.numbers[0])
    return _Object(instance.label, area, box, segmentation)


def _require_sound(root: Path, lists: AnnotationLists, records: Sequence[_Record]) -> None:
    problems = [*lists.errors, *(line for record in records for line in record.findings.errors)]
    if not problems and not any(record.objects for record in records):
        problems.append("no file holds an object; draw polygons in LabelMe first")
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise ConvertFailedError(
            f"{root}: not converted from LabelMe, nothing was changed; {count}:", problems
        )


def _stage(
    root: Path, staged: StagedFiles, *, lists: AnnotationLists, train: dict[str, Any], val: dict[str, Any]
) -> None:
    staged.add_json(train, root / "annotations" / "instance_train.json")
    staged.add_json(val, root / "annotations" / "instance_val.json")
    if lists.is_split:
        staged.add_text("".join(f"{path}\n" for path in lists.train), root / TRAIN_LIST)
        staged.add_text("".join(f"{path}\n" for path in lists.val), root / VAL_LIST)


def _coco(
    paths: Sequence[str],
    *,
    records: dict[str, _Record],
    names: dict[str, str],
    category_ids: dict[str, int],
    after: int = 0,
) -> dict[str, list[dict[str, Any]]]:
    """One side as COCO, image ids above `after`; files of one photo are merged.

    Keys stand in the reference's order.
    """
    images: dict[str, dict[str, Any]] = {}
    annotations: list[dict[str, Any]] = []
    for path in paths:
        photo, name = records[path].photo, names[path]
        assert photo is not None
        height, width = photo.header.size
        image = {"id": after + len(images) + 1, "file_name": name, "width": width, "height": height}
        image_id = images.setdefault(name, image)["id"]
        for item in records[path].objects:
            annotations.append(
                {
                    "image_id": image_id,
                    "bbox": item.box,
                    "segmentation": item.segmentation,
                    "category_id": category_ids[item.label],
                    "id": len(annotations) + 1,
                    "iscrowd": 0,
                    "area": item.area,
                    "ignore": 0,
                }
            )
    categories = [{"name": name, "id": number} for name, number in category_ids.items()]
    return {"images": list(images.values()), "categories": categories, "annotations": annotations}


def _shared_photos(lists: AnnotationLists, names: dict[str, str]) -> list[str]:
    """Warn of photos that several files annotate, and of photos on both sides."""
    warnings = []
    for side in (lists.train, lists.val):
        counts = Counter(names[path] for path in side)
        for name in (name for name, count in counts.items() if count > 1):
            files = ", ".join(path for path in side if names[path] == name)
            warnings.append(f"{files}: all of one photo, {name}; their objects are joined")
    both = {names[path] for path in lists.train} & {names[path] for path in lists.val}
    if both:
        warnings.append(
            f"{len(both)} photo(s) in both train and val (one is {min(both)}); scores will flatter"
        )
    return warnings


def _log(warnings: Sequence[str]) -> None:
    for line in warnings[:_LOGGED_WARNINGS]:
        logger.warning(line)
    if len(warnings) > _LOGGED_WARNINGS:
        logger.warning("and %d more warnings", len(warnings) - _LOGGED_WARNINGS)
