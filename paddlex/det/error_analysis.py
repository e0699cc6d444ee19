"""`coco_error_analysis` of PaddleX 2."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from paddlex.det.eval_details import EvalDetails, read_eval_details
from paddlex.metrics.coco_errors import ERROR_STAGES, error_curves
from paddlex.metrics.coco_protocol import IouType
from paddlex.utils.charts_recall import error_areas, error_bars
from paddlex.utils.logging import logger, set_up_logging
from paddlex.utils.progress import progress

__all__ = ["coco_error_analysis"]

_WORDS = {"bbox": "Boxes", "segm": "Masks"}


def coco_error_analysis(
    eval_details_file: Path | str | None = None,
    gt: Mapping[str, Any] | None = None,
    pred_bbox: Sequence[Mapping[str, Any]] | None = None,
    pred_mask: Sequence[Mapping[str, Any]] | None = None,
    save_dir: Path | str = "./output",
) -> None:
    """Draw what each kind of error costs: precision over recall while one kind after the other is forgiven.

    The stages are C75, C50, Loc, Sim, Oth, BG and FN, as in `paddlex.metrics.coco_errors`. Writes into
    `save_dir/bbox` and, where masks were detected, `save_dir/segm`: `all.png` (mean of the classes),
    `<class>.png` for each class, and `classes.png`, which compares the classes.

    Args:
        eval_details_file: the `eval_details.json` beside a saved model; wins over the other arguments.
        gt: `eval_details["gt"]` of `evaluate(..., return_details=True)`.
        pred_bbox: `eval_details["bbox"]`.
        pred_mask: `eval_details["mask"]`.
        save_dir: folder of the pictures.

    Raises:
        FileFormatError: if the file is missing or no JSON.
        InputError: if annotations or boxes are missing, empty or faulty.
    """
    set_up_logging()
    details = read_eval_details(eval_details_file, gt=gt, pred_bbox=pred_bbox, pred_mask=pred_mask)
    for kind in details.results:
        _draw(details, kind, folder=Path(save_dir) / kind)
        logger.info("The error analysis has been saved in %s.", Path(save_dir) / kind)


def _draw(details: EvalDetails, kind: IouType, *, folder: Path) -> None:
    curves = error_curves(details.ground_truth, details.results[kind], iou_type=kind)
    seen = np.flatnonzero(~np.isnan(curves[0, 0]))
    names, word = details.class_names, _WORDS[kind]
    error_areas(
        folder / "all.png",
        stages=ERROR_STAGES,
        curves=curves[:, :, seen].mean(axis=2),
        title=f"{word}, mean of {len(seen)} classes" if len(seen) != 1 else f"{word}, all",
    )
    for index in progress(seen.tolist(), description=f"Drawing {word.lower()}"):
        error_areas(
            folder / f"{_file_name(names, index)}.png",
            stages=ERROR_STAGES,
            curves=curves[:, :, index],
            title=f"{word}, {names[index]}",
        )
    error_bars(
        folder / "classes.png",
        stages=ERROR_STAGES,
        areas=curves[:, :, seen].mean(axis=1),
        class_names=[names[index] for index in seen],
        title=f"{word}: what each kind of error costs",
    )


def _file_name(names: Sequence[str], index: int) -> str:
    """A file name of a class: its name as far as all systems take it, its number where that is not unique."""
    clean = [
        re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*\s]+', "_", name).strip("._")[:60].encode(errors="ignore").decode()
        for name in names
    ]
    taken = [name.casefold() for name in clean]
    unique = clean[index] and taken.count(taken[index]) == 1 and taken[index] not in {"all", "classes"}
    return clean[index] if unique else f"{clean[index]}_{index}".lstrip("_")
