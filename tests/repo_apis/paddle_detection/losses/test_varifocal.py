"""Varifocal loss."""

import math

import paddle
import pytest

from paddlex.repo_apis.paddle_detection.losses.varifocal import varifocal_loss


def test_positive_weighs_its_iou_and_negative_its_probability() -> None:
    logits, scores, labels = (
        paddle.zeros([3]),
        paddle.to_tensor([0.8, 0.0, 0.0]),
        paddle.to_tensor([1.0, 1.0, 0.0]),
    )
    loss = varifocal_loss(logits, scores, labels)

    # A matched element of IoU 0 weighs nothing; the negative weighs 0.75 * (1/2)^2.
    assert loss.tolist() == pytest.approx([0.8 * math.log(2), 0.0, 0.1875 * math.log(2)])


def test_gradient_flows_through_the_weight_of_negatives() -> None:
    logits = paddle.to_tensor([math.log(3)], stop_gradient=False)  # p = 3/4, softplus = ln 4
    varifocal_loss(logits, paddle.zeros([1]), paddle.zeros([1])).sum().backward()

    # d/dx [0.75 p^2 softplus(x)] = 0.75 * (2 p * p (1 - p) * softplus(x) + p^2 * p)
    expected = 0.75 * (2 * 0.75 * 0.1875 * math.log(4) + 0.75**3)
    assert logits.grad.item() == pytest.approx(expected, rel=1e-5)


def test_saturating_loss_is_bounded_and_flat_where_the_probability_rounds_to_one() -> None:
    logits = paddle.to_tensor([math.log(3), 40.0], stop_gradient=False)
    loss = varifocal_loss(logits, paddle.zeros([2]), paddle.zeros([2]), saturating=True)
    loss.sum().backward()

    assert loss.tolist() == pytest.approx([0.75 * 0.75**2 * math.log(4), 0.75 * 100], rel=1e-5)
    assert logits.grad[0].item() > 0
    assert logits.grad[1].item() == 0
