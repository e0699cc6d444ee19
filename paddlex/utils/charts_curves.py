"""Charts of training and evaluation: loss and score curves, precision over recall, confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from paddlex.utils.charts import SERIES_COLORS, figure, readable_label, save_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["confusion_matrix_chart", "pr_curve", "training_curve"]

Points = Sequence[tuple[float, float]]

_MOST_CURVES = 7
_MOST_CLASSES_WITH_NUMBERS = 20
_MOST_CLASSES_WITH_NAMES = 60


def training_curve(path: Path | str, *, losses: Mapping[str, Points], scores: Mapping[str, Points]) -> Path:
    """Draw losses and scores over the steps of a run, one panel each.

    Args:
        path: the PNG to write.
        losses: per loss name its (step, value) points; the one named `loss` is the total and drawn bold, of
            the others the largest seven at the end are drawn.
        scores: per score name, e.g. "mask AP", its (step, value in 0..1) points; drawn in percent.
    """
    chart = figure(width=10.0, height=7.0)
    upper, lower = chart.subplots(2, 1, sharex=True)
    _line(upper, losses.get("loss", ()), label="loss", color="black", linewidth=2.0)
    terms = sorted(
        (name for name in losses if name != "loss" and losses[name]), key=lambda n: -losses[n][-1][1]
    )
    for name, color in zip(terms[:_MOST_CURVES], SERIES_COLORS[:-1], strict=False):
        _line(upper, losses[name], label=name, color=color, linewidth=1.0)
    upper.set_ylabel("loss")
    upper.set_ylim(bottom=0)
    for (name, points), color in zip(scores.items(), SERIES_COLORS, strict=False):
        percent = [(step, 100 * value) for step, value in points]
        _line(lower, percent, label=name, color=color, linewidth=2.0, marker="o", markersize=4)
        if percent:
            best = max(percent, key=lambda point: point[1])
            lower.annotate(f"{best[1]:.1f}", best, textcoords="offset points", xytext=(0, 6), ha="center")
    lower.set_ylabel("score, percent")
    lower.set_ylim(0, 105)
    lower.set_xlabel("step")
    for axes in (upper, lower):
        tidy(axes)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return save_figure(chart, path)


def pr_curve(
    path: Path | str,
    *,
    recall: NDArray[Any],
    precision: NDArray[Any],
    class_names: Sequence[str],
    average_precision: NDArray[Any],
    title: str,
) -> Path:
    """Draw precision over recall: the mean over classes bold, and the classes' own curves.

    Args:
        path: the PNG to write.
        recall: (R,) recall thresholds.
        precision: (R, C) interpolated precision per class; NaN columns for classes without ground truth.
        class_names: C names, in any script.
        average_precision: (C,) area under each curve, NaN likewise.
        title: what the curves are of, e.g. "Masks, IoU 0.50".
    """
    chart = figure(width=9.0, height=6.0)
    axes = chart.add_subplot()
    seen = np.flatnonzero(~np.isnan(average_precision))
    named = seen[np.argsort(-average_precision[seen], kind="stable")]
    for rank, index in enumerate(named):
        label, color = None, "#CCCCCC"
        if len(named) <= len(SERIES_COLORS) - 1:
            name, _ = readable_label(class_names[index], instead=f"class {index}")
            label, color = f"{name}  {100 * average_precision[index]:.1f}", SERIES_COLORS[rank]
        axes.plot(recall, precision[:, index], color=color, linewidth=1.2, label=label)
    if len(seen):
        mean = f"mean of {len(seen)}  {100 * float(np.mean(average_precision[seen])):.1f}"
        axes.plot(recall, precision[:, seen].mean(axis=1), color="black", linewidth=2.2, label=mean)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title(title, fontsize=11)
    tidy(axes)
    if len(seen):
        _legend(axes, [class_names[i] for i in named], title="AP, percent")
    else:
        axes.text(0.5, 0.5, "no annotated instances", ha="center")
    return save_figure(chart, path)


def confusion_matrix_chart(
    path: Path | str,
    *,
    counts: NDArray[np.int64],
    class_names: Sequence[str],
    title: str,
    unit: Literal["instances", "pixels"] = "instances",
) -> Path:
    """Draw a confusion matrix: colour is the share of the row, numbers are instances or percent of the row.

    Args:
        path: the PNG to write.
        counts: row = annotated class, column = predicted class. Of instances (C + 1, C + 1), where the last
            is the background (an object found where none is annotated; an annotated object not found); of
            pixels (C, C).
        class_names: C names, in any script.
        title: what the matrix was made with, as the thresholds.
        unit: what was counted.
    """
    labels = [readable_label(name, instead=f"class {i}") for i, name in enumerate(class_names)]
    if unit == "instances":
        labels.append(("background", ["DejaVu Sans"]))
    count = len(labels)
    side = float(np.clip(3.2 + 0.42 * count, 5.0, 28.0))
    chart = figure(width=side + 1.0, height=side)
    axes = chart.add_subplot()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    chart.colorbar(image, ax=axes, shrink=0.8, label="share of the row")
    axes.set(xlabel="predicted", ylabel="annotated")
    axes.set_title(title, fontsize=11)
    if count <= _MOST_CLASSES_WITH_NAMES:
        positions, names = np.arange(count), [label for label, _ in labels]
        axes.set_xticks(positions, names, rotation=90)
        axes.set_yticks(positions, names)
        for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
            for tick, (_, families) in zip(ticks, labels, strict=True):
                tick.set_fontfamily(families)
    if count <= _MOST_CLASSES_WITH_NUMBERS:
        texts = counts.astype(str) if unit == "instances" else _percents(shares)
        for row, column in np.argwhere(counts > 0):
            color = "white" if shares[row, column] > 0.55 else "black"
            axes.text(column, row, texts[row, column], ha="center", va="center", color=color, fontsize=9)
    return save_figure(chart, path)


def _percents(shares: NDArray[np.float64]) -> NDArray[np.str_]:
    """Shares as percent; what is less than one in a thousand is no zero."""
    return np.array([["<0.1" if 0 < s < 0.001 else f"{100 * s:.1f}" for s in row] for row in shares])


def _line(axes: Axes, points: Points, **style: Any) -> None:  # noqa: ANN401 (matplotlib's own)
    if points:
        axes.plot([point[0] for point in points], [point[1] for point in points], **style)


def _legend(axes: Axes, class_names: Sequence[str], *, title: str) -> None:
    """A legend right of the axes; each name in a font that has its glyphs."""
    legend = axes.legend(frameon=False, fontsize=9, title=title, loc="center left", bbox_to_anchor=(1.0, 0.5))
    # Entries without a label are not in the legend: then only the mean's line is.
    for text, name in zip(legend.get_texts()[:-1], class_names, strict=False):
        text.set_fontfamily(readable_label(name, instead="")[1])
