"""Dropout that draws from a replaceable source."""

import numpy as np
import paddle

from paddlex.nn.draws import UniformDraws
from paddlex.nn.dropout import Dropout


def test_a_share_of_the_values_vanishes_and_the_rest_keeps_the_mean() -> None:
    layer = Dropout(0.25)
    layer.draws = UniformDraws(0)
    layer.train()
    values = layer(paddle.ones([100, 100])).numpy()

    assert set(np.unique(values)) == {np.float32(0.0), np.float32(1.0) / np.float32(0.75)}
    assert abs((values == 0).mean() - 0.25) < 0.02


def test_equal_draws_drop_the_same_values() -> None:
    layer = Dropout(0.5)
    layer.train()
    found = []
    for seed in (1, 1, 2):
        layer.draws = UniformDraws(seed)
        found.append(layer(paddle.ones([64])).numpy())

    assert (found[0] == found[1]).all()
    assert (found[0] != found[2]).any()


def test_evaluation_and_a_rate_of_zero_change_nothing() -> None:
    x = paddle.randn([8])
    evaluating, idle = Dropout(0.5), Dropout(0.0)
    evaluating.eval()
    idle.train()

    assert (evaluating(x).numpy() == x.numpy()).all()
    assert (idle(x).numpy() == x.numpy()).all()
