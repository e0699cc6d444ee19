"""The names of classes: a data set's own, and those that published weights predict."""

from __future__ import annotations

from pathlib import Path

from paddlex.data.formats.pair_list import read_class_names
from paddlex.modules.trained_network import ClassNames
from paddlex.utils.errors import PaddleXError

__all__ = ["SEMANTIC_CLASSES"]

_CITYSCAPES = (
    *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign"),
    *("vegetation", "terrain", "sky", "person", "rider"),
    *("car", "truck", "bus", "train", "motorcycle", "bicycle"),
)
_PASCAL_VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train"),
    "tvmonitor",
)


def _names_in_dataset(dataset_dir: Path) -> tuple[str, ...]:
    try:
        found = read_class_names(dataset_dir)
    except PaddleXError:
        # Shipped configurations name a data set that need not be there to export weights.
        return ()
    return found[0] if found is not None else ()


SEMANTIC_CLASSES = ClassNames(in_dataset=_names_in_dataset, published=(_CITYSCAPES, _PASCAL_VOC))
