"""Convolution with group normalisation."""

import numpy as np
import paddle
import pytest

from paddlex.nn.conv_gn import ConvGN
from paddlex.training.optim import build_optimizer


@pytest.fixture
def unit() -> ConvGN:
    paddle.seed(0)
    return ConvGN(2, 4, num_groups=2)


def test_each_group_is_normalised_by_itself_and_cut_at_zero(unit: ConvGN) -> None:
    x = paddle.randn([1, 2, 6, 6])
    raw = unit.conv(x).numpy().reshape(1, 2, -1)
    normalised = (raw - raw.mean(-1, keepdims=True)) / np.sqrt(raw.var(-1, keepdims=True) + 1e-5)

    expected = np.maximum(normalised, 0).reshape(1, 4, 6, 6)
    np.testing.assert_allclose(unit(x).numpy(), expected, atol=1e-4)


def test_weight_decay_spares_scale_and_shift(unit: ConvGN) -> None:
    optimizer = build_optimizer(unit.parameters(), algorithm="momentum", weight_decay=0.5)
    optimizer.set_lr(0.1)
    unit.norm.bias.set_value(paddle.ones([4]))
    kernel = unit.conv.weight.numpy()
    (0.0 * unit(paddle.randn([1, 2, 6, 6])).sum()).backward()
    optimizer.step()

    np.testing.assert_allclose(unit.conv.weight.numpy(), kernel * (1 - 0.1 * 0.5), rtol=1e-5)
    assert unit.norm.weight.tolist() == [1.0] * 4
    assert unit.norm.bias.tolist() == [1.0] * 4
