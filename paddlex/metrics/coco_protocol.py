"""One run of COCO's evaluation (Lin et al., arXiv:1405.0312) over lists of results.

Matching and accumulation run in faster-coco-eval, a C++ twin of pycocotools; its tables are handed on as
arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["CocoTables", "IouType", "evaluate_coco"]

IouType = Literal["bbox", "segm"]

_KEYS = ("images", "annotations", "categories")


@dataclass(frozen=True, eq=False)
class CocoTables:
    """What one evaluation counted, by IoU threshold T, recall threshold R, class C, area A, detections M.

    Classes are in the order of the ground truth's categories; -1 marks those without ground truth.

    Attributes:
        precision: (T, R, C, A, M), interpolated, R = 101 recall thresholds 0:0.01:1.
        scores: (T, R, C, A, M), the score down to which detections count at that recall.
        recall: (T, C, A, M), the largest reached.
        matched: places of the results that were matched to an object, crowds included.
    """

    precision: NDArray[np.float64]
    scores: NDArray[np.float64]
    recall: NDArray[np.float64]
    matched: frozenset[int]


def evaluate_coco(
    ground_truth: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    *,
    iou_type: IouType,
    iou_thresholds: Sequence[float] | None = None,
) -> CocoTables:
    """Match results to objects and accumulate precision and recall.

    Args:
        ground_truth: COCO object with images, categories and annotations.
        results: in COCO's results form, of images of the ground truth.
        iou_type: which overlap decides.
        iou_thresholds: None for COCO's ten, its four areas and 1, 10 and 100 detections a photo and class;
            given, objects of all areas and 100 detections are counted, A = M = 1.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    # The library writes into the entries it is given.
    copied = {key: [dict(entry) for entry in ground_truth[key]] for key in _KEYS}
    truth = COCO(copied)
    found = truth.loadRes([dict(entry) for entry in results])
    evaluation = COCOeval_faster(truth, found, iouType=iou_type, print_function=_silent)
    if iou_thresholds is not None:
        params = evaluation.params
        params.iouThrs = np.array(iou_thresholds, np.float64)
        params.areaRng, params.areaRngLbl, params.maxDets = params.areaRng[:1], ["all"], [100]
    evaluation.evaluate()
    evaluation.accumulate()
    # The library sorts categories by id; our classes keep the file's order.
    order = np.argsort(np.argsort([category["id"] for category in ground_truth["categories"]]))
    return CocoTables(
        precision=np.asarray(evaluation.eval["precision"])[:, :, order],
        scores=np.asarray(evaluation.eval["scores"])[:, :, order],
        recall=np.asarray(evaluation.eval["recall"])[:, order],
        # "<result>_<annotation>", both counted from 1 in the order they were given.
        matched=frozenset(int(pair.split("_")[0]) - 1 for pair in evaluation.eval["matched"]),
    )


def _silent(*_: object) -> None:
    """The library narrates its steps; the caller logs the result."""
