"""Suppression class by class, on boxes whose overlaps are known."""

import numpy as np
import paddle

from paddlex.nn.multiclass_nms import Kept, multiclass_nms

# IoU of the first two: 8 * 10 / (200 - 80) = 2/3; the third touches neither.
BOXES = [[0, 0, 10, 10], [2, 0, 12, 10], [30, 30, 40, 40]]


def keep(scores: list[list[list[float]]], *, iou_threshold: float = 0.5, keep_count: int = 100) -> Kept:
    return multiclass_nms(
        paddle.to_tensor(np.float32([BOXES] * len(scores))),
        paddle.to_tensor(np.float32(scores)),
        score_threshold=0.1,
        iou_threshold=iou_threshold,
        pre_nms_count=100,
        keep_count=keep_count,
    )


def test_a_box_that_overlaps_a_better_one_of_its_class_goes() -> None:
    kept = keep([[[0.5, 0.9, 0.7]]])

    np.testing.assert_allclose(
        kept.rows.numpy(), [[0, 0.9, 2, 0, 12, 10], [0, 0.7, 30, 30, 40, 40]], rtol=1e-6
    )
    assert kept.index.tolist() == [1, 2]
    assert kept.counts.tolist() == [2]


def test_overlap_up_to_the_threshold_is_allowed() -> None:
    assert keep([[[0.5, 0.9, 0.7]]], iou_threshold=0.67).index.tolist() == [1, 2, 0]


def test_classes_do_not_suppress_one_another() -> None:
    kept = keep([[[0.5, 0.0, 0.0], [0.0, 0.9, 0.0]]])

    assert kept.rows[:, 0].tolist() == [0, 1]
    assert kept.index.tolist() == [0, 1]


def test_the_best_rows_of_all_classes_are_kept() -> None:
    assert keep([[[0.5, 0.0, 0.0], [0.0, 0.9, 0.8]]], keep_count=1).index.tolist() == [1]


def test_images_are_apart_and_may_be_empty() -> None:
    kept = keep([[[0.1, 0.05, 0.0]], [[0.5, 0.9, 0.0]]])

    assert kept.counts.tolist() == [0, 1]
    assert kept.index.tolist() == [4]


def test_nothing_above_the_threshold_gives_no_row() -> None:
    kept = keep([[[0.0, 0.0, 0.0]]])

    assert kept.rows.shape == [0, 6]
    assert kept.index.shape == [0]
    assert kept.counts.tolist() == [0]
