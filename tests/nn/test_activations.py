"""Activations."""

import math

import paddle
import pytest

from paddlex.nn.activations import silu


def test_silu_is_the_input_times_its_sigmoid() -> None:
    assert silu(paddle.to_tensor([math.log(3)])).item() == pytest.approx(0.75 * math.log(3))


def test_gradient_of_silu_is_finite_everywhere() -> None:
    x = paddle.to_tensor([-1e30, -1000.0, -89.0, 0.0, 1000.0], stop_gradient=False)
    silu(x).sum().backward()

    assert x.grad.tolist() == [0.0, 0.0, 0.0, 0.5, 1.0]
