"""Charts are drawn for any data set: one class or many, any script, nothing found, nothing annotated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paddlex.utils.charts_curves import confusion_matrix_chart, pr_curve, training_curve

NAMES = ["nut", "螺母", "a name that is far too long for any legend", "$x_1$", "  ", "[b]"]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def count(path: Path, color: tuple[int, int, int]) -> int:
    """Pixels of exactly this colour."""
    return int((pixels(path) == color).all(axis=-1).sum())


def draw_pr(path: Path, precision: np.ndarray, names: list[str]) -> np.ndarray:
    pr_curve(
        path,
        recall=np.linspace(0, 1, 101),
        precision=precision,
        class_names=names,
        average_precision=precision.mean(axis=0),
        title="Masks",
    )
    return pixels(path)


@pytest.mark.parametrize("classes", [1, 6, 80])
def test_pr_curves_are_drawn_for_any_count_of_classes(tmp_path: Path, classes: int) -> None:
    names = (NAMES * 20)[:classes]
    falling = np.linspace(1, 0, 101)[:, None] ** np.linspace(0.5, 3, classes)
    flat = draw_pr(tmp_path / "flat.png", np.zeros((101, classes)), names)
    curve = draw_pr(tmp_path / "curve.png", falling, names)
    assert (flat == 0).all(axis=-1).sum() > 0
    assert flat.shape[0] == curve.shape[0] == 720 and (flat != curve).any()


def test_classes_without_ground_truth_have_no_curve(tmp_path: Path) -> None:
    precision = np.ones((101, 2)) * 0.5
    precision[:, 1] = np.nan
    draw_pr(tmp_path / "a.png", precision, ["a", "b"])
    # First and second colour of the series.
    assert count(tmp_path / "a.png", (0x00, 0x72, 0xB2)) > 0
    assert count(tmp_path / "a.png", (0xE6, 0x9F, 0x00)) == 0


def test_pr_curves_say_that_nothing_is_annotated(tmp_path: Path) -> None:
    empty = draw_pr(tmp_path / "a.png", np.full((101, 2), np.nan), ["a", "b"])
    assert (empty < 100).all(axis=-1).sum() > 100


@pytest.mark.parametrize("classes", [1, 6, 30, 80])
def test_confusion_matrices_are_drawn_for_any_count_of_classes(tmp_path: Path, classes: int) -> None:
    counts = np.eye(classes + 1, dtype=np.int64) * 12
    confusion_matrix_chart(
        tmp_path / "a.png", counts=counts, class_names=(NAMES * 20)[:classes], title="Score ≥ 0.50"
    )
    # The diagonal holds all of each row: the darkest blue of the scale.
    assert count(tmp_path / "a.png", (8, 48, 107)) > 100


def test_pixels_have_no_background_of_their_own(tmp_path: Path) -> None:
    counts = np.diag([10_000_000, 5, 0]).astype(np.int64)
    counts[0, 1] = 3
    for unit, table in (("pixels", counts), ("instances", np.pad(counts, ((0, 1), (0, 1))))):
        confusion_matrix_chart(
            tmp_path / f"{unit}.png", counts=table, class_names=["sky", "道路", "car"], title="", unit=unit
        )
    # Three columns are wider than four on a chart of one size; its colour bar is the same.
    dark = [count(tmp_path / f"{unit}.png", (8, 48, 107)) for unit in ("pixels", "instances")]
    assert dark[0] > 1.2 * dark[1] > 1000


def test_a_confusion_matrix_of_nothing_is_pale(tmp_path: Path) -> None:
    confusion_matrix_chart(
        tmp_path / "a.png", counts=np.zeros((3, 3), np.int64), class_names=["a", "b"], title=""
    )
    bar = pixels(tmp_path / "a.png")[:, -200:]
    dark = (pixels(tmp_path / "a.png") == (8, 48, 107)).all(axis=-1).sum()
    assert dark == (bar == (8, 48, 107)).all(axis=-1).sum()


@pytest.mark.parametrize(
    ("losses", "scores"),
    [
        ({}, {}),
        ({"loss": []}, {"mask AP": []}),
        ({"loss": [(1, 2.0)]}, {"mask AP": [(1, 0.5)]}),
        ({"loss": [(1, 2.0), (9, 1.0)]}, {}),
        ({name: [(1, 2.0), (9, 1.0)] for name in "abcdefghijkl"}, {"mask AP": [(4, 0.1), (9, 0.3)]}),
        ({"loss": [(1, float("nan")), (2, 1.0)]}, {"mask AP": [(1, float("nan"))]}),
    ],
    ids=["nothing", "no points", "one point", "losses only", "many losses", "nan"],
)
def test_training_curves_are_drawn_from_any_history(
    tmp_path: Path, losses: dict[str, list], scores: dict[str, list]
) -> None:
    path = training_curve(tmp_path / "deep" / "a.png", losses=losses, scores=scores)
    assert pixels(path).shape == (840, 1200, 3)


def test_the_total_loss_is_black_and_the_best_score_is_written(tmp_path: Path) -> None:
    points = [(step, 1.0 + step) for step in range(50)]
    training_curve(tmp_path / "with.png", losses={"loss": points}, scores={})
    training_curve(tmp_path / "without.png", losses={"loss": []}, scores={})
    assert count(tmp_path / "with.png", (0, 0, 0)) > count(tmp_path / "without.png", (0, 0, 0)) + 500
