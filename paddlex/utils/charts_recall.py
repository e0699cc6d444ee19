"""Charts over recall of detections: precision and score of each class, and what each kind of error costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from paddlex.utils.charts import SERIES_COLORS, figure, readable_label, save_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["error_areas", "error_bars", "precision_and_score_curves"]

_COLORS = SERIES_COLORS[:-2]  # yellow is pale on white, black is the mean
_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)))
_MOST_NAMED = 3 * len(_COLORS)
_GREY = "#BDBDBD"
_TITLE_LENGTH = 80
_MOST_ROWS_WITH_NUMBERS = 40

# What is right is blue, the false positives go from strong to pale, objects not found are grey.
_STAGE_COLORS = ("#08519C", "#6BAED6", "#E69F00", "#CC79A7", "#8C6BB1", "#A1D99B", "#E3E3E3")
_STAGE_MEANINGS = (
    "right at IoU 0.75",
    "right at IoU 0.50 only",
    "place (IoU 0.1 to 0.5)",
    "similar class",
    "other class",
    "background, repeated",
    "not found",
)


def precision_and_score_curves(
    path: Path | str,
    *,
    precision: NDArray[np.float64],
    scores: NDArray[np.float64],
    class_names: Sequence[str],
    title: str,
) -> Path:
    """Draw precision over recall (left) and the score over recall (right), a line for each class.

    With more classes than lines can be told apart, those with the lowest average precision are named, as they
    are what there is to work on; all others are grey.

    Args:
        path: the PNG to write.
        precision: (R, C) at recall 0 to 1; NaN columns for classes without ground truth.
        scores: (R, C) the score down to which detections count at that recall; NaN beyond the last.
        class_names: C names, in any script.
        title: what the curves are of.
    """
    seen = np.flatnonzero(~np.isnan(precision[0]))
    average = precision[:, seen].mean(axis=0)
    order = np.argsort(-average, kind="stable")
    named = order if len(seen) <= _MOST_NAMED else order[-_MOST_NAMED:]
    chart = figure(width=13.0, height=5.6)
    left, right = chart.subplots(1, 2)
    recall = np.linspace(0, 1, len(precision))
    for place in np.setdiff1d(order, named):
        for axes, values in ((left, precision), (right, scores)):
            axes.plot(recall, values[:, seen[place]], color=_GREY, linewidth=0.8)
    fonts = []
    for rank, place in enumerate(named):
        index = seen[place]
        name, families = readable_label(class_names[index], instead=f"class {index}")
        fonts.append(families)
        style: dict[str, Any] = {
            "color": _COLORS[rank % len(_COLORS)],
            "linestyle": _DASHES[rank // len(_COLORS) % len(_DASHES)],
            "linewidth": 1.8,
        }
        left.plot(recall, precision[:, index], label=f"{name}  {100 * average[place]:.1f}", **style)
        right.plot(recall, scores[:, index], **style)
    if len(seen) > 1:
        mean = f"mean of {len(seen)}  {100 * average.mean():.1f}"
        left.plot(recall, precision[:, seen].mean(axis=1), color="black", linewidth=2.4, label=mean)
    for axes, word in ((left, "precision"), (right, "score")):
        axes.set(xlabel="recall", ylabel=word, xlim=(0, 1), ylim=(0, 1.02))
        tidy(axes)
    heading = "AP, percent" if len(named) == len(seen) else f"AP, percent; the lowest {len(named)}"
    legend = chart.legend(loc="outside right upper", frameon=False, fontsize=9, title=heading)
    for text, families in zip(legend.get_texts(), fonts, strict=False):
        text.set_fontfamily(families)
    _set_title(chart, title)
    return save_figure(chart, path)


def error_areas(path: Path | str, *, stages: Sequence[str], curves: NDArray[np.float64], title: str) -> Path:
    """Draw precision over recall while errors are forgiven: the area of a colour is what that kind costs.

    Args:
        path: the PNG to write.
        stages: S = 7 short names, from nothing forgiven to everything.
        curves: (S, R) precision at recall 0 to 1, none below the one before.
        title: what the curves are of.
    """
    curves = np.maximum.accumulate(curves, axis=0)
    chart = figure(width=9.6, height=5.6)
    axes = chart.add_subplot()
    recall = np.linspace(0, 1, curves.shape[1])
    lower = np.zeros(curves.shape[1])
    for stage, curve, color, meaning in zip(stages, curves, _STAGE_COLORS, _STAGE_MEANINGS, strict=True):
        cost = 100 * (curve - lower).mean()
        label = f"{stage:<4}{100 * curve.mean():6.1f}  {cost:+6.1f}  {meaning}"
        axes.fill_between(recall, lower, curve, color=color, linewidth=0, label=label)
        axes.plot(recall, curve, color="white", linewidth=0.7)
        lower = curve
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
    tidy(axes)
    legend = axes.legend(
        frameon=False,
        reverse=True,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        prop={"family": "DejaVu Sans Mono", "size": 8.5},
        title="area in percent, gained by forgiving",
        title_fontsize=9,
    )
    legend.set_in_layout(True)
    _set_title(chart, title)
    return save_figure(chart, path)


def error_bars(
    path: Path | str,
    *,
    stages: Sequence[str],
    areas: NDArray[np.float64],
    class_names: Sequence[str],
    title: str,
) -> Path:
    """Draw a bar for each class, split into what is right and what each kind of error costs, worst first.

    Args:
        path: the PNG to write.
        stages: S = 7 short names, from nothing forgiven to everything.
        areas: (S, C) area under the curves of `error_areas`, in [0, 1].
        class_names: C names, in any script.
        title: what was found.
    """
    areas = 100 * np.maximum.accumulate(areas, axis=0)
    order = np.argsort(areas[1], kind="stable")
    chart = figure(width=10.0, height=min(1.8 + 0.3 * len(order), 120.0))
    axes = chart.add_subplot()
    rows = np.arange(len(order))
    lower = np.zeros(len(order))
    for stage, area, color, meaning in zip(stages, areas, _STAGE_COLORS, _STAGE_MEANINGS, strict=True):
        widths = area[order] - lower
        bars = axes.barh(rows, widths, left=lower, height=0.8, color=color, label=f"{stage}: {meaning}")
        if len(order) <= _MOST_ROWS_WITH_NUMBERS:
            texts = [f"{width:.0f}" if width >= 4 else "" for width in widths]
            ink = "white" if stage in {"C75", "Oth"} else "black"
            axes.bar_label(bars, texts, label_type="center", fontsize=8, color=ink)
        lower = area[order]
    labels = [readable_label(class_names[i], instead=f"class {i}") for i in order]
    axes.set_yticks(rows, [label for label, _ in labels])
    for tick, (_, families) in zip(axes.get_yticklabels(), labels, strict=True):
        tick.set_fontfamily(families)
    axes.invert_yaxis()
    axes.set(xlabel="percent", xlim=(0, 100), ylim=(len(order) - 0.4, -0.6))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    _set_title(chart, title)
    return save_figure(chart, path)


def _set_title(chart: Figure, title: str) -> None:
    text, families = readable_label(
        title, instead=title.encode("ascii", "replace").decode(), length=_TITLE_LENGTH
    )
    chart.suptitle(text, fontsize=11, fontfamily=families)
