"""Detections of cells: order, padding, and the form of the official graph."""

import numpy as np
import paddle
import pytest

from paddlex.nn.multiclass_nms import Kept
from paddlex.repo_apis.paddle_detection.heads.ppyoloe_seg_postprocess import official_detections, rank_cells


def kept(rows: list[list[float]], index: list[int], counts: list[int]) -> Kept:
    return Kept(
        paddle.to_tensor(np.float32(rows).reshape(-1, 6)),
        paddle.to_tensor(np.int32(index)),
        paddle.to_tensor(np.int32(counts)),
    )


def test_detections_are_ranked_by_score_across_classes_and_padded() -> None:
    rows = [
        [0, 0.5, 1, 1, 2, 2],
        [2, 0.9, 3, 3, 4, 4],
        [1, 0.7, 5, 5, 6, 6],
    ]
    ranked = rank_cells(kept(rows, [4, 1, 15], [2, 0, 1]), num_cells=5)

    assert ranked.class_ids.tolist() == [[2, 0], [-1, -1], [1, -1]]
    assert ranked.scores.numpy() == pytest.approx(np.float32([[0.9, 0.5], [0, 0], [0.7, 0]]))
    assert ranked.cells.tolist() == [[1, 4], [0, 0], [0, 0]]
    assert ranked.boxes[0].tolist() == [[3, 3, 4, 4], [1, 1, 2, 2]]


def test_a_batch_without_detections_is_one_row_of_padding() -> None:
    ranked = rank_cells(kept([], [], [0, 0]), num_cells=5)

    assert ranked.class_ids.tolist() == [[-1], [-1]]
    assert ranked.boxes.shape == [2, 1, 4]


def official(found: Kept, *, height: int, width: int) -> tuple[paddle.Tensor, ...]:
    """Detections on an input of 8 x 8 whose one prototype is positive everywhere; (2, 1) cells per class."""
    return official_detections(
        found,
        coefficients=paddle.to_tensor([[[-1.0], [1.0]]]),
        prototypes=paddle.full([1, 1, 2, 2], 10.0),
        input_size=(8, 8),
        scale_factor=paddle.to_tensor(np.float32([[8 / height, 8 / width]])),
        photo_size=paddle.to_tensor([float(height), float(width)]),
    )


def test_official_rows_are_in_pixels_of_the_photo_and_masks_end_at_their_boxes() -> None:
    # The second cell is positive everywhere, the first nowhere.
    rows = [[0, 0.9, 2, 0, 6, 4], [3, 0.4, 0, 0, 8, 8]]
    boxes, count, masks = official(kept(rows, [1, 0], [2]), height=8, width=16)

    assert count.tolist() == [2]
    assert boxes.numpy() == pytest.approx(np.float32([[0, 0.9, 4, 0, 12, 4], [3, 0.4, 0, 0, 16, 8]]))
    expected = np.zeros((8, 16))
    expected[:4, 4:12] = 1
    np.testing.assert_array_equal(masks[0].numpy(), expected)
    assert not masks[1].any()
    assert masks.dtype == paddle.float32


def test_official_outputs_of_an_empty_photo_are_one_row_of_zeros_and_an_empty_mask() -> None:
    boxes, count, masks = official(kept([], [], [0]), height=5, width=7)

    assert boxes.tolist() == [[0.0] * 6]
    assert count.tolist() == [1]
    assert masks.shape == [1, 5, 7]
    assert not masks.any()
