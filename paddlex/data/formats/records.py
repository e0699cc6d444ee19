"""Annotated photos of formats with one file a photo, gathered into COCO's form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paddlex.data.formats.coco import CocoAnnotation, CocoCategory, CocoFile, CocoImage
from paddlex.data.formats.faults import Fault
from paddlex.data.formats.segmentation import Polygons, Segmentation
from paddlex.structures.masks import MaskCrops

__all__ = ["ObjectRecord", "PhotoRecord", "coco_from_records", "label_map_from_objects"]

_Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class ObjectRecord:
    """One object; it has a box or a segmentation, or both.

    Attributes:
        label: the class's name.
        box: (x, y, width, height), pixels.
        segmentation: polygons or run lengths.
        is_difficult: as PASCAL VOC marks it.
    """

    label: str
    box: _Box | None = None
    segmentation: Segmentation | None = None
    is_difficult: bool = False


@dataclass(frozen=True)
class PhotoRecord:
    """One annotated photo.

    Attributes:
        file_name: the photo, relative to the data set.
        size: (height, width), pixels, or None where the file does not tell.
        objects: in file order.
        place: the annotation file, for messages.
    """

    file_name: str
    size: tuple[int, int] | None
    objects: tuple[ObjectRecord, ...]
    place: str


def coco_from_records(
    photos: Sequence[PhotoRecord], labels: Sequence[str], *, faults: list[Fault]
) -> tuple[CocoFile, int]:
    """The photos as COCO: ids from 1, classes in the order of `labels`.

    Args:
        photos: in the order of their ids.
        labels: the classes; objects of others are left out.
        faults: receives what is left out.

    Returns:
        The file, and how many of its objects have no mask: the rectangle of their box stands for it.
    """
    category_ids = {label: number for number, label in enumerate(labels, start=1)}
    annotations: list[CocoAnnotation] = []
    boxes = 0
    for image_id, photo in enumerate(photos, start=1):
        for number, record in enumerate(photo.objects, start=1):
            place = f"{photo.place}, object {number}"
            segmentation = record.segmentation or _rectangle(record.box)
            if record.label not in category_ids:
                faults.append(Fault(place, "label is not in the list of labels", repr(record.label)))
            elif segmentation is None:
                faults.append(Fault(place, "neither a box with an extent nor a mask", str(record.box)))
            else:
                boxes += record.segmentation is None
                annotations.append(
                    CocoAnnotation(
                        id=len(annotations) + 1,
                        image_id=image_id,
                        category_id=category_ids[record.label],
                        segmentation=segmentation,
                        bbox=record.box,
                        is_difficult=record.is_difficult,
                    )
                )
    images = (CocoImage(number, photo.file_name, photo.size) for number, photo in enumerate(photos, start=1))
    categories = (CocoCategory(number, label) for label, number in category_ids.items())
    return CocoFile(tuple(images), tuple(categories), tuple(annotations)), boxes


def label_map_from_objects(
    masks: Iterable[tuple[int, MaskCrops | None]], *, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Paint masks in their order; what is painted later covers what was before, what none covers is 0.

    Args:
        masks: (class index, masks of that class or None).
        size: (height, width), pixels.

    Returns:
        (height, width) class indices.
    """
    label_map = np.zeros(size, np.uint8)
    for class_id, crops in masks:
        for y, x, crop in crops or ():
            label_map[y : y + crop.shape[0], x : x + crop.shape[1]][crop] = class_id
    return label_map


def _rectangle(box: _Box | None) -> Polygons | None:
    if box is None or box[2] <= 0 or box[3] <= 0:
        return None
    x, y, width, height = box
    right, bottom = x + width, y + height
    return Polygons((np.array([x, y, right, y, right, bottom, x, bottom], dtype=np.float64),))
