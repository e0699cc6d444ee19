"""Scores as text tables for people."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

__all__ = ["class_table", "score_table"]

_COLUMNS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR1", "AR10", "AR100")


def score_table(metrics: Mapping[str, float], *, photos: int) -> str:
    """Mask and box scores side by side, percent.

    Args:
        metrics: COCO's numbers for masks, and for boxes with the prefix `bbox_`, in [0, 1].
        photos: evaluated.
    """
    title = f"COCO protocol, {photos} photos: IoU 0.50:0.95, at most 100 detections a photo, every score"
    table = Table(box=box.SIMPLE)
    table.add_column("percent")
    for name in _COLUMNS:
        table.add_column(name.replace("_", " "), justify="right")
    for label, prefix in (("mask", ""), ("box", "bbox_")):
        table.add_row(label, *(_percent(metrics[prefix + name]) for name in _COLUMNS))
    return f"{title}\n{_text(table)}"


def class_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line a class: annotated instances, mask AP and box AP in percent."""
    table = Table(box=box.SIMPLE)
    table.add_column("class")
    for name in ("annotated", "mask AP", "box AP"):
        table.add_column(name, justify="right")
    for row in rows:
        cells = (str(row["annotated"]), _percent(row["AP"]), _percent(row["bbox_AP"]))
        # Square brackets in a name are no markup.
        table.add_row(str(row["name"]).replace("[", r"\["), *cells)
    return _text(table)


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f}"


def _text(table: Table) -> str:
    """Plain text: it also goes into log files."""
    console = Console(file=io.StringIO(), width=110, color_system=None)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines() if line.strip())
