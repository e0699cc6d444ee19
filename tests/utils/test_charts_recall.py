"""Charts over recall are drawn for any number of classes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from paddlex.metrics.coco_errors import ERROR_STAGES
from paddlex.utils.charts_recall import error_areas, error_bars, precision_and_score_curves


def _pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize(("classes", "grey"), [(1, False), (18, False), (80, True)], ids=str)
def test_curves_beyond_what_can_be_told_apart_are_grey(tmp_path, classes, grey) -> None:
    falling = np.linspace(1, 0, 101)[:, None] ** np.linspace(0.5, 3, classes)
    path = precision_and_score_curves(
        tmp_path / "a.png",
        precision=falling,
        scores=falling,
        class_names=["螺母", "$x_1$", *map(str, range(classes))][:classes],
        title="Boxes",
    )
    # Edges of letters have a few such pixels.
    assert ((_pixels(path) == 0xBD).all(axis=-1).sum() > 1000) == grey
    assert (_pixels(path) == (0x00, 0x72, 0xB2)).all(axis=-1).any()


def test_classes_without_objects_have_no_curve(tmp_path) -> None:
    curves = np.full((101, 2), 0.5)
    curves[:, 1] = np.nan
    path = precision_and_score_curves(
        tmp_path / "a.png", precision=curves, scores=curves, class_names=["a", "b"], title=""
    )
    assert (_pixels(path) == (0x00, 0x72, 0xB2)).all(axis=-1).any()
    assert not (_pixels(path) == (0xE6, 0x9F, 0x00)).all(axis=-1).any()


def test_areas_are_as_large_as_what_an_error_costs(tmp_path) -> None:
    # A third of the area is right at IoU 0.75, a third is bad places, a third is not found.
    levels = np.array([1, 1, 2, 2, 2, 2, 3]) / 3
    path = error_areas(
        tmp_path / "a.png", stages=ERROR_STAGES, curves=np.repeat(levels[:, None], 101, axis=1), title="螺母"
    )
    counts = [
        (_pixels(path) == color).all(axis=-1).sum()
        for color in [(0x08, 0x51, 0x9C), (0xE6, 0x9F, 0x00), (0xE3, 0xE3, 0xE3)]
    ]
    assert counts == pytest.approx([np.mean(counts)] * 3, rel=0.03)
    assert min(counts) > 50_000


@pytest.mark.parametrize("classes", [1, 100])
def test_a_bar_for_each_class(tmp_path, classes) -> None:
    areas = np.repeat(np.linspace(0.1, 1, 7)[:, None], classes, axis=1)
    path = error_bars(
        tmp_path / "a.png", stages=ERROR_STAGES, areas=areas, class_names=["ü"] * classes, title="Boxes"
    )
    right = (_pixels(path) == (0x08, 0x51, 0x9C)).all(axis=-1)
    # Bars are 80 percent of a row each.
    rows = int(np.ceil(np.flatnonzero(np.diff(right.any(axis=1).astype(int))).size / 2))
    assert classes <= rows <= classes + 1  # and the legend's
