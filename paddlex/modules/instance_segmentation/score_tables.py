"""Scores as text tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paddlex.modules.text_tables import class_cell, new_table, percent, table_text

__all__ = ["class_table", "score_table"]

_COLUMNS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR1", "AR10", "AR100")


def score_table(metrics: Mapping[str, float], *, photos: int) -> str:
    """Mask and box scores side by side, percent.

    Args:
        metrics: COCO's numbers for masks, and for boxes with the prefix `bbox_`, in [0, 1].
        photos: evaluated.
    """
    title = f"COCO protocol, {photos} photos: IoU 0.50:0.95, at most 100 detections a photo, every score"
    table = new_table("percent", *(name.replace("_", " ") for name in _COLUMNS))
    for label, prefix in (("mask", ""), ("box", "bbox_")):
        table.add_row(label, *(percent(metrics[prefix + name]) for name in _COLUMNS))
    return f"{title}\n{table_text(table)}"


def class_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line a class: annotated instances, mask AP and box AP in percent."""
    table = new_table("class", "annotated", "mask AP", "box AP")
    for row in rows:
        cells = (str(row["annotated"]), percent(row["AP"]), percent(row["bbox_AP"]))
        table.add_row(class_cell(row["name"]), *cells)
    return table_text(table)
