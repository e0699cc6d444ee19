"""Mask loss inside boxes, on prototypes that make the logits plain."""

import math

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.losses.cropped_mask import cropped_mask_loss

SOFTPLUS_1 = math.log(1 + math.e)


def test_mean_cross_entropy_inside_the_box() -> None:
    """A 2 x 2 box on a 4 x 4 grid: logit 1 where the mask is set in three of four cells."""
    gt_masks = np.zeros((1, 4, 4), np.uint8)
    gt_masks[0, 1:3, 1:3] = [[1, 1], [1, 0]]
    loss = cropped_mask_loss(
        paddle.to_tensor([[1.0]]),
        paddle.ones([1, 1, 4, 4]),
        counts=[1],
        objects=paddle.to_tensor([0]),
        gt_masks=paddle.to_tensor(gt_masks),
        gt_boxes=paddle.to_tensor([[1.0, 1.0, 3.0, 3.0]]),
    )

    # Mean over 16 cells of the four inside, divided by the box's share of 4 / 16.
    assert loss.item() == pytest.approx((3 * (SOFTPLUS_1 - 1) + SOFTPLUS_1) / 4, rel=1e-6)


def test_rows_of_images_meet_their_own_prototypes_and_objects() -> None:
    """Images of 2, 0 and 1 rows; prototypes of the image's number, boxes of one cell."""
    prototypes = paddle.arange(3, dtype="float32").reshape([3, 1, 1, 1]).expand([3, 1, 2, 2])
    boxes = [[0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 2.0, 2.0], [0.0, 1.0, 1.0, 2.0]]
    gt_masks = np.zeros((3, 2, 2), np.uint8)
    gt_masks[1, 1, 1] = 1
    loss = cropped_mask_loss(
        paddle.to_tensor([[5.0], [7.0], [0.5]]),
        prototypes,
        counts=[2, 0, 1],
        objects=paddle.to_tensor([1, 0, 2]),
        gt_masks=paddle.to_tensor(gt_masks),
        gt_boxes=paddle.to_tensor(boxes),
    )

    # Logits 0 (image 0) cost ln 2 whatever the mask says; the last row's logit is 0.5 * 2 on background.
    assert loss.item() == pytest.approx(2 * math.log(2) + SOFTPLUS_1, rel=1e-6)


def test_gradient_is_that_of_the_whole_map_with_zeros_outside() -> None:
    rng = np.random.default_rng(0)
    coefficients = paddle.to_tensor(rng.normal(size=(3, 2)).astype(np.float32), stop_gradient=False)
    prototypes = paddle.to_tensor(rng.normal(size=(1, 2, 5, 6)).astype(np.float32), stop_gradient=False)
    gt_masks = paddle.to_tensor(rng.integers(0, 2, (2, 5, 6)).astype(np.uint8))
    boxes = paddle.to_tensor([[0.5, 1.0, 4.2, 3.9], [2.0, 0.0, 6.0, 5.0]])
    objects = paddle.to_tensor([0, 1, 0])
    cropped_mask_loss(
        coefficients, prototypes, counts=[3], objects=objects, gt_masks=gt_masks, gt_boxes=boxes
    ).backward()
    found = coefficients.grad.numpy(), prototypes.grad.numpy()

    coefficients.clear_gradient()
    prototypes.clear_gradient()
    logits = paddle.matmul(coefficients, prototypes[0].flatten(1)).reshape([3, 5, 6])
    target = gt_masks[objects].astype("float32")
    bce = paddle.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    inside = np.zeros((2, 5, 6), np.float32)
    inside[0, 1:4, 1:5] = 1 / (3.7 * 2.9)
    inside[1, :, 2:] = 1 / 20
    (bce * paddle.to_tensor(inside)[objects]).sum().backward()

    np.testing.assert_allclose(found[0], coefficients.grad.numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[1], prototypes.grad.numpy(), rtol=1e-4, atol=1e-6)
