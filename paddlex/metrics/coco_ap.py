"""Average precision by COCO's protocol, for boxes and for masks (Lin et al., arXiv:1405.0312).

The tables of `coco_protocol` are summed up here, at full precision. Equality with pycocotools is a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.metrics.coco_protocol import IouType, evaluate_coco
from paddlex.structures.results import Detections

__all__ = ["APTable", "CocoAveragePrecision", "IouType"]

_AREAS = ("all", "small", "medium", "large")
_MAX_DETECTIONS = (1, 10, 100)


@dataclass(frozen=True, eq=False)
class APTable:
    """Accumulated precision and recall of one kind of overlap.

    Attributes:
        precision: (10, 101, C, 4, 3) interpolated precision by IoU threshold 0.50:0.05:0.95, recall threshold
            0:0.01:1, class, area (all, small, medium, large), most detections a photo (1, 10, 100); -1 where
            there is no ground truth.
        recall: (10, C, 4, 3) likewise without recall thresholds.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    def summary(self) -> dict[str, float]:
        """COCO's twelve numbers in [0, 1]; NaN where there is no ground truth."""
        scores = {
            "AP": _mean(self.precision[:, :, :, 0, 2]),
            "AP50": _mean(self.precision[0, :, :, 0, 2]),
            "AP75": _mean(self.precision[5, :, :, 0, 2]),
        }
        scores |= {f"AP_{area}": _mean(self.precision[..., k, 2]) for k, area in enumerate(_AREAS) if k}
        scores |= {f"AR{most}": _mean(self.recall[..., 0, m]) for m, most in enumerate(_MAX_DETECTIONS)}
        scores |= {f"AR_{area}": _mean(self.recall[..., k, 2]) for k, area in enumerate(_AREAS) if k}
        return scores

    def per_class(self) -> NDArray[np.float64]:
        """(C,) AP of each class; NaN for a class without ground truth."""
        return np.array([_mean(self.precision[:, :, c, 0, 2]) for c in range(self.precision.shape[2])])

    def curves(self, *, iou: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Precision over recall at one IoU threshold.

        Args:
            iou: 0.50, 0.55, ... 0.95.

        Returns:
            recall (101,) and precision (101, C), NaN for a class without ground truth.
        """
        threshold = round((iou - 0.5) / 0.05)
        precision = self.precision[threshold, :, :, 0, 2]
        return np.linspace(0.0, 1.0, 101), np.where(precision < 0, np.nan, precision)


class CocoAveragePrecision:
    """COCO AP and AR of boxes and masks, at most 100 detections a photo, photos without objects included.

    Args:
        ground_truth: COCO object with images (id, height, width), categories in order of class index, and
            annotations (bbox, area, iscrowd, segmentation). A photo that is never taken in has no detections.

    Attributes:
        tables: what the scores are made from, once computed.
    """

    def __init__(self, *, ground_truth: Mapping[str, Any]) -> None:
        self._truth = ground_truth
        self._category_ids = [int(category["id"]) for category in ground_truth["categories"]]
        self.reset()

    def reset(self) -> None:
        """Forget all detections."""
        self._results: dict[IouType, list[dict[str, Any]]] = {"bbox": [], "segm": []}
        self.tables: dict[IouType, APTable] = {}

    def update(self, *, image_id: int, detections: Detections) -> None:
        """Take in one photo's detections; each photo once. Those with the 100 highest scores count."""
        boxes = detections.boxes.astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        for i, rle in enumerate(detections.masks.to_rles()):
            head = {
                "image_id": image_id,
                "category_id": self._category_ids[detections.class_ids[i]],
                "score": float(detections.scores[i]),
            }
            self._results["bbox"].append({**head, "bbox": boxes[i].tolist()})
            self._results["segm"].append({**head, "segmentation": rle})

    def results(self, iou_type: IouType) -> list[dict[str, Any]]:
        """Detections in COCO's results form, ready for JSON.

        Boxes and masks are two lists, as the protocol wants: an entry with both has the area of its box.
        """
        return self._results[iou_type]

    def compute(self) -> dict[str, float]:
        """COCO's twelve numbers for masks (`AP`, ...) and for boxes (`bbox_AP`, ...), in [0, 1].

        Without any detection the AP is 0; where there is no ground truth it is NaN.
        """
        self.tables = {"segm": self._accumulate("segm"), "bbox": self._accumulate("bbox")}
        boxes = {f"bbox_{name}": value for name, value in self.tables["bbox"].summary().items()}
        return {**self.tables["segm"].summary(), **boxes}

    def _accumulate(self, iou_type: IouType) -> APTable:
        tables = evaluate_coco(self._truth, self._results[iou_type], iou_type=iou_type)
        return APTable(precision=tables.precision, recall=tables.recall)


def _mean(values: NDArray[np.float64]) -> float:
    valid = values[values > -1]
    return float(np.mean(valid)) if valid.size else float("nan")
