"""Convolutions with bias: in training on a CPU the same values and gradients as Paddle's own."""

import numpy as np
import paddle
import pytest
from paddle import nn

from paddlex.nn.biased_conv import BiasedConv2D, BiasedConv2DTranspose

PAIRS = [
    (BiasedConv2D(3, 4, 3, padding=1), nn.Conv2D(3, 4, 3, padding=1)),
    (BiasedConv2D(3, 4, 1), nn.Conv2D(3, 4, 1)),
    (BiasedConv2DTranspose(3, 4), nn.Conv2DTranspose(3, 4, 2, stride=2)),
]


@pytest.mark.parametrize(("ours", "plain"), PAIRS, ids=["3x3", "1x1", "transposed"])
@pytest.mark.parametrize("training", [True, False])
def test_it_computes_what_paddles_own_layer_does(ours: nn.Layer, plain: nn.Layer, training: bool) -> None:
    plain.set_state_dict(ours.state_dict())
    plain.bias.set_value(paddle.to_tensor(np.float32([1, -2, 3, 0.5])))
    ours.bias.set_value(plain.bias)
    x, results = paddle.rand([2, 3, 5, 6]), []
    for layer in (ours, plain):
        layer.train() if training else layer.eval()
        layer.clear_gradients()
        y = layer(x)
        (y * y).sum().backward()
        results.append((y.numpy(), layer.weight.grad.numpy(), layer.bias.grad.numpy()))

    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_no_regions_at_all_are_no_error() -> None:
    layer = BiasedConv2D(3, 4, 3, padding=1).train()

    assert layer(paddle.zeros([0, 3, 14, 14])).shape == [0, 4, 14, 14]
