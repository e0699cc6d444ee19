"""Losses of SOLOv2, with numbers computed by hand."""

import math

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.heads.solov2_targets import CellTargets
from paddlex.repo_apis.paddle_detection.losses.solov2 import category_loss, dice_loss, mask_loss


def targets(cells: list[int], objects: list[int], masks: list[list[list[int]]]) -> CellTargets:
    return CellTargets(
        categories=np.zeros(4, np.int64),
        cells=np.array(cells, np.int64),
        objects=np.array(objects, np.int64),
        masks=np.array(masks, np.uint8).reshape(-1, 1, 2),
    )


def test_dice_loss_of_a_half_covered_row() -> None:
    loss = dice_loss(paddle.to_tensor([[1.0, 0.0], [0.5, 0.5]]), paddle.to_tensor([[1.0, 1.0], [1.0, 0.0]]))

    # 2 * 1 / (1 + 2) and 2 * 0.5 / (0.5 + 1), each sum with 0.001 added.
    assert loss.tolist() == pytest.approx([1 - 2 / 3.002, 1 - 1 / 1.502])


def test_mask_loss_is_the_mean_over_the_claims_of_the_batch() -> None:
    # Features of one channel: the kernel times (1, -1) are the logits of the two pixels.
    features = paddle.to_tensor([[[[1.0, -1.0]]], [[[1.0, -1.0]]]])
    kernels = paddle.to_tensor([[[20.0], [0.0]], [[-20.0], [0.0]]])
    batch = [targets([0, 1], [0, 0], [[[1, 0]]]), targets([0], [0], [[[1, 0]]])]

    # A perfect mask, one of halves, one that is all wrong.
    perfect, halves, wrong = 1 - 2 / 2.002, 1 - 1 / 1.502, 1.0
    expected = (perfect + halves + wrong) / 3
    assert float(mask_loss(kernels, features, batch)) == pytest.approx(expected, abs=1e-6)


def test_claims_whose_reduced_mask_is_empty_do_not_count() -> None:
    features, kernels = paddle.to_tensor([[[[1.0, -1.0]]]]), paddle.to_tensor([[[20.0], [0.0]]])
    batch = [targets([1, 0], [0, 1], [[[0, 0]], [[1, 0]]])]

    assert float(mask_loss(kernels, features, batch)) == pytest.approx(1 - 2 / 2.002, abs=1e-6)


def test_without_objects_the_mask_loss_is_zero_and_so_are_its_gradients() -> None:
    features, kernels = paddle.ones([1, 1, 1, 2]), paddle.ones([1, 2, 1])
    features.stop_gradient = kernels.stop_gradient = False
    loss = mask_loss(kernels, features, [targets([], [], [])])
    loss.backward()

    assert float(loss) == 0.0
    assert not features.grad.numpy().any()
    assert not kernels.grad.numpy().any()


def test_category_loss_is_summed_over_cells_and_divided_by_claimed_cells_plus_one() -> None:
    logits = paddle.zeros([1, 3, 2])  # every score a half
    loss = category_loss(logits, paddle.to_tensor([[0, 2, 0]]))

    # A half misses by a half, squared and times log 2: a quarter of it for the positive, three for others.
    each = 0.25 * math.log(2)
    assert float(loss) == pytest.approx((0.25 + 5 * 0.75) * each / 2, rel=1e-5)
