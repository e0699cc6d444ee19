"""Detections of R-CNN, by hand."""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from paddlex.repo_apis.paddle_detection.heads.rcnn_postprocess import (
    DetectionLimits,
    ensure_row,
    own_class,
    pad_detections,
    paste_box_masks,
    photo_rows,
    refine_boxes,
    select_detections,
)

SQUARE = [0.0, 0.0, 10.0, 10.0]
SHIFTED = [0.0, 0.0, 10.0, 9.0]
FAR = [50.0, 50.0, 60.0, 60.0]


def select(boxes: list[list[float]], scores: list[list[float]], **limits: float) -> np.ndarray:
    every_class = paddle.to_tensor(boxes).unsqueeze(1).expand([-1, len(scores[0]), 4])
    chosen = DetectionLimits(**limits)
    return select_detections(every_class, paddle.to_tensor(scores), limits=chosen).numpy()


def test_duplicates_are_dropped_within_a_class_only() -> None:
    rows = select([SQUARE, SHIFTED, FAR], [[0.6, 0.3], [0.7, 0.0], [0.06, 0.9]])

    # By class, then by proposal.
    np.testing.assert_allclose(rows[:, 0], [0, 0, 1, 1])
    np.testing.assert_allclose(rows[:, 1], [0.7, 0.06, 0.3, 0.9])
    np.testing.assert_allclose(rows[:, 2:], [SHIFTED, FAR, SQUARE, FAR])


def test_limits_are_obeyed() -> None:
    boxes, scores = [SQUARE, SHIFTED, FAR], [[0.6], [0.7], [0.06]]

    assert select(boxes, scores, score_threshold=0.1)[:, 1].tolist() == pytest.approx([0.7])
    assert select(boxes, scores, nms_iou=0.95)[:, 1].tolist() == pytest.approx([0.6, 0.7, 0.06])
    assert select(boxes, scores, nms_iou=0.95, keep_top_k=2)[:, 1].tolist() == pytest.approx([0.6, 0.7])
    assert select(boxes, scores, score_threshold=0.8).shape == (0, 6)


def test_refined_boxes_stay_in_their_own_image() -> None:
    deltas = paddle.to_tensor([[0.0] * 4, [10.0, 0.0, 0.0, 0.0]])
    sizes = paddle.to_tensor([[8.0, 20.0], [20.0, 15.0]])
    refined = refine_boxes(
        deltas, paddle.to_tensor([SQUARE, SQUARE]), coding_weights=(10.0, 10.0, 5.0, 5.0), sizes=sizes
    )

    assert refined.tolist() == [[[0.0, 0.0, 10.0, 8.0]], [[10.0, 0.0, 15.0, 10.0]]]


def test_a_photo_without_detections_has_one_row_of_nothing() -> None:
    rows = paddle.to_tensor([[1.0, 0.5, *SQUARE]])

    assert ensure_row(rows, class_id=0).tolist() == rows.tolist()
    assert ensure_row(rows[:0], class_id=-1).tolist() == [[-1.0, 0.0, 0.0, 0.0, 1.0, 1.0]]


def test_padded_detections_are_sorted_fractions_of_their_photos() -> None:
    rows = [
        paddle.to_tensor([[0.0, 0.2, *SQUARE], [1.0, 0.8, *FAR]]),
        paddle.to_tensor([[2.0, 0.5, *SQUARE]]),
    ]
    masks = [paddle.to_tensor([[[0.1]], [[0.9]]]), paddle.to_tensor([[[0.5]]])]
    found = pad_detections(rows, masks, im_shape=paddle.to_tensor([[100.0, 200.0], [10.0, 20.0]]))

    np.testing.assert_allclose(found["scores"].numpy(), [[0.8, 0.2], [0.5, 0.0]])
    assert found["class_ids"].tolist() == [[1, 0], [2, -1]]
    np.testing.assert_allclose(found["boxes"][0].numpy(), [[0.25, 0.5, 0.3, 0.6], [0, 0, 0.05, 0.1]])
    np.testing.assert_allclose(found["boxes"][1, 0].numpy(), [0, 0, 0.5, 1.0])
    np.testing.assert_allclose(found["masks"].flatten(1).numpy(), [[0.9, 0.1], [0.5, 0.0]])


def test_each_row_keeps_the_values_of_its_own_class() -> None:
    values = paddle.arange(12, dtype="float32").reshape([2, 3, 2])

    assert own_class(values, paddle.to_tensor([2.0, 0.0])).tolist() == [[4.0, 5.0], [6.0, 7.0]]


def test_rows_move_onto_the_photo_and_boxes_beyond_it_lose_their_class() -> None:
    rows = paddle.to_tensor([[3.0, 0.5, 10.0, 20.0, 30.0, 40.0], [3.0, 0.5, 70.0, 0.0, 80.0, 10.0]])
    moved = photo_rows(rows, scale_factor=paddle.to_tensor([2.0, 1.0]), size=paddle.to_tensor([15.0, 60.0]))

    np.testing.assert_allclose(moved.numpy(), [[3, 0.5, 10, 10, 30, 15], [-1, 0.5, 60, 0, 60, 5]])


def test_pasting_equals_sampling_each_pixel_of_the_photo() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(-3, 30, (6, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0.4, 25, (6, 2))], axis=1).astype(np.float32)
    masks, height, width = rng.random((6, 1, 14, 14), dtype=np.float32), 31, 40
    y, x = np.mgrid[:height, :width] + 0.5
    low, sides = boxes[:, None, None, :2], (boxes[:, 2:] - boxes[:, :2])[:, None, None]
    grid = (np.stack([x, y], axis=-1)[None] - low) / sides * 2 - 1
    sampled = F.grid_sample(
        paddle.to_tensor(masks), paddle.to_tensor(grid.astype(np.float32)), align_corners=False
    )
    size = paddle.to_tensor([float(height), float(width)])
    pasted = paste_box_masks(paddle.to_tensor(masks[:, 0]), paddle.to_tensor(boxes), size=size).numpy()

    assert pasted.dtype == np.int32
    assert 0 < pasted.sum() < pasted.size
    # Beyond rounding at the edge of a mask nothing differs.
    expected = sampled[:, 0].numpy()
    clear = np.abs(expected - 0.5) > 1e-4
    np.testing.assert_array_equal(pasted[clear], (expected >= 0.5)[clear])


def test_a_box_without_area_has_an_empty_mask() -> None:
    size = paddle.to_tensor([8.0, 8.0])
    boxes = paddle.to_tensor([[3.5, 3.5, 3.5, 3.5], [8.0, 0.0, 8.0, 8.0]])

    assert paste_box_masks(paddle.ones([2, 14, 14]), boxes, size=size).sum().item() == 0
