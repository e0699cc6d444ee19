"""The names of classes: a data set's own, and COCO's, which published weights predict."""

from __future__ import annotations

from pathlib import Path

from paddlex.data.formats.coco import read_coco
from paddlex.modules.trained_network import ClassNames
from paddlex.utils.errors import PaddleXError

__all__ = ["COCO_CLASS_NAMES", "INSTANCE_CLASSES"]

# COCO 2017 instances in the order of their category ids.

COCO_CLASS_NAMES: tuple[str, ...] = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    *("traffic light", "fire hydrant", "stop sign", "parking meter", "bench"),
    *("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"),
    *("backpack", "umbrella", "handbag", "tie", "suitcase"),
    *("frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove"),
    *("skateboard", "surfboard", "tennis racket"),
    *("bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl"),
    *("banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake"),
    *("chair", "couch", "potted plant", "bed", "dining table", "toilet"),
    *("tv", "laptop", "mouse", "remote", "keyboard", "cell phone"),
    *("microwave", "oven", "toaster", "sink", "refrigerator"),
    *("book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush"),
)


def _names_in_dataset(dataset_dir: Path) -> tuple[str, ...]:
    file = dataset_dir / "annotations" / "instance_train.json"
    try:
        return tuple(category.name for category in read_coco(file, faults=[]).categories)
    except PaddleXError:
        # Shipped configurations name a data set that need not be there to export weights.
        return ()


INSTANCE_CLASSES = ClassNames(in_dataset=_names_in_dataset, published=(COCO_CLASS_NAMES,))
