"""Box losses."""

import paddle
import pytest

from paddlex.repo_apis.paddle_detection.losses.box import box_losses, smooth_l1


def test_values_are_the_hand_computed_ones() -> None:
    # Same 0.2 x 0.2 box moved by its width: IoU 0, hull twice the area of each, GIoU = 0 - 0 / 0.08 = 0.
    pred = paddle.to_tensor([[0.3, 0.5, 0.2, 0.2], [0.5, 0.5, 0.4, 0.2]])
    target = paddle.to_tensor([[0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2]])
    distance, giou_loss = box_losses(pred, target)

    # The second box holds its target and half as much again: IoU 1/2, hull equal to the union.
    assert distance.tolist() == pytest.approx([0.2, 0.2], abs=1e-6)
    assert giou_loss.tolist() == pytest.approx([1.0, 0.5], abs=1e-5)


def test_smooth_l1_is_a_square_near_zero_and_a_line_beyond() -> None:
    errors = paddle.to_tensor([-2.0, -0.25, 0.0, 0.5, 1.5])

    assert smooth_l1(errors, beta=0.5).tolist() == pytest.approx([1.75, 0.0625, 0.0, 0.25, 1.25])
    assert smooth_l1(errors, beta=0.0).tolist() == [2.0, 0.25, 0.0, 0.5, 1.5]
