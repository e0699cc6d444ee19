"""How many photos and objects of which class and size a data set holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from paddlex.data.formats.coco import CocoAnnotation, CocoFile

__all__ = ["INPUT_SIDE", "TINY_SIDE", "ObjectSizes", "SplitStatistics", "coco_statistics"]

# An object below 16 pixels covers less than one cell of the coarsest feature map that heads look at (stride
# 32) in each direction by half; at 640 x 640, the input size of most models, it is hard to learn.
TINY_SIDE = 16
INPUT_SIDE = 640
# Limits of COCO's small, medium and large objects, in pixels of area on the photo itself.
_SMALL, _MEDIUM = 32**2, 96**2


@dataclass(frozen=True)
class ObjectSizes:
    """Sizes of the objects of one split, by their boxes.

    Attributes:
        small: objects below 32 x 32 pixels of the photo.
        medium: objects below 96 x 96.
        large: the others.
        median_side: median of sqrt(width * height) once the photo is resized to 640 x 640, pixels.
        tiny: objects whose side is then below 16 pixels.
    """

    small: int = 0
    medium: int = 0
    large: int = 0
    median_side: float = 0.0
    tiny: int = 0


@dataclass(frozen=True)
class SplitStatistics:
    """Counts of one split.

    Attributes:
        photos: listed photos.
        empty_photos: those without objects.
        annotations: entries of the annotation list, crowds included.
        crowds: entries that are no objects (`iscrowd` or `ignore`).
        class_counts: objects per class, in the order of the classes.
        sizes: how large the objects are.
    """

    photos: int
    empty_photos: int
    annotations: int
    crowds: int
    class_counts: tuple[int, ...]
    sizes: ObjectSizes


def coco_statistics(coco: CocoFile) -> SplitStatistics:
    """Count one COCO file. Objects of photos whose size the file does not state have no part in `sizes`."""
    objects = [item for item in coco.annotations if not (item.is_crowd or item.ignore)]
    counts = Counter(item.category_id for item in objects)
    return SplitStatistics(
        photos=len(coco.images),
        empty_photos=len({image.id for image in coco.images} - {item.image_id for item in objects}),
        annotations=len(coco.annotations),
        crowds=len(coco.annotations) - len(objects),
        class_counts=tuple(counts[category.id] for category in coco.categories),
        sizes=_sizes(coco, objects),
    )


def _sizes(coco: CocoFile, objects: Sequence[CocoAnnotation]) -> ObjectSizes:
    photo_sizes = {image.id: image.size for image in coco.images if image.size}
    measured = [item for item in objects if item.image_id in photo_sizes]
    boxes = [_box_size(item) for item in measured]
    areas = np.array([w * h for w, h in boxes], dtype=np.float64)
    photos = np.array([photo_sizes[item.image_id] for item in measured], dtype=np.float64).reshape(-1, 2)
    visible = areas > 0
    if not visible.any():
        return ObjectSizes()
    areas, photos = areas[visible], photos[visible]
    sides: NDArray[np.float64] = np.sqrt(areas / photos.prod(axis=1)) * INPUT_SIDE
    return ObjectSizes(
        small=int((areas < _SMALL).sum()),
        medium=int(((areas >= _SMALL) & (areas < _MEDIUM)).sum()),
        large=int((areas >= _MEDIUM).sum()),
        median_side=round(float(np.median(sides)), 1),
        tiny=int((sides < TINY_SIDE).sum()),
    )


def _box_size(annotation: CocoAnnotation) -> tuple[float, float]:
    """(width, height), pixels; of the outline where there is one, as in training."""
    from paddlex.data.formats.segmentation import Polygons

    segmentation = annotation.segmentation
    if isinstance(segmentation, Polygons):
        points = np.concatenate(segmentation.parts).reshape(-1, 2)
        width, height = np.ptp(points, axis=0).tolist()
        return width, height
    if segmentation is not None:
        from pycocotools import mask as coco_mask

        rle = {"size": list(segmentation.size), "counts": segmentation.counts}
        _, _, width, height = coco_mask.toBbox(rle).tolist()
        return width, height
    return (annotation.bbox[2], annotation.bbox[3]) if annotation.bbox else (0.0, 0.0)
