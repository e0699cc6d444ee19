"""The confusion matrix counts what a person would count by eye."""

from __future__ import annotations

import numpy as np
import pytest

from paddlex.metrics.confusion import InstanceConfusion
from paddlex.metrics.instances import AnnotatedInstances, PredictedInstances
from paddlex.structures.masks import MaskCrops

SIZE = (40, 100)


def squares(*corners: tuple[int, int], side: int = 10) -> MaskCrops:
    return MaskCrops.from_crops([np.ones((side, side))] * len(corners), list(corners), size=SIZE)


def annotated(masks: MaskCrops, class_ids: list[int], crowd: list[bool] | None = None) -> AnnotatedInstances:
    return AnnotatedInstances(
        masks.boxes().astype(np.float64),
        np.array(class_ids, np.int64),
        masks,
        np.array(crowd or [False] * len(masks), bool),
        masks.area().astype(np.float64),
    )


def predicted(masks: MaskCrops, class_ids: list[int], scores: list[float]) -> PredictedInstances:
    return PredictedInstances(masks.boxes(), np.array(scores), np.array(class_ids, np.int64), masks)


def test_right_wrong_missed_and_stray_instances_each_have_their_cell() -> None:
    confusion = InstanceConfusion(num_classes=2)
    confusion.update(
        annotated=annotated(squares((0, 0), (0, 20), (0, 40)), [0, 0, 1]),
        predicted=predicted(squares((0, 1), (0, 20), (25, 80)), [0, 1, 1], [0.9, 0.8, 0.7]),
    )
    assert confusion.counts.tolist() == [[1, 1, 0], [0, 0, 1], [0, 1, 0]]
    assert confusion.compute() == {
        "precision": pytest.approx(1 / 3),
        "recall": pytest.approx(1 / 3),
        "F1": pytest.approx(1 / 3),
    }


def test_predictions_below_the_score_are_ignored() -> None:
    confusion = InstanceConfusion(num_classes=1)
    confusion.update(
        annotated=annotated(squares((0, 0)), [0]), predicted=predicted(squares((0, 0)), [0], [0.49])
    )
    assert confusion.counts.tolist() == [[0, 1], [0, 0]]


def test_each_object_is_matched_once_and_the_closest_prediction_wins() -> None:
    confusion = InstanceConfusion(num_classes=2)
    confusion.update(
        annotated=annotated(squares((0, 0)), [0]),
        predicted=predicted(squares((0, 2), (0, 0)), [1, 0], [0.99, 0.6]),
    )
    assert confusion.counts.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_at_equal_overlap_the_right_class_is_matched_first() -> None:
    confusion = InstanceConfusion(num_classes=2)
    confusion.update(
        annotated=annotated(squares((0, 0)), [1]),
        predicted=predicted(squares((0, 0), (0, 0)), [0, 1], [0.9, 0.6]),
    )
    assert confusion.counts.tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]


def test_overlap_below_the_threshold_is_no_match() -> None:
    confusion = InstanceConfusion(num_classes=1)
    confusion.update(
        annotated=annotated(squares((0, 0)), [0]), predicted=predicted(squares((0, 5)), [0], [0.9])
    )
    assert confusion.counts.tolist() == [[0, 1], [1, 0]]


def test_predictions_inside_a_crowd_are_left_out() -> None:
    crowd = MaskCrops.from_crops([np.ones((40, 50))], [(0, 0)], size=SIZE)
    confusion = InstanceConfusion(num_classes=1)
    confusion.update(
        annotated=annotated(crowd, [0], [True]), predicted=predicted(squares((5, 5)), [0], [0.9])
    )
    assert confusion.counts.tolist() == [[0, 0], [0, 0]]
    assert np.isnan(confusion.compute()["precision"])


def test_a_photo_without_objects_counts_its_false_alarms() -> None:
    confusion = InstanceConfusion(num_classes=2)
    confusion.update(
        annotated=annotated(MaskCrops.empty(SIZE), []), predicted=predicted(squares((0, 0)), [1], [0.9])
    )
    assert confusion.counts.tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]
