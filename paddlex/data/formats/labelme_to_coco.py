"""LabelMe data set to COCO, in place: `instance_train.json` and `instance_val.json` beside the originals.

The LabelMe files are read and left as they are. The two JSON files, split lists and photos that come from
elsewhere (carried in a LabelMe file, or lying outside `images/`) are written together or, after any fault,
not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddlex.data.formats.findings import Findings
from paddlex.data.formats.labelme import LabelMeFile
from paddlex.data.formats.labelme_folder import (
    LabelMeFolder,
    log_warnings,
    read_labelme_folder,
    stage_drawn_split,
    staging_conversion,
)
from paddlex.data.formats.labelme_instances import LabelMeInstance, gather_instances
from paddlex.data.formats.staging import StagedFiles

__all__ = ["ConversionSummary", "convert_labelme_to_coco"]


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
class _Content:
    """What one LabelMe file holds."""

    objects: tuple[_Object, ...]
    special_shapes: int
    skipped_shapes: int


def convert_labelme_to_coco(
    dataset_dir: Path | str, *, seed: int = 0, val_percent: float | None = 20.0, num_workers: int = 4
) -> ConversionSummary:
    """Convert a LabelMe data set to COCO in its own folder.

    Args:
        dataset_dir: holds `images/`, LabelMe files (usually in `annotations/`) and, optionally,
            `train_anno_list.txt` and `val_anno_list.txt`.
        seed: of the split that is made when there is no val list.
        val_percent: share of val in that split, between 0 and 100; None puts all into train.
        num_workers: threads that read files.

    Raises:
        DatasetFileNotFoundError: if the folder does not exist.
        ConvertFailedError: listing every fault of every file; the folder is as it was.
    """
    with staging_conversion(dataset_dir) as (root, staged):
        folder = read_labelme_folder(
            root,
            staged,
            digest=_content,
            has_objects=lambda content: bool(content.objects),
            seed=seed,
            val_percent=val_percent,
            num_workers=num_workers,
        )
        return _convert(root, staged, folder)


def _convert(root: Path, staged: StagedFiles, folder: LabelMeFolder[_Content]) -> ConversionSummary:
    contents = [record.content for record in folder.records.values()]
    labels = [item.label for content in contents for item in content.objects]
    category_ids = {label: number for number, label in enumerate(dict.fromkeys(labels), start=1)}
    train = _coco(folder.lists.train, folder=folder, category_ids=category_ids)
    val = _coco(folder.lists.val, folder=folder, category_ids=category_ids, after=len(train["images"]))
    staged.add_json(train, root / "annotations" / "instance_train.json")
    staged.add_json(val, root / "annotations" / "instance_val.json")
    stage_drawn_split(root, staged, folder.lists)
    staged.commit()
    warnings = folder.warnings()
    log_warnings(warnings)
    return ConversionSummary(
        class_names=tuple(category_ids),
        train_images=len(train["images"]),
        val_images=len(val["images"]),
        train_instances=len(train["annotations"]),
        val_instances=len(val["annotations"]),
        special_shapes=sum(content.special_shapes for content in contents),
        skipped_shapes=sum(content.skipped_shapes for content in contents),
        added_photos=folder.added_photos,
        is_split=folder.lists.is_split,
        warnings=tuple(warnings),
    )


def _content(file: LabelMeFile, size: tuple[int, int], findings: Findings) -> _Content:
    instances = gather_instances(file.shapes, size=size, findings=findings)
    special = sum(shape.is_special for shape in file.shapes)
    kept = sum(len(instance.numbers) for instance in instances)
    objects = tuple(_object(instance, findings) for instance in instances)
    return _Content(objects, special, len(file.shapes) - special - kept)


def _object(instance: LabelMeInstance, findings: Findings) -> _Object:
    area, box = instance.area_and_box()
    segmentation = instance.segmentation()
    if isinstance(segmentation, dict):
        reason = "has holes, which polygons cannot tell; stored as RLE, which other programs may not read"
        findings.warn(reason, shape=instance.numbers[0])
    return _Object(instance.label, area, box, segmentation)


def _coco(
    paths: Sequence[str],
    *,
    folder: LabelMeFolder[_Content],
    category_ids: dict[str, int],
    after: int = 0,
) -> dict[str, list[dict[str, Any]]]:
    """One side as COCO, image ids above `after`; files of one photo are merged.

    Keys stand in the reference's order.
    """
    images: dict[str, dict[str, Any]] = {}
    annotations: list[dict[str, Any]] = []
    for path in paths:
        record, name = folder.records[path], folder.names[path]
        height, width = record.photo.header.size
        image = {"id": after + len(images) + 1, "file_name": name, "width": width, "height": height}
        image_id = images.setdefault(name, image)["id"]
        for item in record.content.objects:
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
