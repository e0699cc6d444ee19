"""IoU of matched masks."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from paddlex.repo_apis.paddle_detection.losses.mask_iou import paired_mask_iou, resize_masks


def test_resize_keeps_pixels_that_are_more_than_half_covered() -> None:
    # Halving averages 2 x 2 pixels: three set pixels stay, two do not.
    mask = paddle.to_tensor([[[1, 1, 1, 0], [1, 0, 1, 0], [0, 0, 1, 1], [0, 0, 1, 1]]], dtype="uint8")

    assert resize_masks(mask, size=(2, 2)).tolist() == [[[1, 0], [0, 1]]]


ONLY = paddle.zeros([1], dtype="int64")


def test_iou_compares_at_twice_the_resolution_of_the_logits() -> None:
    logits = paddle.to_tensor([[[1.0, -1.0], [1.0, -1.0]]])  # left half set: 8 of 16 pixels
    target = paddle.zeros([1, 4, 4])
    target[:, :2] = 1.0  # upper half: 8 pixels, 4 of them common

    assert paired_mask_iou(logits, target, index=ONLY).tolist() == pytest.approx([4.01 / 12.01])


def test_two_empty_masks_agree() -> None:
    empty = paddle.full([1, 2, 2], -1.0)
    assert paired_mask_iou(empty, paddle.zeros([1, 4, 4]), index=ONLY).tolist() == [1.0]


def test_iou_equals_that_of_bilinearly_upsampled_logits() -> None:
    rng = np.random.default_rng(0)
    logits = paddle.to_tensor(rng.normal(size=(5, 6, 9)).astype(np.float32))
    masks = paddle.to_tensor((rng.random((3, 12, 18)) < 0.5).astype(np.float32))
    index = paddle.to_tensor([2, 0, 0, 1, 2])

    upsampled = F.interpolate(logits.unsqueeze(1), size=[12, 18], mode="bilinear").squeeze(1).numpy() > 0
    targets = masks.numpy()[index.numpy()] > 0
    common, either = (upsampled & targets).sum((1, 2)), (upsampled | targets).sum((1, 2))
    expected = (common + 0.01) / (either + 0.01)
    np.testing.assert_allclose(paired_mask_iou(logits, masks, index=index).numpy(), expected, rtol=1e-6)
