"""Charts as PNG files through matplotlib's object interface: no window, no state shared between threads.

matplotlib is imported when a chart is drawn, never when this module is.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from paddlex.utils.errors import FileFormatError
from paddlex.utils.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SERIES_COLORS", "class_histogram", "figure", "readable_label", "save_figure", "tidy"]

DPI = 120
# Colours of Okabe and Ito, told apart by colour-blind readers too.
SERIES_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")

# A PNG side of more than 2**16 pixels cannot be drawn; far below that it cannot be read.
_MAX_INCHES = 250.0
_LABEL_LENGTH = 24
_FONT_VARIABLE = "PADDLE_PDX_LOCAL_FONT_FILE_PATH"
_MOST_CLASSES_WITH_NUMBERS = 24

# Families that hold Chinese, Japanese or Korean glyphs; matplotlib's own font holds none.
_CJK_FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Arial Unicode MS",
    "SimSun",
)


def figure(*, width: float = 8.0, height: float = 5.0) -> Figure:
    """An empty figure of `width` x `height` inches at 120 dots per inch, laid out to fit its labels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    chart = Figure(figsize=(min(width, _MAX_INCHES), height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(chart)
    return chart


def save_figure(chart: Figure, path: Path | str) -> Path:
    """Write the figure as PNG, atomically, making folders as needed."""
    path = Path(path)
    with atomic_path(path) as temporary, warnings.catch_warnings():
        # Names that leave no room for axes give a crowded chart, not a failed run.
        warnings.filterwarnings("ignore", message="constrained_layout not applied", category=UserWarning)
        chart.savefig(temporary, format="png")
    return path


def tidy(axes: Axes) -> None:
    """Leave away what says nothing, and put a pale grid behind the curves."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)


def readable_label(text: str, *, instead: str, length: int = _LABEL_LENGTH) -> tuple[str, list[str]]:
    """A label shortened to fit, with the font families that can draw it.

    Args:
        text: any Unicode text, e.g. a class name.
        instead: the ASCII label to use when no installed font has the glyphs of `text`.
        length: most characters.

    Returns:
        (label, font families).
    """
    text = " ".join(text.split()) or instead
    label = text if len(text) <= length else text[: length - 1] + "…"
    families = ["DejaVu Sans"]
    missing = {ord(character) for character in label} - _glyphs("DejaVu Sans")
    if missing:
        family = next((name for name in _further_families() if missing <= _glyphs(name)), None)
        if family is None:
            return instead, families
        families.append(family)
    # A dollar sign would start a formula.
    return label.replace("$", r"\$"), families


@functools.lru_cache(maxsize=1)
def _further_families() -> tuple[str, ...]:
    """The family of the font file that the user named, then the installed ones that hold CJK glyphs."""
    from matplotlib import font_manager

    families: list[str] = []
    named = os.environ.get(_FONT_VARIABLE)
    if named:
        try:
            font_manager.fontManager.addfont(named)
            families.append(font_manager.get_font(named).family_name)
        except (OSError, RuntimeError) as error:
            raise FileFormatError(
                f"{named}: not a usable font file ({error}); check {_FONT_VARIABLE}"
            ) from error
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return (*families, *(name for name in _CJK_FAMILIES if name in installed))


@functools.lru_cache(maxsize=8)
def _glyphs(family: str) -> frozenset[int]:
    from matplotlib import font_manager

    font = font_manager.get_font(font_manager.findfont(font_manager.FontProperties(family=[family])))
    return frozenset(font.get_charmap())


def class_histogram(
    path: Path | str,
    *,
    class_names: Sequence[str],
    counts: Mapping[str, Sequence[int]],
    ylabel: str = "Counts",
) -> Path:
    """Draw bars per class, one colour per split, the most frequent class of the first split first.

    960 x 600 pixels for up to 44 classes, wider beyond that.

    Args:
        path: the PNG to write.
        class_names: one per class, in any script.
        counts: per split, e.g. {"train": [...], "val": [...]}, one number per class.
        ylabel: what is counted.
    """
    from matplotlib.ticker import MaxNLocator

    first = np.array(next(iter(counts.values())), dtype=np.int64)
    order = np.argsort(-first, kind="stable")
    chart = figure(width=max(8.0, len(class_names) // 5))
    axes = chart.add_subplot()
    positions, width = np.arange(len(class_names)), 0.8 / len(counts)
    for i, (split, values) in enumerate(counts.items()):
        heights = np.array(values, dtype=np.int64)[order]
        offset = (i - (len(counts) - 1) / 2) * width
        bars = axes.bar(
            positions + offset, heights, width, label=split, color=SERIES_COLORS[i % len(SERIES_COLORS)]
        )
        if len(class_names) <= _MOST_CLASSES_WITH_NUMBERS:
            axes.bar_label(bars, fontsize=8, padding=1)
    axes.set_ylabel(ylabel)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.02 if len(class_names) > 3 else 0.15, y=0.08)
    axes.legend(frameon=False)
    labels = [readable_label(class_names[i], instead=f"class {i}") for i in order]
    sideways = len(labels) > 8 or max((len(label) for label, _ in labels), default=0) > 12
    axes.set_xticks(positions, [label for label, _ in labels], rotation=90 if sideways else 0)
    for tick, (_, families) in zip(axes.get_xticklabels(), labels, strict=True):
        tick.set_fontfamily(families)
    return save_figure(chart, path)
