"""ResNet: declared shapes, freezing, learning rates, and the pooling shortcut of variant d."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle import nn

from paddlex.nn.frozen_bn import FrozenBatchNorm2D
from paddlex.repo_apis.paddle_detection.backbones.resnet import (
    BottleneckStage,
    ResNet,
    start_from_shortcuts,
)


def _learning(layer: nn.Layer) -> set[str]:
    return {name for name, parameter in layer.named_parameters() if not parameter.stop_gradient}


@pytest.mark.parametrize("variant", ["b", "d"])
@pytest.mark.parametrize("out_stages", [(2, 3, 4, 5), (4,), (3, 4)])
def test_outputs_have_the_declared_channels_and_strides(variant: str, out_stages: tuple[int, ...]) -> None:
    backbone = ResNet(50, variant=variant, out_stages=out_stages).eval()
    with paddle.no_grad():
        features = backbone(paddle.rand([1, 3, 64, 96]))

    assert [tuple(feature.shape[1:]) for feature in features] == [
        (channels, 64 // stride, 96 // stride)
        for channels, stride in zip(backbone.out_channels, backbone.strides, strict=True)
    ]
    assert hasattr(backbone, "res5") == (5 in out_stages)


def test_stem_and_first_stage_and_every_normalisation_are_frozen() -> None:
    learning = _learning(ResNet(50))

    assert {name.split(".")[0] for name in learning} == {"res3", "res4", "res5"}
    assert all(name.endswith("conv.weight") for name in learning)


@pytest.mark.parametrize(
    ("last_frozen_stage", "first"), [(0, "conv1"), (1, "res2"), (3, "res4")], ids=["none", "stem", "res3"]
)
def test_kernels_learn_from_the_stage_after_the_last_frozen_one(last_frozen_stage: int, first: str) -> None:
    parts = ["conv1", "res2", "res3", "res4", "res5"]
    learning = _learning(ResNet(50, last_frozen_stage=last_frozen_stage))

    assert {name.split(".")[0] for name in learning} == set(parts[parts.index(first) :])


def test_affine_normalisation_learns_where_kernels_do_and_keeps_its_statistics() -> None:
    backbone = ResNet(50, learn_affine=True)
    learning = _learning(backbone)

    assert "res3.res3a.branch2a.norm.weight" in learning
    assert "res3.res3a.short.norm.bias" in learning
    assert {name.split(".")[0] for name in learning} == {"res3", "res4", "res5"}
    norms = [layer for layer in backbone.sublayers() if "BatchNorm" in type(layer).__name__]
    assert all(isinstance(norm, FrozenBatchNorm2D) for norm in norms)


def test_learning_rate_factors_reach_their_stages() -> None:
    backbone = ResNet(50, last_frozen_stage=0, learning_rate_factors=(0.05, 0.1, 0.2, 0.3))
    rates = {
        name.split(".")[0]: parameter.optimize_attr["learning_rate"]
        for name, parameter in backbone.named_parameters()
        if name.endswith("a.branch2b.conv.weight")
    }

    assert rates == {"res2": 0.05, "res3": 0.1, "res4": 0.2, "res5": 0.3}


def test_unfrozen_it_learns_everywhere_and_still_computes_the_same() -> None:
    backbone = ResNet(50, learning_rate_factors=(0.05, 0.05, 0.1, 0.15), out_stages=(2, 3)).eval()
    names = list(backbone.state_dict())
    image = paddle.rand([1, 3, 32, 32])
    with paddle.no_grad():
        before = backbone(image)
        backbone.unfreeze()
        after = backbone.eval()(image)

    for ours, theirs in zip(after, before, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-5)
    assert list(backbone.state_dict()) == names
    learning = {name: p for name, p in backbone.named_parameters() if not p.stop_gradient}
    assert list(learning) == [name for name in names if not name.endswith(("_mean", "_variance"))]
    assert {p.optimize_attr["learning_rate"] for p in learning.values()} == {1.0}


def test_blocks_are_lettered_and_of_a_long_stage_numbered() -> None:
    few, many = (
        [name for name, _ in BottleneckStage(2, in_channels=8, num_blocks=n).named_children()]
        for n in (6, 23)
    )

    assert few == [f"res2{letter}" for letter in "abcdef"]
    assert many == ["res2a", *(f"res2b{i}" for i in range(1, 23))]


def test_groups_widen_a_stage_and_split_its_kernels() -> None:
    block = BottleneckStage(3, in_channels=256, num_blocks=1, groups=64, base_width=4).res3a

    assert list(block.branch2b.conv.weight.shape) == [512, 8, 3, 3]
    assert list(block.branch2c.conv.weight.shape) == [512, 512, 1, 1]


def test_pooling_shortcut_averages_the_pixels_there_are() -> None:
    # Ones stay ones only if the lone last row and column are not diluted with padding.
    short = BottleneckStage(3, in_channels=1, num_blocks=1, variant="d").res3a.short
    short.conv.conv.weight.set_value(paddle.ones_like(short.conv.conv.weight))
    pooled = short.eval()(paddle.ones([1, 1, 5, 7]))

    assert list(pooled.shape) == [1, 512, 3, 4]
    np.testing.assert_allclose(pooled.numpy(), 1.0, rtol=1e-4)


def test_blocks_may_begin_as_their_shortcuts() -> None:
    stage = BottleneckStage(2, in_channels=256, num_blocks=2).eval()
    first, second = stage.children()
    x = paddle.rand([1, 256, 8, 8])
    with paddle.no_grad():
        before = stage(x)
        start_from_shortcuts(stage)
        after = stage(x)

        np.testing.assert_array_equal(after.numpy(), F.relu(first.short(x)).numpy())
        assert not np.allclose(before.numpy(), after.numpy())
    assert not second.branch2c.normalization.weight.numpy().any()
