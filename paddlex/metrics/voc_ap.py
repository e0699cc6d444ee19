"""Average precision of boxes by the protocol of PASCAL VOC 2007: IoU 0.5, eleven points of recall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["voc_average_precision"]

_RECALLS = np.linspace(0.0, 1.0, 11)


def voc_average_precision(
    ground_truth: Mapping[str, Any], boxes: Sequence[Mapping[str, Any]], *, iou: float = 0.5
) -> dict[int, float]:
    """AP of each category that is annotated.

    Objects that are difficult (`difficult` or `iscrowd` set) neither count nor harm who finds them. A box is
    right if it overlaps an object of its photo enough that no better one has taken (Everingham et al. 2010,
    section 4.2; sides are counted in whole pixels, x2 - x1 + 1).

    Args:
        ground_truth: COCO object with annotations (image_id, category_id, bbox xywh) and categories.
        boxes: detections (image_id, category_id, bbox xywh, score).
        iou: overlap that is enough, inclusive.

    Returns:
        AP in [0, 1] by category id.
    """
    found: dict[int, float] = {}
    for category in ground_truth["categories"]:
        number = int(category["id"])
        objects = [entry for entry in ground_truth["annotations"] if entry["category_id"] == number]
        own = [box for box in boxes if box["category_id"] == number]
        count = sum(not _is_difficult(entry) for entry in objects)
        if count:
            found[number] = _average_precision(_are_right(own, objects, iou=iou), count=count)
    return found


def _is_difficult(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("difficult") or entry.get("iscrowd"))


def _are_right(
    boxes: Sequence[Mapping[str, Any]], objects: Sequence[Mapping[str, Any]], *, iou: float
) -> NDArray[np.bool_]:
    """Whether each box, best score first, is right; those on difficult objects are left out."""
    by_photo: dict[int, list[Mapping[str, Any]]] = {}
    for entry in objects:
        by_photo.setdefault(entry["image_id"], []).append(entry)
    taken: set[tuple[int, int]] = set()
    right = []
    for box in sorted(boxes, key=lambda one: -one["score"]):
        photo = by_photo.get(box["image_id"], [])
        overlaps = _overlaps(box["bbox"], [entry["bbox"] for entry in photo])
        best = int(overlaps.argmax()) if len(overlaps) else -1
        if best < 0 or overlaps[best] < iou:
            right.append(False)
        elif not _is_difficult(photo[best]):
            place = box["image_id"], best
            right.append(place not in taken)
            taken.add(place)
    return np.array(right, bool)


def _overlaps(box: Sequence[float], others: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """IoU of one box xywh with each of the others."""
    if not others:
        return np.zeros(0)
    x, y, width, height = np.array(others, np.float64).T
    left, top = np.maximum(x, box[0]), np.maximum(y, box[1])
    right, bottom = np.minimum(x + width, box[0] + box[2]), np.minimum(y + height, box[1] + box[3])
    shared = np.clip(right - left + 1, 0, None) * np.clip(bottom - top + 1, 0, None)
    areas = (width + 1) * (height + 1) + (box[2] + 1) * (box[3] + 1)
    return np.asarray(shared / (areas - shared))


def _average_precision(right: NDArray[np.bool_], *, count: int) -> float:
    """Mean over eleven recalls of the best precision at that recall or a higher one."""
    hits = np.cumsum(right)
    recall, precision = hits / count, hits / np.maximum(np.arange(len(right)) + 1, 1)
    best = [precision[recall >= point - 1e-9].max(initial=0.0) for point in _RECALLS]
    return float(np.mean(best))
