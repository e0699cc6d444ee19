"""IoU of matched masks."""

import paddle
import pytest

from paddlex.repo_apis.paddle_detection.losses.mask_iou import paired_mask_iou, resize_masks


def test_resize_keeps_pixels_that_are_more_than_half_covered() -> None:
    # Halving averages 2 x 2 pixels: three set pixels stay, two do not.
    mask = paddle.to_tensor([[[1, 1, 1, 0], [1, 0, 1, 0], [0, 0, 1, 1], [0, 0, 1, 1]]], dtype="uint8")

    assert resize_masks(mask, size=(2, 2)).tolist() == [[[1, 0], [0, 1]]]


def test_iou_compares_at_twice_the_resolution_of_the_logits() -> None:
    logits = paddle.to_tensor([[[1.0, -1.0], [1.0, -1.0]]])  # left half set: 8 of 16 pixels
    target = paddle.zeros([1, 4, 4])
    target[:, :2] = 1.0  # upper half: 8 pixels, 4 of them common

    assert paired_mask_iou(logits, target).tolist() == pytest.approx([4.01 / 12.01])


def test_two_empty_masks_agree() -> None:
    assert paired_mask_iou(paddle.full([1, 2, 2], -1.0), paddle.zeros([1, 4, 4])).tolist() == [1.0]
