"""CSPResNet: sizes of the features, and the residual block."""

import paddle

from paddlex.repo_apis.paddle_detection.backbones.cspresnet import CSPResNet, RepBlock


def test_features_have_the_announced_strides_and_channels() -> None:
    backbone = CSPResNet((8, 12, 16, 20, 24), num_blocks=(1, 1, 2, 1))
    features = backbone(paddle.randn([1, 3, 64, 96]))

    assert backbone.strides == (8, 16, 32)
    assert [feature.shape for feature in features] == [
        [1, channels, 64 // stride, 96 // stride]
        for channels, stride in zip(backbone.out_channels, backbone.strides, strict=True)
    ]


def test_a_block_with_shortcut_adds_its_input() -> None:
    x = paddle.randn([1, 4, 5, 5])
    plain = RepBlock(4, shortcut=False, scaled=True)
    residual = RepBlock(4, shortcut=True, scaled=True)
    residual.set_state_dict(plain.state_dict())
    plain.eval()
    residual.eval()

    assert paddle.allclose(residual(x), x + plain(x))
