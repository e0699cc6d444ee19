"""Semantic segmentation models: their recipes, published weights and constructor arguments."""

from __future__ import annotations

from typing import Any

import pytest

from paddlex.data.transforms.base import build_batch_transforms, build_transforms
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.repo_apis.paddle_seg.backbones.resnet_vd import ResNetVd
from paddlex.repo_apis.paddle_seg.deeplab import build_deeplab_v3p
from paddlex.repo_apis.paddle_seg.hrnet import build_hrnet
from paddlex.repo_apis.paddle_seg.losses.mixed import MixedLoss
from paddlex.repo_apis.paddle_seg.pretrained import PRETRAINED
from paddlex.repo_apis.paddle_seg.suite import MODELS
from paddlex.utils.errors import ConfigError


@pytest.mark.parametrize("name", MODELS)
def test_recipes_name_transforms_that_exist(name: str) -> None:
    recipe = MODELS[name].recipe

    build_transforms(recipe.sample_transforms, where="sample_transforms")
    build_batch_transforms(recipe.batch_transforms, where="batch_transforms")
    assert Preprocessor(recipe.deploy.preprocess).input_size is None
    crops = [step["RandomPaddingCrop"] for step in recipe.sample_transforms if "RandomPaddingCrop" in step]
    assert [tuple(crop["crop_size"]) for crop in crops] == [recipe.input_size]


@pytest.mark.parametrize("name", PRETRAINED)
def test_recipes_build_the_network_that_the_cityscapes_weights_belong_to(name: str) -> None:
    def as_lists(options: Any) -> dict[str, Any]:
        return {key: list(v) if isinstance(v, tuple) else v for key, v in options.items()}

    assert MODELS[name].recipe.network == as_lists(PRETRAINED[name]["CITYSCAPES"].network)


def test_every_published_model_falls_back_to_cityscapes_weights() -> None:
    assert set(PRETRAINED) == set(MODELS) - {"UNet-deconv"}
    assert {next(iter(weights)) for weights in PRETRAINED.values()} == {"CITYSCAPES"}


@pytest.mark.parametrize(
    ("options", "strides"),
    [
        ({"output_stride": 8}, (4, 8, 8, 8)),
        ({"output_stride": 16}, (4, 8, 16, 16)),
        ({"output_stride": 32}, (4, 8, 16, 32)),
        # A dilated first block does not stride.
        ({"output_stride": 32, "multi_grid": (2, 2, 2)}, (4, 8, 16, 16)),
    ],
)
def test_the_backbone_tells_its_strides(options: dict[str, Any], strides: tuple[int, ...]) -> None:
    backbone = ResNetVd(50, **options)

    assert backbone.strides == strides
    assert backbone.out_channels == (256, 512, 1024, 2048)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output_stride": 4}, "output_stride: found 4, expected one of (8, 16, 32)"),
        ({"multi_grid": (1, 2)}, "multi_grid: found (1, 2), expected 3 factors"),
        ({"use_mixed_loss": [("IoULoss", 1.0)]}, "use_mixed_loss: found ('IoULoss', 1.0)"),
    ],
)
def test_wrong_arguments_are_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_deeplab_v3p(num_classes=2, **options)

    assert message in str(caught.value)


def test_hrnet_has_two_widths() -> None:
    with pytest.raises(ConfigError, match="found 32, expected one of"):
        build_hrnet(num_classes=2, width=32)  # type: ignore[arg-type]


def test_loss_and_pyramid_are_constructor_arguments() -> None:
    network = build_deeplab_v3p(
        num_classes=2,
        use_mixed_loss=[("DiceLoss", 0.5)],
        backbone_indices=(1, 2),
        aspp_ratios=(1, 6),
        aspp_out_channels=32,
    )

    assert isinstance(network.loss, MixedLoss)
    shapes = {name: list(value.shape) for name, value in network.state_dict().items()}
    # Two ratios and the mean of the image; the third stage's channels in, the second's beside them.
    assert shapes["head.aspp.conv_bn_relu._conv.weight"] == [32, 3 * 32, 1, 1]
    assert shapes["head.aspp.aspp_blocks.0._conv.weight"] == [32, 1024, 1, 1]
    assert shapes["head.decoder.conv_bn_relu1._conv.weight"] == [48, 512, 1, 1]
    assert shapes["head.decoder.conv_bn_relu2.depthwise_conv._conv.weight"] == [32 + 48, 1, 3, 3]
