"""Scores of pixels as text tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paddlex.modules.text_tables import class_cell, new_table, percent, table_text

__all__ = ["class_table", "score_line"]


def score_line(metrics: Mapping[str, float], *, photos: int) -> str:
    """The line that the original toolkit writes after an evaluation."""
    scores = " ".join(f"{name}: {metrics[name]:.4f}" for name in ("mIoU", "Acc", "Kappa", "Dice"))
    return f"[EVAL] #Images: {photos} {scores}"


def class_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line a class: its share of the labelled pixels, IoU, precision and recall, in percent."""
    table = new_table("class", "pixels", "IoU", "precision", "recall")
    for row in rows:
        cells = (percent(row[name]) for name in ("share", "IoU", "precision", "recall"))
        table.add_row(class_cell(row["name"]), *cells)
    return table_text(table)
