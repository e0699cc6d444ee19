"""What `convert_dataset` writes: folders and files as PaddleX 2 lays data sets out.

Every function takes a source, the folder it works in, and the folder that becomes the data set.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from paddlex.data.formats.coco import CocoAnnotation, CocoImage, read_coco
from paddlex.data.formats.index_mask import write_mask
from paddlex.data.formats.pair_list import CLASS_FILES, read_pair_list
from paddlex.data.formats.segmentation import Polygons, segmentation_mask
from paddlex.data.formats.voc import VocFile, VocObject, write_voc
from paddlex.data.formats.voc_records import MASK_FOLDER
from paddlex.tools.sources import Source
from paddlex.utils.errors import ConvertFailedError
from paddlex.utils.files import write_text

__all__ = ["TARGETS"]

# 255 is the border that belongs to no object.
_MOST_NUMBERED_OBJECTS = 254


def _to_coco(source: Source, work: Path, result: Path) -> None:
    file = source.to_coco(work)
    for image in read_coco(file).images:
        _move(work / "images" / image.file_name, result / "JPEGImages" / image.file_name)
    _move(file, result / "annotations.json")


def _to_masks(source: Source, work: Path, result: Path) -> None:
    source.to_masks(work)
    for pair in read_pair_list(work, "train.txt").pairs:
        _move(work / pair.image, result / "JPEGImages" / Path(pair.image).relative_to("images"))
        _move(work / pair.mask, result / "Annotations" / Path(pair.mask).relative_to("annotations"))
    _move(work / CLASS_FILES[0], result / "labels.txt")


def _to_voc(source: Source, work: Path, result: Path) -> None:
    coco = read_coco(source.to_coco(work))
    names = {category.id: category.name for category in coco.categories}
    owned: dict[int, list[CocoAnnotation]] = {image.id: [] for image in coco.images}
    for annotation in coco.annotations:
        owned[annotation.image_id].append(annotation)
    for image in coco.images:
        objects = tuple(_voc_object(one, names[one.category_id]) for one in owned[image.id])
        target = result / "Annotations" / Path(image.file_name).with_suffix(".xml")
        target.parent.mkdir(parents=True, exist_ok=True)
        write_voc(target, VocFile(image.file_name, image.size, objects))
        _number_masks(image, owned[image.id], result)
        _move(work / "images" / image.file_name, result / "JPEGImages" / image.file_name)
    write_text(result / "labels.txt", "".join(f"{name}\n" for name in names.values()))


def _voc_object(annotation: CocoAnnotation, name: str) -> VocObject:
    x, y, width, height = annotation.bbox or (0.0, 0.0, 0.0, 0.0)
    outline = annotation.segmentation
    parts = outline.parts if isinstance(outline, Polygons) else ()
    return VocObject(
        name=name,
        corners=(x, y, x + width, y + height),
        polygons=tuple(part.reshape(-1, 2) for part in parts),
        is_difficult=annotation.is_difficult,
    )


def _number_masks(image: CocoImage, annotations: list[CocoAnnotation], result: Path) -> None:
    """Draw the masks that polygons cannot tell, such as those with holes, by the object's number."""
    masks = [
        (number, one.segmentation)
        for number, one in enumerate(annotations, start=1)
        if one.segmentation is not None and not isinstance(one.segmentation, Polygons)
    ]
    if not masks:
        return
    assert image.size is not None  # conversions write sizes
    path = result / MASK_FOLDER / Path(image.file_name).with_suffix(".png").name
    if masks[-1][0] > _MOST_NUMBERED_OBJECTS or path.exists():
        why = "another photo has its name" if path.exists() else f"over {_MOST_NUMBERED_OBJECTS} objects"
        raise ConvertFailedError(
            "not converted:",
            [f"{image.file_name}: {why}, so that its masks cannot be written; choose MSCOCO"],
        )
    numbers = np.zeros(image.size, np.uint8)
    for number, outline in masks:
        for y, x, crop in segmentation_mask(outline, size=image.size):
            numbers[y : y + crop.shape[0], x : x + crop.shape[1]][crop] = number
    write_mask(path, numbers)


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)


TARGETS: dict[str, Callable[[Source, Path, Path], Any]] = {
    "PASCALVOC": _to_voc,
    "MSCOCO": _to_coco,
    "SEG": _to_masks,
}
