"""Published weights of semantic networks by the names that users give: CITYSCAPES, PascalVOC, IMAGENET."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from paddlex.repo_apis.pretrained import PretrainedWeights

__all__ = ["PRETRAINED"]

_HOST = "https://bj.bcebos.com/paddleseg/dygraph"


def _cityscapes(folder: str, **network: Any) -> PretrainedWeights:  # noqa: ANN401 (the builder types them)
    return PretrainedWeights(url=f"{_HOST}/cityscapes/{folder}/model.pdparams", network=network)


def _pascal_voc(folder: str, **network: Any) -> PretrainedWeights:  # noqa: ANN401
    return PretrainedWeights(url=f"{_HOST}/pascal_voc12/{folder}/model.pdparams", network=network)


def _imagenet(archive: str) -> PretrainedWeights:
    return PretrainedWeights(url=f"{_HOST}/{archive}.tar.gz", part="backbone")


_GRID = (1, 2, 4)

# By model; the first name of each is what an unknown one falls back to.
PRETRAINED: Mapping[str, Mapping[str, PretrainedWeights]] = MappingProxyType(
    {
        "DeepLabV3P-ResNet50_vd": {
            "CITYSCAPES": _cityscapes("deeplabv3p_resnet50_os8_cityscapes_1024x512_80k", multi_grid=_GRID),
            "PascalVOC": _pascal_voc("deeplabv3p_resnet50_os8_voc12aug_512x512_40k", multi_grid=_GRID),
            "IMAGENET": _imagenet("resnet50_vd_ssld_v2"),
        },
        "DeepLabV3P-ResNet101_vd": {
            "CITYSCAPES": _cityscapes(
                "deeplabv3p_resnet101_os8_cityscapes_769x769_80k", multi_grid=_GRID, align_corners=True
            ),
            "PascalVOC": _pascal_voc("deeplabv3p_resnet101_os8_voc12aug_512x512_40k", multi_grid=_GRID),
            "IMAGENET": _imagenet("resnet101_vd_ssld"),
        },
        "BiSeNetV2": {"CITYSCAPES": _cityscapes("bisenet_cityscapes_1024x1024_160k")},
        "UNet": {"CITYSCAPES": _cityscapes("unet_cityscapes_1024x512_160k")},
        "HRNet-W18": {
            "CITYSCAPES": _cityscapes("fcn_hrnetw18_cityscapes_1024x512_80k"),
            "PascalVOC": _pascal_voc("fcn_hrnetw18_voc12aug_512x512_40k"),
        },
        "HRNet-W48": {
            "CITYSCAPES": _cityscapes("fcn_hrnetw48_cityscapes_1024x512_80k"),
            "PascalVOC": _pascal_voc("fcn_hrnetw48_voc12aug_512x512_40k"),
        },
        "FastSCNN": {"CITYSCAPES": _cityscapes("fastscnn_cityscapes_1024x1024_160k")},
    }
)
