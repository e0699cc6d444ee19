"""Networks cut to recorded shapes."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle import nn

from paddlex.nn.channels import fit_channels, fitted_channels
from paddlex.nn.conv_bn import ConvBN
from paddlex.utils.errors import WeightsError


class _Network(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.first = ConvBN(3, 8, kernel_size=3)
        self.depthwise = ConvBN(8, 16, kernel_size=3, groups=8, frozen_norm=True)
        self.enlarge = nn.Conv2DTranspose(16, 6, 2, stride=2)
        self.last = self.alias = nn.Conv2D(6, 5, 1)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        return self.last(self.enlarge(self.depthwise(self.first(image))))


CHANNELS = {
    "first.conv.weight": [5, None, None, None],
    **{f"first.bn.{name}": [5] for name in ("weight", "bias", "_mean", "_variance")},
    "depthwise.conv.weight": [10, None, None, None],
    **{f"depthwise.bn.{name}": [10] for name in ("weight", "bias", "_mean", "_variance")},
    "enlarge.weight": [10, 4, None, None],
    "enlarge.bias": [4],
    "last.weight": [None, 4, None, None],
}


def test_fit_channels_cuts_every_kind_of_layer() -> None:
    network = _Network()
    weights = network.last.weight.numpy()
    fit_channels(network, CHANNELS)
    conv = network.depthwise.conv
    assert (conv._groups, conv._in_channels, conv._out_channels) == (5, 5, 10)
    assert (network.enlarge._in_channels, network.enlarge._out_channels) == (10, 4)
    assert network.first.bn._num_features == 5
    np.testing.assert_array_equal(network.last.weight.numpy(), weights[:, :4])
    assert network.alias is network.last
    output = network(paddle.ones([2, 3, 6, 6]))
    assert output.shape == [2, 5, 12, 12]
    output.sum().backward()
    assert network.first.conv.weight.grad is not None
    assert network.depthwise.bn.weight.grad is None


def test_fit_channels_keeps_how_parameters_learn() -> None:
    network = _Network()
    weight = network.first.conv.weight
    weight.optimize_attr["learning_rate"] = 0.1
    network.last.bias.trainable = False
    network.last.bias.stop_gradient = True
    fit_channels(network, {**CHANNELS, "last.bias": [3]})
    assert network.first.conv.weight.optimize_attr["learning_rate"] == 0.1
    assert network.first.conv.weight.trainable and not network.first.conv.weight.stop_gradient
    assert network.last.bias.stop_gradient and not network.last.bias.trainable
    assert network.depthwise.bn.weight.stop_gradient
    names = [name for name, _ in network.named_parameters()]
    assert names == [name for name, _ in _Network().named_parameters()]


def test_fitted_channels_tells_what_was_done() -> None:
    network = _Network()
    assert fitted_channels(network) == {}
    fit_channels(network, CHANNELS)
    assert fitted_channels(network) == CHANNELS


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ({"frist.conv.weight": [5, None, None, None]}, "frist.conv.weight is no entry of this network"),
        ({"first.conv.weight": [9, None, None, None]}, r"\[8, 3, 3, 3\], which cannot become \[9, None"),
        ({"first.conv.weight": [5, None]}, "which cannot become"),
        ({"first.conv.weight": [0, None, None, None]}, "which cannot become"),
        ({"first.conv.weight": ["5", None, None, None]}, "which cannot become"),
    ],
)
def test_fit_channels_refuses_the_record_of_another_network(channels: dict, message: str) -> None:
    network = _Network()
    with pytest.raises(WeightsError, match=message):
        fit_channels(network, channels)
    assert network.first.conv.weight.shape == [8, 3, 3, 3]
