"""Box arithmetic, by hand."""

import math

import numpy as np
import paddle
import pytest

from paddlex.nn import boxes as B

# Two squares of side 2 that share one unit square: union 7, enclosing square 9.
FIRST, SECOND = [0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 3.0]


def test_corners_and_centre_are_two_notations_of_one_box() -> None:
    xyxy = paddle.to_tensor([[1.0, 2.0, 5.0, 4.0]])

    assert B.xyxy_to_cxcywh(xyxy).tolist() == [[3.0, 3.0, 4.0, 2.0]]
    assert B.cxcywh_to_xyxy(B.xyxy_to_cxcywh(xyxy)).tolist() == xyxy.tolist()


def test_iou_of_two_overlapping_squares() -> None:
    first, second = paddle.to_tensor([FIRST]), paddle.to_tensor([SECOND])

    assert B.box_iou(first, second).item() == pytest.approx(1 / 7)
    assert B.generalized_box_iou(first, second).item() == pytest.approx(1 / 7 - 2 / 9)


def test_generalised_iou_of_distant_boxes_grows_towards_minus_one() -> None:
    far = paddle.to_tensor([[100.0, 0.0, 102.0, 2.0]])

    # Union 8 in an enclosing box of 102 x 2.
    assert B.generalized_box_iou(paddle.to_tensor([FIRST]), far).item() == pytest.approx(8 / 204 - 1)


def test_empty_boxes_have_iou_zero() -> None:
    empty = paddle.zeros([1, 4])

    assert B.box_iou(empty, empty).item() == 0.0
    assert math.isfinite(B.generalized_box_iou(empty, empty).item())


def test_pairwise_tables_hold_every_pair() -> None:
    first, second = paddle.to_tensor([FIRST]), paddle.to_tensor([FIRST, SECOND])

    np.testing.assert_allclose(B.pairwise_box_iou(first, second).numpy(), [[1, 1 / 7]], rtol=1e-6)
    np.testing.assert_allclose(
        B.pairwise_generalized_box_iou(first, second).numpy(), [[1, 1 / 7 - 2 / 9]], rtol=1e-5
    )


def test_clipping_moves_corners_into_each_boxes_own_image() -> None:
    boxes = paddle.to_tensor([[-1.0, 2.0, 9.0, 9.0], [-1.0, 2.0, 9.0, 9.0]])
    sizes = paddle.to_tensor([[4.0, 6.0], [20.0, 5.0]])

    assert B.clip_boxes(boxes, sizes).tolist() == [[0.0, 2.0, 6.0, 4.0], [0.0, 2.0, 5.0, 9.0]]


def test_inverse_sigmoid_is_bounded_at_the_ends() -> None:
    values = B.inverse_sigmoid(paddle.to_tensor([-1.0, 0.0, 0.5, 0.75, 1.0, 2.0])).numpy()

    bound = math.log(1e-5)
    np.testing.assert_allclose(values, [bound, bound, 0.0, math.log(3), -bound, -bound], rtol=1e-4, atol=1e-6)


def test_a_mask_of_one_pixel_has_a_box_of_one_pixel() -> None:
    mask = np.full((4, 8), -1.0, np.float32)
    mask[1, 3] = 1.0

    assert B.masks_to_boxes(paddle.to_tensor(mask)).tolist() == [3 / 8, 1 / 4, 4 / 8, 2 / 4]


def test_an_empty_mask_has_an_empty_box() -> None:
    # The threshold itself is background.
    assert B.masks_to_boxes(paddle.zeros([2, 4, 8])).tolist() == [[0.0] * 4] * 2


def test_a_full_mask_has_the_whole_image() -> None:
    assert B.masks_to_boxes(paddle.ones([4, 8]), threshold=0.5).tolist() == [0.0, 0.0, 1.0, 1.0]


def test_cells_inside_a_box_include_the_near_edge_alone() -> None:
    # Columns 1, 2 of [0.5, 3): 3 is at the far edge; row 1 of [1, 1.5).
    inside = B.cells_in_boxes(paddle.to_tensor([[0.5, 1.0, 3.0, 1.5], [0.2, 0.2, 0.8, 0.8]]), size=(3, 5))

    assert inside[0].astype("int64").tolist() == [[0, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]]
    assert not inside[1].any()
