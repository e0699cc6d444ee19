"""Convolution with normalisation: freezing, unfreezing, fusing."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from paddlex.nn.conv_bn import ConvBN, fuse_conv_bn
from paddlex.nn.frozen_bn import FrozenBatchNorm2D
from paddlex.nn.initializers import kaiming_normal
from paddlex.nn.rep_conv import RepConv


def _with_statistics(layer: paddle.nn.Layer) -> paddle.nn.Layer:
    """Give every normalisation statistics, scale and shift of its own."""
    generator = np.random.default_rng(0)
    for name, value in layer.state_dict().items():
        positive = name.endswith(("_variance", "bn.weight"))
        noise = generator.random(value.shape, dtype=np.float32)
        value.set_value(noise + 0.5 if positive else noise - 0.5)
    return layer


def test_frozen_normalisation_is_the_same_in_training_and_learns_nothing() -> None:
    norm = _with_statistics(FrozenBatchNorm2D(3))
    x = paddle.randn([4, 3, 5, 5])
    x.stop_gradient = False
    before = {name: value.numpy() for name, value in norm.state_dict().items()}

    norm.train()
    trained = norm(x)
    trained.sum().backward()
    norm.eval()

    np.testing.assert_array_equal(trained.numpy(), norm(x).numpy())
    assert all(p.grad is None for p in norm.parameters())
    assert all(np.array_equal(value.numpy(), before[name]) for name, value in norm.state_dict().items())
    scale = before["weight"] / np.sqrt(before["_variance"] + 1e-5)
    np.testing.assert_allclose(x.grad.numpy()[0, :, 0, 0], scale, rtol=1e-5)


def test_frozen_normalisation_survives_the_conversion_to_synchronised_ones() -> None:
    unit = ConvBN(3, 4, kernel_size=3, frozen_norm=True)
    converted = paddle.nn.SyncBatchNorm.convert_sync_batchnorm(unit)

    assert isinstance(converted.bn, FrozenBatchNorm2D)


def test_frozen_and_ordinary_normalisation_have_the_same_entries() -> None:
    assert list(FrozenBatchNorm2D(3).state_dict()) == list(paddle.nn.BatchNorm2D(3).state_dict())


def test_unfreezing_keeps_the_values() -> None:
    attr = kaiming_normal(27, learning_rate=0.1, trainable=False)
    unit = _with_statistics(ConvBN(3, 4, kernel_size=3, weight_attr=attr, frozen_norm=True))
    unit.eval()
    x = paddle.randn([2, 3, 6, 6])
    before = unit(x).numpy()

    unit.unfreeze()
    unit.eval()

    np.testing.assert_allclose(unit(x).numpy(), before, atol=1e-6)
    unit.train()
    unit(x).sum().backward()
    assert unit.conv.weight.grad is not None
    assert unit.bn.weight.grad is not None
    assert unit.conv.weight.optimize_attr["learning_rate"] == 1.0


def test_fused_convolution_equals_the_unit() -> None:
    unit = _with_statistics(ConvBN(3, 4, kernel_size=3))
    unit.eval()
    x = paddle.randn([2, 3, 6, 6])
    kernel, bias = fuse_conv_bn(unit)

    np.testing.assert_allclose(F.conv2d(x, kernel, bias, padding=1).numpy(), unit(x).numpy(), atol=1e-5)


def test_a_bias_before_the_normalisation_is_fused_too() -> None:
    unit = ConvBN(3, 4, kernel_size=3, bias=True, conv_name="_conv", norm_name="_batch_norm")
    unit = _with_statistics(unit)
    unit.eval()
    x = paddle.randn([2, 3, 6, 6])
    before = unit(x).numpy()
    assert list(unit.state_dict())[:3] == ["_conv.weight", "_conv.bias", "_batch_norm.weight"]

    unit.fuse()

    np.testing.assert_allclose(unit(x).numpy(), before, atol=1e-5)
    assert list(unit.state_dict()) == ["_conv.weight", "_conv.bias"]


@pytest.mark.parametrize(("side", "first_pixel"), [(6, 0), (7, -1)], ids=["even", "odd"])
def test_same_padding_of_a_strided_kernel_depends_on_the_side(side: int, first_pixel: int) -> None:
    unit = ConvBN(1, 1, kernel_size=3, stride=2, padding="SAME")
    unit.eval()
    unit.conv.weight.set_value(paddle.ones([1, 1, 3, 3]))
    picture = np.arange(side * side, dtype=np.float32).reshape(1, 1, side, side)
    found = unit(paddle.to_tensor(picture)).numpy()[0, 0]

    # The first kernel begins at `first_pixel` on both axes; pixels outside are zero.
    covered = picture[0, 0, : first_pixel + 3, : first_pixel + 3]
    assert found.shape == ((side + 1) // 2,) * 2
    np.testing.assert_allclose(found[0, 0], covered.sum(), rtol=1e-4)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_unit_fuses_into_its_own_convolution_once(frozen: bool) -> None:
    unit = _with_statistics(ConvBN(3, 4, kernel_size=3, stride=2, frozen_norm=frozen, activation=F.relu))
    unit.eval()
    x = paddle.randn([2, 3, 6, 6])
    before = unit(x).numpy()
    unit.fuse()
    unit.fuse()

    np.testing.assert_allclose(unit(x).numpy(), before, atol=1e-5)
    assert list(unit.state_dict()) == ["conv.weight", "conv.bias"]


@pytest.mark.parametrize("scaled", [False, True])
def test_re_parameterised_convolution_equals_its_branches_and_fuses_once(scaled: bool) -> None:
    layer = _with_statistics(RepConv(3, 4, activation=F.silu, scaled=scaled))
    layer.eval()
    x = paddle.randn([2, 3, 6, 6])
    before = layer(x).numpy()
    layer.fuse()
    layer.fuse()

    np.testing.assert_allclose(layer(x).numpy(), before, atol=1e-5)
    assert list(layer.state_dict()) == ["conv.weight", "conv.bias"]


def test_scaled_re_parameterised_convolution_multiplies_the_pointwise_branch() -> None:
    layer = _with_statistics(RepConv(3, 4, activation=lambda x: x, scaled=True))
    layer.eval()
    layer.alpha.set_value(paddle.to_tensor([3.0]))
    x = paddle.randn([2, 3, 6, 6])

    assert next(iter(layer.state_dict())) == "alpha"
    expected = layer.conv1(x) + 3.0 * layer.conv2(x)
    np.testing.assert_allclose(layer(x).numpy(), expected.numpy(), atol=1e-6)
