"""`draw_pr_curve` of PaddleX 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from paddlex.det.eval_details import read_eval_details
from paddlex.metrics.coco_protocol import evaluate_coco
from paddlex.utils.charts_recall import precision_and_score_curves
from paddlex.utils.errors import InputError
from paddlex.utils.logging import logger, set_up_logging

__all__ = ["draw_pr_curve"]

_WORDS = {"bbox": "Boxes", "segm": "Masks"}


def draw_pr_curve(
    eval_details_file: Path | str | None = None,
    gt: Mapping[str, Any] | None = None,
    pred_bbox: Sequence[Mapping[str, Any]] | None = None,
    pred_mask: Sequence[Mapping[str, Any]] | None = None,
    iou_thresh: float = 0.5,
    save_dir: Path | str = "./",
) -> None:
    """Draw precision over recall, and the score at each recall, of every class.

    Writes `bbox_pr_curve(iou-0.5).png` and, where masks were detected, `segm_pr_curve(iou-0.5).png` (with the
    threshold that was asked for). COCO's evaluation: objects of all sizes, 100 detections a photo and class.

    Args:
        eval_details_file: the `eval_details.json` beside a saved model; wins over the other arguments.
        gt: `eval_details["gt"]` of `evaluate(..., return_details=True)`.
        pred_bbox: `eval_details["bbox"]`.
        pred_mask: `eval_details["mask"]`.
        iou_thresh: overlap from which a detection is right, in (0, 1].
        save_dir: folder of the pictures.

    Raises:
        FileFormatError: if the file is missing or no JSON.
        InputError: if annotations or boxes are missing, empty or faulty, or the threshold is none.
    """
    if type(iou_thresh) not in (int, float) or not 0 < iou_thresh <= 1:
        raise InputError(f"iou_thresh {iou_thresh!r}; expected a number in (0, 1], for example 0.5")
    set_up_logging()
    details = read_eval_details(eval_details_file, gt=gt, pred_bbox=pred_bbox, pred_mask=pred_mask)
    for kind, results in details.results.items():
        tables = evaluate_coco(
            details.ground_truth, results, iou_type=kind, iou_thresholds=(float(iou_thresh),)
        )
        precision, scores = tables.precision[0, :, :, 0, 0], tables.scores[0, :, :, 0, 0]
        absent = precision < 0
        path = precision_and_score_curves(
            Path(save_dir) / f"{kind}_pr_curve(iou-{iou_thresh:g}).png",
            precision=np.where(absent, np.nan, precision),
            # Beyond the largest recall no score is low enough.
            scores=np.where(absent | (precision == 0), np.nan, scores),
            class_names=details.class_names,
            title=f"{_WORDS[kind]} at IoU {iou_thresh:g}",
        )
        logger.info("The curves have been saved in %s.", path)
