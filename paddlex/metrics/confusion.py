"""Which classes are taken for which: an instance confusion matrix with a background row and column."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from paddlex.metrics.instances import AnnotatedInstances, PredictedInstances

__all__ = ["InstanceConfusion"]


class InstanceConfusion:
    """Counts of (annotated class, predicted class) over instances matched by mask overlap.

    Instances are matched whatever their class, one to one, highest mask IoU first; at equal IoU a pair of
    equal class goes first, then the higher score. Predictions that lie in a crowd region are left out.

    Args:
        num_classes: C, without background.
        score: predictions below it are ignored.
        iou: least mask IoU of a match.

    Attributes:
        counts: (C + 1, C + 1) int64, row annotated, column predicted; the last row holds objects found where
            none is annotated, the last column annotated objects not found.
    """

    def __init__(self, *, num_classes: int, score: float = 0.5, iou: float = 0.5) -> None:
        self._num_classes = num_classes
        self._score = score
        self._iou = iou
        self.reset()

    def reset(self) -> None:
        """Forget all photos."""
        self.counts: NDArray[np.int64] = np.zeros((self._num_classes + 1,) * 2, np.int64)

    def update(self, *, predicted: PredictedInstances, annotated: AnnotatedInstances) -> None:
        """Take in one photo."""
        chosen = np.flatnonzero(predicted.scores >= self._score)
        pred_ids, scores = predicted.class_ids[chosen], predicted.scores[chosen]
        objects = np.flatnonzero(~annotated.crowd)
        gt_ids = annotated.class_ids[objects]
        overlap = _overlaps(predicted, annotated, chosen=chosen)
        ious = overlap[:, objects]
        pairs = np.argwhere(ious >= self._iou)
        order = np.lexsort(
            (
                -scores[pairs[:, 0]],
                pred_ids[pairs[:, 0]] != gt_ids[pairs[:, 1]],
                -ious[pairs[:, 0], pairs[:, 1]],
            )
        )
        free_pred, free_gt = np.ones(len(chosen), bool), np.ones(len(objects), bool)
        for p, g in pairs[order]:
            if free_pred[p] and free_gt[g]:
                free_pred[p] = free_gt[g] = False
                self.counts[gt_ids[g], pred_ids[p]] += 1
        in_crowd = (overlap[:, annotated.crowd] >= self._iou).any(axis=1)
        classes = self._num_classes + 1
        self.counts[:, -1] += np.bincount(gt_ids[free_gt], minlength=classes)
        self.counts[-1] += np.bincount(pred_ids[free_pred & ~in_crowd], minlength=classes)

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


def _overlaps(
    predicted: PredictedInstances, annotated: AnnotatedInstances, *, chosen: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(P, G) mask IoU; against a crowd region the share of the prediction inside it."""
    if not len(chosen) or not len(annotated):
        return np.zeros((len(chosen), len(annotated)))
    return np.asarray(
        coco_mask.iou(
            predicted.masks[chosen].to_rles(),
            annotated.masks.to_rles(),
            annotated.crowd.astype(np.uint8).tolist(),
        )
    )
