"""Which classes are taken for which: an instance confusion matrix with a background row and column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from paddlex.structures.results import Detections

__all__ = ["InstanceConfusion"]


class InstanceConfusion:
    """Counts of (annotated class, predicted class) over instances matched by mask overlap.

    Instances are matched whatever their class, one to one, highest mask IoU first; at equal IoU a pair of
    equal class goes first, then the higher score. Detections that lie in a crowd region are left out.

    Args:
        ground_truth: COCO object with images (id, height, width), categories in order of class index, and
            annotations (iscrowd, segmentation).
        score: detections below it are ignored.
        iou: least mask IoU of a match.

    Attributes:
        counts: (C + 1, C + 1) int64, row annotated, column predicted; the last row holds objects found where
            none is annotated, the last column annotated objects not found.
    """

    def __init__(self, *, ground_truth: Mapping[str, Any], score: float = 0.5, iou: float = 0.5) -> None:
        self._class_of = {category["id"]: i for i, category in enumerate(ground_truth["categories"])}
        self._sizes = {image["id"]: (image["height"], image["width"]) for image in ground_truth["images"]}
        self._annotations: dict[int, list[Mapping[str, Any]]] = {}
        for annotation in ground_truth["annotations"]:
            self._annotations.setdefault(annotation["image_id"], []).append(annotation)
        self._score, self._iou = score, iou
        self.reset()

    def reset(self) -> None:
        """Forget all photos."""
        self.counts: NDArray[np.int64] = np.zeros((len(self._class_of) + 1,) * 2, np.int64)

    def update(self, *, image_id: int, detections: Detections) -> None:
        """Take in one photo."""
        annotations = self._annotations.get(image_id, [])
        crowd = np.array([bool(entry["iscrowd"]) for entry in annotations], bool)
        gt_ids = np.array([self._class_of[entry["category_id"]] for entry in annotations], np.int64)[~crowd]
        chosen = np.flatnonzero(detections.scores >= self._score)
        pred_ids, scores = detections.class_ids[chosen], detections.scores[chosen]
        overlap = self._overlaps(image_id, detections.masks[chosen].to_rles())
        pairs = _match(overlap[:, ~crowd], pred_ids=pred_ids, gt_ids=gt_ids, scores=scores, iou=self._iou)
        np.add.at(self.counts, (gt_ids[pairs[:, 1]], pred_ids[pairs[:, 0]]), 1)
        missed = np.delete(gt_ids, pairs[:, 1])
        stray = ~np.any(overlap[:, crowd] >= self._iou, axis=1, keepdims=True)[:, 0]
        stray[pairs[:, 0]] = False
        self.counts[:, -1] += np.bincount(missed, minlength=len(self.counts))
        self.counts[-1] += np.bincount(pred_ids[stray], minlength=len(self.counts))

    def compute(self) -> dict[str, float]:
        """Precision, recall and F1 over all instances at the two thresholds, in [0, 1].

        NaN where nothing was predicted or annotated.
        """
        right = int(np.trace(self.counts[:-1, :-1]))
        predicted, annotated = int(self.counts[:, :-1].sum()), int(self.counts[:-1].sum())
        return {
            "precision": right / predicted if predicted else float("nan"),
            "recall": right / annotated if annotated else float("nan"),
            "F1": 2 * right / (predicted + annotated) if predicted + annotated else float("nan"),
        }

    def _overlaps(self, image_id: int, rles: list[dict[str, Any]]) -> NDArray[np.float64]:
        """(P, G) mask IoU; against a crowd region the share of the detection inside it."""
        annotations = self._annotations.get(image_id, [])
        if not rles or not annotations:
            return np.zeros((len(rles), len(annotations)))
        truth = [_rle(entry["segmentation"], self._sizes[image_id]) for entry in annotations]
        return np.asarray(coco_mask.iou(rles, truth, [int(entry["iscrowd"]) for entry in annotations]))


def _match(
    ious: NDArray[np.float64],
    *,
    pred_ids: NDArray[np.int64],
    gt_ids: NDArray[np.int64],
    scores: NDArray[np.float32],
    iou: float,
) -> NDArray[np.int64]:
    """(M, 2) pairs of (detection, object), each used once."""
    pairs = np.argwhere(ious >= iou)
    pred, gt = pairs.T
    order = np.lexsort((-scores[pred], pred_ids[pred] != gt_ids[gt], -ious[pred, gt]))
    used_pred, used_gt, matched = set(), set(), []
    for p, g in pairs[order].tolist():
        if p not in used_pred and g not in used_gt:
            used_pred.add(p)
            used_gt.add(g)
            matched.append((p, g))
    return np.array(matched, np.int64).reshape(-1, 2)


def _rle(segmentation: Any, size: tuple[int, int]) -> dict[str, Any]:  # noqa: ANN401 (polygons or RLE)
    if isinstance(segmentation, dict):
        return segmentation
    rle: dict[str, Any] = coco_mask.merge(coco_mask.frPyObjects(segmentation, *size))
    return rle
