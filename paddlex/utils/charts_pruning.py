"""Chart of what pruning costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from paddlex.utils.charts import figure, save_figure

__all__ = ["sensitivity_chart"]

_LONGEST_NAME = 48
_ROW = 0.19


def sensitivity_chart(
    path: Path | str,
    *,
    losses: Mapping[str, Mapping[float, float]],
    ratios: Mapping[str, float],
    score: str,
) -> Path:
    """Draw a row for each group of channels: its loss by the share removed, and the share chosen.

    Args:
        path: the PNG to write.
        losses: by group the relative loss of score at each ratio.
        ratios: by group the ratio chosen; drawn as a dot.
        score: name of the score, such as mIoU.
    """
    names = list(losses)
    columns = sorted({ratio for of in losses.values() for ratio in of})
    values = np.array([[losses[name].get(ratio, np.nan) for ratio in columns] for name in names])
    chart = figure(width=10.0, height=2.0 + _ROW * len(names))
    axes = chart.add_subplot()
    image = axes.imshow(
        np.clip(values, 0.0, 1.0), cmap="Reds", vmin=0, vmax=1, aspect="auto", interpolation="nearest"
    )
    chart.colorbar(image, ax=axes, shrink=min(1.0, 30 / max(len(names), 1)), label=f"share of {score} lost")
    # Column i is ratio i + 1 tenths: a ratio lies between the columns as it does between the tenths.
    places = np.interp([ratios.get(name, 0.0) for name in names], [0.0, *columns], range(-1, len(columns)))
    axes.scatter(
        places, range(len(names)), s=14, color="#0072B2", edgecolors="white", linewidths=0.5, zorder=2
    )
    axes.set_xlim(-1.3, len(columns) - 0.5)
    axes.set_xticks(range(-1, len(columns)), ["0", *(f"{ratio:g}" for ratio in columns)])
    axes.set_yticks(range(len(names)), [_shortened(name) for name in names], fontsize=7, family="monospace")
    axes.set_xlabel("share of the channels removed; dots: the share chosen")
    axes.spines[["top", "right"]].set_visible(False)
    return save_figure(chart, path)


def _shortened(name: str) -> str:
    name = name.replace(".weight", "")
    return name if len(name) <= _LONGEST_NAME else f"...{name[-_LONGEST_NAME + 3 :]}"
