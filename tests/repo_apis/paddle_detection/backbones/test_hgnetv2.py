"""HGNetV2: declared shapes, freezing, and the optional learnable affine blocks."""

import paddle
import pytest

from paddlex.repo_apis.paddle_detection.backbones.hgnetv2 import HGNETV2_ARCHS, HGNetV2


@pytest.mark.parametrize("arch", ["S", "M"])
def test_outputs_have_the_declared_channels_and_strides(arch: str) -> None:
    backbone = HGNetV2(HGNETV2_ARCHS[arch]).eval()
    with paddle.no_grad():
        features = backbone(paddle.rand([1, 3, 64, 96]))

    shapes = [(f.shape[1], 64 // f.shape[2], 96 // f.shape[3]) for f in features]
    assert shapes == [
        (channels, stride, stride)
        for channels, stride in zip(backbone.out_channels, backbone.strides, strict=True)
    ]


def test_learning_rate_factors_reach_their_parts_and_zero_freezes() -> None:
    backbone = HGNetV2(HGNETV2_ARCHS["S"], learning_rate_factors=(0.0, 0.1, 0.2, 0.3, 0.4))

    assert all(unit.weight.stop_gradient for unit in backbone.stem.sublayers() if hasattr(unit, "_stride"))
    rates = [
        stage.blocks[0].aggregation_squeeze_conv.conv.weight.optimize_attr["learning_rate"]
        for stage in backbone.stages
    ]
    assert rates == [0.1, 0.2, 0.3, 0.4]


def test_affine_blocks_start_as_identity_and_learn_a_hundredth_as_fast() -> None:
    plain = HGNetV2(HGNETV2_ARCHS["S"]).eval()
    affine = HGNetV2(HGNETV2_ARCHS["S"], use_lab=True, learning_rate_factors=(1.0, 0.5, 0.5, 0.5, 0.5)).eval()
    affine.set_state_dict(plain.state_dict())
    image = paddle.rand([1, 3, 32, 32])

    added = {name: p for name, p in affine.named_parameters() if ".lab." in name}
    assert set(affine.state_dict()) - set(plain.state_dict()) == set(added)
    assert {p.optimize_attr["learning_rate"] for p in added.values()} == {0.01, 0.005}
    with paddle.no_grad():
        for ours, theirs in zip(affine(image), plain(image), strict=True):
            assert paddle.allclose(ours, theirs)
