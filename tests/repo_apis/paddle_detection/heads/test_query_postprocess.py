"""The best (query, class) pairs, and the official form of detections."""

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.heads.query_postprocess import (
    gather_queries,
    official_rows,
    original_sizes,
    paste_masks,
    select_top_pairs,
)

# Two queries, three classes.
LOGITS = paddle.to_tensor([[[0.0, 2.0, -1.0], [3.0, -2.0, 1.0]]])


def test_one_query_may_be_chosen_with_several_classes() -> None:
    pairs = select_top_pairs(LOGITS, count=3)

    assert pairs.queries.tolist() == [[1, 0, 1]]
    assert pairs.class_ids.tolist() == [[0, 1, 2]]
    np.testing.assert_allclose(pairs.scores.numpy(), 1 / (1 + np.exp([[-3.0, -2.0, -1.0]])), rtol=1e-6)


def test_fewer_pairs_than_asked_for_are_all_given() -> None:
    assert select_top_pairs(LOGITS, count=100).scores.shape == [1, 6]


def test_rows_are_in_pixels_of_the_photo() -> None:
    pairs = select_top_pairs(LOGITS, count=2)
    boxes = gather_queries(paddle.to_tensor([[[0.5, 0.5, 0.2, 0.4], [0.25, 0.5, 0.5, 1.2]]]), pairs.queries)
    rows = official_rows(pairs, boxes, sizes=paddle.to_tensor([[100.0, 200.0]])).numpy()

    assert rows[:, 0].tolist() == [0.0, 1.0]
    # The first box leaves the photo above and below, and is not clipped.
    np.testing.assert_allclose(rows[:, 2:], [[0, -10, 100, 110], [80, 30, 120, 70]], atol=1e-4)


@pytest.mark.parametrize("side", [150, 211, 1079])
def test_size_of_the_photo_survives_float32(side: int) -> None:
    scale = paddle.to_tensor(np.float32([[640 / side, 640 / side]]))

    assert original_sizes(paddle.to_tensor([[640.0, 640.0]]), scale).tolist() == [[side, side]]


def test_masks_are_resized_over_the_whole_photo_and_cut_at_zero() -> None:
    logits = paddle.to_tensor([[[[-1.0, 1.0]]]])
    mask = paste_masks(logits, size=paddle.to_tensor([1.0, 8.0]))

    # Half-pixel centres: the zero crossing lies in the middle; flat beyond the outer centres.
    assert mask.tolist() == [[[0, 0, 0, 0, 1, 1, 1, 1]]]
    assert mask.dtype == paddle.int32
