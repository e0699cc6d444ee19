"""Sigmoid focal loss."""

import math

import paddle
import pytest

from paddlex.repo_apis.paddle_detection.losses.focal import sigmoid_focal_loss


def test_values_are_the_papers() -> None:
    # At p = 1/2 the cross-entropy is ln 2 and (1 - p_t)^2 = 1/4; alpha weighs positives 0.25, negatives 0.75.
    loss = sigmoid_focal_loss(paddle.zeros([2]), paddle.to_tensor([1.0, 0.0]))

    assert loss.tolist() == pytest.approx([0.25 * 0.25 * math.log(2), 0.75 * 0.25 * math.log(2)])
