"""What the detector's errors cost, kind by kind, on precision-recall curves.

Kinds of false positives: Hoiem, Chodpathumwan and Dai, "Diagnosing Error in Object Detectors", ECCV 2012.
Curves: COCO's analysis protocol, https://cocodataset.org/#detection-eval. Each curve forgives one kind more
than the one before, so the area between two curves is what that kind costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from paddlex.metrics.coco_protocol import IouType, evaluate_coco

__all__ = ["ERROR_STAGES", "error_curves"]

ERROR_STAGES = ("C75", "C50", "Loc", "Sim", "Oth", "BG", "FN")

# From this overlap on, a detection has to do with an object (Hoiem et al., section 3.1).
_LOOSE_IOU = 0.1
_MOST_DETECTIONS = 100

Entry = Mapping[str, Any]


def error_curves(
    ground_truth: Mapping[str, Any], results: Sequence[Entry], *, iou_type: IouType
) -> NDArray[np.float64]:
    """Precision over recall while errors are forgiven.

    C75 and C50: nothing forgiven at IoU 0.75 and 0.50. Loc: bad places, IoU 0.1 suffices. Sim: also
    detections on objects of another class of the same supercategory. Oth: of any other class. BG: also those
    on the background and second ones on one object, so all false positives. FN: also objects not found, 1
    everywhere.

    A class without a supercategory is similar to none. Unlike in COCO's script, several detections on one
    object of another class are all confusions, as Hoiem et al. define them; none of them is background.

    Args:
        ground_truth: COCO object with images, categories and annotations (bbox, area, iscrowd; segmentation
            as run lengths for masks).
        results: in COCO's results form, in any order.
        iou_type: which overlap decides.

    Returns:
        (7, 101, C): stages of `ERROR_STAGES`, recall 0:0.01:1, classes in file order; NaN for a class without
        objects.
    """
    results = _highest(results)
    strict = evaluate_coco(ground_truth, results, iou_type=iou_type, iou_thresholds=(0.75, 0.5)).precision
    loose = evaluate_coco(ground_truth, results, iou_type=iou_type, iou_thresholds=(_LOOSE_IOU,))
    stray = [place for place in range(len(results)) if place not in loose.matched]
    similar, other = _confusions(ground_truth, results, stray, iou_type=iou_type)
    curves = [strict[0, :, :, 0, 0], strict[1, :, :, 0, 0], loose.precision[0, :, :, 0, 0]]
    for confused in (similar, other):
        # Without a match, a detection leaves no gap: the others are matched as before.
        kept = [result for place, result in enumerate(results) if place not in confused]
        tables = evaluate_coco(ground_truth, kept, iou_type=iou_type, iou_thresholds=(_LOOSE_IOU,))
        curves.append(tables.precision[0, :, :, 0, 0])
    reached = (curves[-1] > 0).astype(np.float64)
    stages = np.stack([*curves, reached, np.ones_like(reached)])
    return np.where(curves[0] < 0, np.nan, stages)


def _highest(results: Iterable[Entry]) -> list[Entry]:
    """The detections that COCO counts: the 100 highest scores of each class on each photo."""
    groups: dict[tuple[Any, Any], list[Entry]] = {}
    for result in results:
        groups.setdefault((result["image_id"], result["category_id"]), []).append(result)
    ranked = (sorted(group, key=lambda entry: -entry["score"]) for group in groups.values())
    return [entry for group in ranked for entry in group[:_MOST_DETECTIONS]]


def _confusions(
    ground_truth: Mapping[str, Any], results: Sequence[Entry], stray: Sequence[int], *, iou_type: IouType
) -> tuple[set[int], set[int]]:
    """Which unmatched detections lie on an object of a similar class, and of any other class.

    Args:
        ground_truth: as in `error_curves`.
        results: all detections.
        stray: places of those that were not matched.
        iou_type: which overlap decides.

    Returns:
        Two sets of places; the first is a part of the second.
    """
    family = {entry["id"]: entry.get("supercategory") or None for entry in ground_truth["categories"]}
    objects: dict[Any, list[Entry]] = {}
    for annotation in ground_truth["annotations"]:
        objects.setdefault(annotation["image_id"], []).append(annotation)
    by_photo: dict[Any, list[int]] = {}
    for place in stray:
        by_photo.setdefault(results[place]["image_id"], []).append(place)
    similar, other = set(), set()
    for image_id, places in by_photo.items():
        here = objects.get(image_id, [])
        touching = _overlaps([results[p] for p in places], here, iou_type=iou_type) >= _LOOSE_IOU
        for place, row in zip(places, touching, strict=True):
            own = results[place]["category_id"]
            ids = {here[i]["category_id"] for i in np.flatnonzero(row)} - {own}
            if ids:
                other.add(place)
            if family[own] is not None and family[own] in {family[i] for i in ids}:
                similar.add(place)
    return similar, other


def _overlaps(found: Sequence[Entry], objects: Sequence[Entry], *, iou_type: IouType) -> NDArray[np.float64]:
    """(F, O) IoU; against a crowd the share of the detection inside it."""
    if not found or not objects:
        return np.zeros((len(found), len(objects)))
    sides: list[Any] = [
        np.array([entry["bbox"] for entry in entries], np.float64)
        if iou_type == "bbox"
        else [entry["segmentation"] for entry in entries]
        for entries in (found, objects)
    ]
    return np.asarray(coco_mask.iou(*sides, [int(entry.get("iscrowd", 0)) for entry in objects]))
