"""Matching of boxes with objects by overlap."""

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.matching.iou import match_boxes

# Two objects, 10 x 10 each, side by side.
GT_BOXES = paddle.to_tensor([[0.0, 0.0, 10.0, 10.0], [10.0, 0.0, 20.0, 10.0]])


def test_each_box_finds_the_object_it_overlaps_most() -> None:
    boxes = paddle.to_tensor([[8.0, 0.0, 18.0, 10.0], [0.0, 0.0, 10.0, 5.0], [30.0, 30.0, 40.0, 40.0]])
    matches = match_boxes(boxes, GT_BOXES)

    assert matches.gt_indices.tolist() == [1, 0, 0]
    assert matches.ious.tolist() == pytest.approx([8 / 12, 0.5, 0.0])


def test_between_equal_objects_the_first_wins() -> None:
    boxes = paddle.to_tensor([[5.0, 0.0, 15.0, 10.0]])
    for max_pairs in (1, 100):
        matches = match_boxes(boxes, GT_BOXES, max_pairs=max_pairs)
        assert matches.gt_indices.tolist() == [0]
        assert matches.ious.item() == pytest.approx(1 / 3)


def test_every_object_has_its_best_boxes_however_poor_and_several_if_they_are_alike() -> None:
    boxes = paddle.to_tensor(
        [[0.0, 0.0, 10.0, 1.0], [0.0, 9.0, 10.0, 10.0], [0.0, 5.0, 5.0, 6.0], [30.0, 0.0, 40.0, 10.0]]
    )
    matches = match_boxes(boxes, GT_BOXES)

    # The second object overlaps none: its largest IoU, 0, makes no box the best.
    assert matches.is_best.tolist() == [True, True, False, False]
    assert matches.ious.tolist() == pytest.approx([0.1, 0.1, 0.05, 0.0])


def test_best_box_of_one_object_stays_matched_with_another_that_it_overlaps_more() -> None:
    gt_boxes = paddle.to_tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 8.0, 10.0, 40.0]])
    matches = match_boxes(paddle.to_tensor([[0.0, 0.0, 10.0, 11.0]]), gt_boxes)

    assert matches.is_best.tolist() == [True]
    assert matches.gt_indices.tolist() == [0]


def test_best_boxes_may_have_to_overlap_enough() -> None:
    boxes = paddle.to_tensor([[0.0, 0.0, 10.0, 2.0], [10.0, 0.0, 20.0, 4.0]])

    assert match_boxes(boxes, GT_BOXES, min_best_iou=0.3).is_best.tolist() == [False, True]


def test_without_objects_nothing_matches() -> None:
    matches = match_boxes(GT_BOXES, paddle.zeros([0, 4]))

    assert matches.gt_indices.tolist() == [0, 0]
    assert matches.ious.tolist() == [0.0, 0.0]
    assert matches.is_best.tolist() == [False, False]


@pytest.mark.parametrize("max_pairs", [1, 70, 300])
def test_matching_in_chunks_equals_matching_at_once(max_pairs: int) -> None:
    # Small whole numbers: many overlaps are equal.
    corners = np.random.default_rng(0).integers(0, 12, [60, 2, 2]).astype(np.float32)
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1) + 1], axis=1)
    gt_boxes = paddle.to_tensor(boxes[40:])
    whole = match_boxes(paddle.to_tensor(boxes), gt_boxes, max_pairs=10**6)
    chunked = match_boxes(paddle.to_tensor(boxes), gt_boxes, max_pairs=max_pairs)

    for name in ("gt_indices", "ious", "is_best"):
        np.testing.assert_array_equal(getattr(chunked, name).numpy(), getattr(whole, name).numpy())
    assert 20 <= int(whole.is_best.sum()) < 60
