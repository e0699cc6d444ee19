"""MODELS: the instance segmentation models, each declared once."""

from __future__ import annotations

from pathlib import Path

from paddlex.repo_apis.spec import ModelSpec

__all__ = ["MODELS"]

_RECIPES = Path(__file__).parent / "recipes"
_DETECTION = "https://paddledet.bj.bcebos.com/models"
_PADDLEX = "https://paddlex.bj.bcebos.com/models"
_CLASSIFICATION = "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph/legendary_models"


def _mask_rt_detr(
    size: str, *, score: float, parameters: float, size_mb: float, backbone_url: str, host: str
) -> ModelSpec:
    return ModelSpec(
        name=f"Mask-RT-DETR-{size}",
        task="instance_segmentation",
        family="Mask-RT-DETR",
        builder=f"paddlex.repo_apis.paddle_detection.mask_rt_detr:build_mask_rt_detr_{size.lower()}",
        recipe_file=_RECIPES / f"mask_rt_detr_{size.lower()}.yaml",
        score=score,
        parameters=parameters,
        size_mb=size_mb,
        backbone_url=backbone_url,
        weights_url=f"{host}/mask_rtdetr_hgnetv2_{size.lower()}_6x_coco.pdparams",
    )


_SPECS = (
    _mask_rt_detr(
        "S",
        score=41.0,
        parameters=14.66,
        size_mb=51.8,
        backbone_url=f"{_CLASSIFICATION}/PPHGNetV2_B1_ssld_stage1_pretrained.pdparams",
        host=_DETECTION,
    ),
    _mask_rt_detr(
        "M",
        score=42.7,
        parameters=18.82,
        size_mb=66.6,
        backbone_url=f"{_CLASSIFICATION}/PPHGNetV2_B2_ssld_stage1_pretrained.pdparams",
        host=_DETECTION,
    ),
    _mask_rt_detr(
        "L",
        score=45.7,
        parameters=32.89,
        size_mb=113.6,
        backbone_url="https://bj.bcebos.com/v1/paddledet/models/pretrained/PPHGNetV2_L_ssld_pretrained.pdparams",
        host=_PADDLEX,
    ),
    _mask_rt_detr(
        "X",
        score=47.5,
        parameters=68.78,
        size_mb=237.5,
        backbone_url=f"{_CLASSIFICATION}/PPHGNetV2_B5_ssld_stage1_pretrained.pdparams",
        host=_DETECTION,
    ),
    _mask_rt_detr(
        "H",
        score=50.6,
        parameters=130.02,
        size_mb=449.9,
        backbone_url=f"{_DETECTION}/pretrained/PPHGNetV2_H_ssld_pretrained.pdparams",
        host=_PADDLEX,
    ),
)

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in _SPECS}
