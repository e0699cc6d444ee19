"""Scores of semantic segmentation: numbers computed by hand, and what has no number."""

from __future__ import annotations

import numpy as np
import pytest

from paddlex.metrics.semantic import PixelConfusion, SemanticScores
from paddlex.utils.errors import ShapeError


def scores_of(
    labelled: list[int], predicted: list[int], *, num_classes: int = 2, **options
) -> SemanticScores:
    scores = SemanticScores(num_classes=num_classes, **options)
    scores.update(predicted=np.array([predicted]), label_map=np.array([labelled]))
    return scores


def test_all_scores_of_six_pixels() -> None:
    scores = scores_of([0, 0, 0, 1, 1, 255], [0, 0, 1, 1, 0, 1])
    table = scores.confusion
    assert table.counts.tolist() == [[2, 1], [1, 1]]
    assert table.iou(absent=1.0).tolist() == [2 / 4, 1 / 3]
    assert table.precision().tolist() == [2 / 3, 1 / 2]
    assert table.recall().tolist() == [2 / 3, 1 / 2]
    assert table.dice().tolist() == [4 / 6, 2 / 4]
    # Chance agreement: (3 * 3 + 2 * 2) / 25.
    assert scores.compute() == pytest.approx(
        {
            "mIoU": (1 / 2 + 1 / 3) / 2,
            "Acc": 3 / 5,
            "Kappa": (3 / 5 - 13 / 25) / (12 / 25),
            "Dice": (2 / 3 + 1 / 2) / 2,
        }
    )


def test_photos_add_up_whatever_their_order_and_size() -> None:
    rng = np.random.default_rng(0)
    photos = [(rng.integers(0, 3, size), rng.integers(0, 3, size)) for size in ((4, 5), (2, 3), (7, 1))]
    one, other = SemanticScores(num_classes=3), SemanticScores(num_classes=3)
    for predicted, label_map in photos:
        one.update(predicted=predicted, label_map=label_map)
    for predicted, label_map in reversed(photos):
        other.update(predicted=predicted.astype(np.int32), label_map=label_map.astype(np.uint8))
    assert one.compute() == other.compute()
    assert one.confusion.counts.sum() == 4 * 5 + 2 * 3 + 7


def test_photos_larger_than_a_chunk_are_counted_wholly() -> None:
    label_map = np.ones((1100, 1000), np.uint8)
    scores = SemanticScores(num_classes=2)
    scores.update(predicted=label_map, label_map=label_map)
    assert scores.confusion.counts.tolist() == [[0, 0], [0, 1_100_000]]


@pytest.mark.parametrize(("absent_iou", "miou"), [(1.0, (0.5 + 0.0 + 1.0) / 3), (0.0, 0.5 / 3)])
def test_a_class_that_is_nowhere_counts_as_asked(absent_iou: float, miou: float) -> None:
    scores = scores_of([0, 0], [0, 1], num_classes=3, absent_iou=absent_iou)
    assert scores.compute()["mIoU"] == pytest.approx(miou)


def test_undefined_ratios_of_a_class_are_zero() -> None:
    table = scores_of([0, 0], [0, 0]).confusion
    assert [values.tolist()[1] for values in (table.precision(), table.recall(), table.dice())] == [0, 0, 0]


def test_kappa_is_undefined_when_only_one_class_exists() -> None:
    scores = scores_of([0, 0], [0, 0]).compute()
    assert np.isnan(scores["Kappa"]) and scores["Acc"] == 1.0


def test_nothing_labelled_has_no_score() -> None:
    assert all(np.isnan(value) for value in scores_of([255, 255], [0, 1]).compute().values())


def test_reset_forgets() -> None:
    scores = scores_of([0, 1], [0, 1])
    scores.reset()
    assert not scores.confusion.counts.any()


def test_predictions_on_ignored_pixels_may_be_anything() -> None:
    assert scores_of([0, 255], [0, 99]).confusion.counts.sum() == 1


@pytest.mark.parametrize(
    ("labelled", "predicted", "message"),
    [
        ([0, 17], [0, 1], "label 17; expected classes from 0 to 1"),
        ([0, 1], [0, -1], "prediction -1; expected classes from 0 to 1"),
    ],
)
def test_values_that_are_no_class_are_refused(labelled, predicted, message) -> None:
    with pytest.raises(ShapeError, match=message):
        scores_of(labelled, predicted)


def test_shapes_must_agree() -> None:
    with pytest.raises(ShapeError, match=r"prediction \(2, 3\) for labels \(3, 2\)"):
        SemanticScores(num_classes=2).update(predicted=np.zeros((2, 3)), label_map=np.zeros((3, 2)))
    with pytest.raises(ShapeError, match=r"confusion matrix \(2, 3\)"):
        PixelConfusion(np.zeros((2, 3), np.int64))
