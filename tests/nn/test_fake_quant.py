"""Fake quantisation against numbers computed by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import paddle
import pytest
from paddle import nn

from paddlex.nn.conv_bn import ConvBN
from paddlex.nn.convolution import Conv2D
from paddlex.nn.fake_quant import (
    AbsMax,
    ChannelWiseAbsMax,
    FakeQuantizer,
    MovingAverageAbsMax,
    RangeAbsMax,
    Scale,
    attach_quantizers,
    quantizers_off,
    round_to_levels,
)
from paddlex.nn.rep_conv import RepConv


def tensor(*values: float) -> paddle.Tensor:
    return paddle.to_tensor(np.array(values, np.float32))


def test_values_become_levels_of_eight_bits() -> None:
    """0.3 is 38.1 of 127 levels, so 38; -0.5 is -63.5, a tie, which goes to the even -64; 2 is clipped."""
    found = round_to_levels(tensor(1.0, 0.3, -0.5, 2.0), tensor(1.0), bits=8)
    np.testing.assert_allclose(found.numpy(), [1.0, 38 / 127, -64 / 127, 1.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("bits", "expected"),
    [(1, [0.0, 4.0]), (2, [0.0, 4.0]), (3, [4 / 3, 4.0]), (16, [8192 / 32767 * 4, 4.0])],
)
def test_fewer_bits_leave_fewer_levels(bits: int, expected: list[float]) -> None:
    """Of scale 4 with 3 bits the levels are multiples of 4 / 3, the nearest to 1 being the first."""
    found = round_to_levels(tensor(1.0, 4.0), tensor(4.0), bits=bits)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_channels_of_a_weight_have_their_own_scales() -> None:
    quantizer = FakeQuantizer(ChannelWiseAbsMax(0), bits=2)  # levels -s, 0, s
    found = quantizer(paddle.to_tensor([[4.0, 1.0], [0.4, -0.3]]))
    np.testing.assert_allclose(found.numpy(), [[4.0, 0.0], [0.4, -0.4]], rtol=1e-6)


def test_the_moving_average_follows_its_formula() -> None:
    """state 1, 1.9; sum 2, 0.9 * 2 + 4 = 5.8; scale 2, 5.8 / 1.9."""
    scale = MovingAverageAbsMax(0.9)
    assert scale.observe(tensor(-2.0, 1.0)).item() == 2.0
    assert scale.observe(tensor(4.0, 1.0)).item() == pytest.approx(5.8 / 1.9)
    assert scale.value(tensor(100.0)).item() == pytest.approx(5.8 / 1.9)


def test_the_range_is_that_of_a_window() -> None:
    scale = RangeAbsMax(2)
    assert [scale.observe(tensor(value)).item() for value in (5.0, -1.0, 2.0, 1.0)] == [5.0, 5.0, 2.0, 2.0]


def test_abs_max_is_that_of_the_tensor_in_training_and_of_the_last_one_in_evaluation() -> None:
    quantizer = FakeQuantizer(AbsMax(remembers=True), bits=2)
    assert quantizer(tensor(3.0, 1.0)).tolist() == [3.0, 0.0]
    assert quantizer(tensor(0.5, -0.4)).tolist() == [0.5, -0.5]
    quantizer.eval()
    assert quantizer(tensor(3.0, 0.1)).tolist() == [0.5, 0.0]


@pytest.mark.parametrize(
    "make", [lambda: AbsMax(remembers=True), lambda: RangeAbsMax(3), lambda: MovingAverageAbsMax(0.9)]
)
def test_a_fixed_scale_stands_in_evaluation(make: Callable[[], Scale]) -> None:
    scale = make()
    scale.observe(tensor(9.0))
    scale.fix(2.0)
    assert scale.value(tensor(7.0)).item() == 2.0


def test_what_nobody_has_seen_passes_evaluation_as_it_is() -> None:
    quantizer = FakeQuantizer(MovingAverageAbsMax(0.9), bits=8)
    quantizer.eval()
    assert quantizer(tensor(0.123, 7.0)).numpy() == pytest.approx([0.123, 7.0])


def test_the_gradient_passes_straight_through() -> None:
    x = tensor(0.3, -5.0)
    x.stop_gradient = False
    quantizer = FakeQuantizer(MovingAverageAbsMax(0.9), bits=4)
    (quantizer(x) * tensor(2.0, 3.0)).sum().backward()
    assert x.grad.tolist() == [2.0, 3.0]


def test_pact_clips_and_learns_where() -> None:
    """Beyond alpha the gradient is alpha's: 2 from above, minus 3 from below; the inner one goes to x."""
    quantizer = FakeQuantizer(MovingAverageAbsMax(0.9), bits=8, pact=True)
    assert quantizer.alpha.item() == 100.0
    assert quantizer.alpha.optimize_attr["learning_rate"] == 1000.0
    x = tensor(150.0, -200.0, 50.0)
    x.stop_gradient = False
    found = quantizer(x)
    np.testing.assert_allclose(found.numpy(), [100.0, -100.0, 64 / 127 * 100], rtol=1e-6)
    (found * tensor(2.0, 3.0, 5.0)).sum().backward()
    assert quantizer.alpha.grad.tolist() == [2.0 - 3.0]
    assert x.grad.tolist() == [0.0, 0.0, 5.0]


# --------------------------------------------------------------------------- layers


def quantize(layer: nn.Layer, *, axis: int = 0) -> None:
    attach_quantizers(
        layer,
        weight=FakeQuantizer(ChannelWiseAbsMax(axis), bits=4),
        inputs=FakeQuantizer(MovingAverageAbsMax(0.9), bits=4),
    )


def rounded(x: paddle.Tensor, *, axis: int | None = None) -> paddle.Tensor:
    others = [i for i in range(x.ndim) if i != axis]
    scale = x.abs().max() if axis is None else x.abs().max(axis=others, keepdim=True)
    return paddle.round(x / scale * 7) * scale / 7


@pytest.mark.parametrize(
    ("make", "axis"),
    [
        pytest.param(lambda: nn.Conv2D(4, 6, 3, padding=1), 0, id="convolution"),
        pytest.param(lambda: nn.Conv2D(4, 4, 3, stride=2, groups=4), 0, id="depthwise"),
        pytest.param(lambda: Conv2D(4, 6, 3, padding=1), 0, id="biased"),
        pytest.param(lambda: nn.Conv2DTranspose(4, 6, 2, stride=2), 1, id="transposed"),
    ],
)
def test_a_layer_sees_rounded_weights_and_inputs(make: Callable[[], nn.Layer], axis: int) -> None:
    paddle.seed(0)
    layer, x = make(), paddle.randn([2, 4, 8, 8])
    reference = copy.deepcopy(layer)
    names = set(reference.state_dict())
    quantize(layer, axis=axis)
    reference.weight.set_value(rounded(layer.weight, axis=axis))
    np.testing.assert_allclose(layer(x).numpy(), reference(rounded(x)).numpy(), rtol=1e-4, atol=1e-5)
    assert names < set(layer.state_dict())
    assert {name.split(".")[0] for name in set(layer.state_dict()) - names} == {"input_quantizer"}


def test_a_linear_layer_rounds_by_columns() -> None:
    layer, x = nn.Linear(3, 2), paddle.randn([5, 3])
    quantize(layer, axis=1)
    expected = rounded(x) @ rounded(layer.weight, axis=1) + layer.bias
    np.testing.assert_allclose(layer(x).numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_the_weight_itself_stays_exact_and_learns() -> None:
    layer = nn.Linear(3, 2)
    before = layer.weight.numpy()
    quantize(layer, axis=1)
    layer(paddle.randn([5, 3])).sum().backward()
    assert (layer.weight.numpy() == before).all()
    assert layer.weight.grad is not None and float(layer.weight.grad.abs().sum()) > 0


def test_quantizers_can_be_turned_off() -> None:
    layer, x = nn.Linear(3, 2), paddle.randn([5, 3])
    exact = layer(x).numpy()
    quantize(layer, axis=1)
    with quantizers_off(layer):
        assert (layer(x).numpy() == exact).all()
    assert (layer(x).numpy() != exact).any()


def test_folding_a_normalisation_keeps_a_quantised_unit() -> None:
    """Rounding by channels and scaling channels may change places."""
    paddle.seed(0)
    unit, x = ConvBN(3, 4, kernel_size=3), paddle.randn([2, 3, 8, 8])
    quantize(unit.convolution)
    unit(x)
    unit.eval()
    before = unit(x).numpy()
    unit.fuse()
    np.testing.assert_allclose(unit(x).numpy(), before, rtol=1e-4, atol=1e-5)


def test_a_fused_rep_conv_stays_quantised() -> None:
    paddle.seed(0)
    unit, x = RepConv(3, 4, activation=nn.functional.relu), paddle.randn([2, 3, 8, 8])
    for branch in (unit.conv1, unit.conv2):
        quantize(branch.convolution)
    unit(x)
    unit.eval()
    unit.fuse()
    assert unit.conv is not None
    expected = unit._activation(
        nn.functional.conv2d(rounded(x), rounded(unit.conv.weight, axis=0), unit.conv.bias, padding=1)
    )
    np.testing.assert_allclose(unit(x).numpy(), expected.numpy(), rtol=1e-4, atol=1e-5)
