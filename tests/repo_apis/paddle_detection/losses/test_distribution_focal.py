"""Distribution focal loss."""

import math

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.losses.distribution_focal import distribution_focal_loss


def test_even_distribution_costs_the_logarithm_of_the_bins() -> None:
    loss = distribution_focal_loss(paddle.zeros([2, 3, 5]), paddle.to_tensor([[0.0, 1.3, 3.9]] * 2))

    np.testing.assert_allclose(loss.numpy(), np.full((2, 3), math.log(5)), rtol=1e-6)


def test_the_two_nearest_bins_count_by_their_nearness() -> None:
    # Probabilities 0.1, 0.2, 0.3, 0.4; a distance of 1.25 is three quarters bin 1, one quarter bin 2.
    logits = paddle.log(paddle.to_tensor([0.1, 0.2, 0.3, 0.4]))
    loss = distribution_focal_loss(logits, paddle.to_tensor(1.25))

    assert loss.item() == pytest.approx(-0.75 * math.log(0.2) - 0.25 * math.log(0.3), rel=1e-6)


def test_distances_beyond_the_bins_count_as_the_outermost() -> None:
    logits = paddle.log(paddle.to_tensor([[0.1, 0.2, 0.3, 0.4]] * 2))
    loss = distribution_focal_loss(logits, paddle.to_tensor([-2.0, 9.0]))

    assert loss[0].item() == pytest.approx(-math.log(0.1), rel=1e-6)
    assert loss[1].item() == pytest.approx(-0.01 * math.log(0.3) - 0.99 * math.log(0.4), rel=1e-5)
