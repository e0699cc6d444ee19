"""MODELS: the semantic segmentation models, each declared once."""

from __future__ import annotations

from pathlib import Path

from paddlex.repo_apis.paddle_seg.pretrained import PRETRAINED
from paddlex.repo_apis.spec import ModelSpec

__all__ = ["MODELS"]

_RECIPES = Path(__file__).parent / "recipes"


def _model(
    name: str, family: str, *, builder: str, recipe: str, score: float | None, parameters: float
) -> ModelSpec:
    weights = PRETRAINED.get(name, {})
    return ModelSpec(
        name=name,
        task="semantic_segmentation",
        family=family,
        builder=f"paddlex.repo_apis.paddle_seg.{builder}",
        recipe_file=_RECIPES / f"{recipe}.yaml",
        score=score,
        parameters=parameters,
        size_mb=None,
        backbone_url=weights["IMAGENET"].url if "IMAGENET" in weights else None,
        weights_url=weights["CITYSCAPES"].url if "CITYSCAPES" in weights else None,
        pretrained=weights,
    )


# Scores are the published ones of the weights at `weights_url`: Cityscapes val, one scale, no flipping.
_SPECS = (
    _model(
        "DeepLabV3P-ResNet50_vd",
        "DeepLabV3+",
        builder="deeplab:build_deeplab_v3p_r50",
        recipe="deeplab_v3p_r50",
        score=80.36,
        parameters=26.79,
    ),
    _model(
        "DeepLabV3P-ResNet101_vd",
        "DeepLabV3+",
        builder="deeplab:build_deeplab_v3p_r101",
        recipe="deeplab_v3p_r101",
        score=81.53,
        parameters=45.84,
    ),
    _model(
        "BiSeNetV2",
        "BiSeNetV2",
        builder="bisenetv2:build_bisenetv2",
        recipe="bisenetv2",
        score=73.19,
        parameters=2.53,
    ),
    _model("UNet", "UNet", builder="unet:build_unet", recipe="unet", score=65.00, parameters=13.41),
    _model(
        "UNet-deconv",
        "UNet",
        builder="unet:build_unet_deconv",
        recipe="unet_deconv",
        score=None,
        parameters=12.59,
    ),
    _model(
        "HRNet-W18",
        "HRNet",
        builder="hrnet:build_hrnet_w18",
        recipe="hrnet",
        score=78.97,
        parameters=9.68,
    ),
    _model(
        "HRNet-W48",
        "HRNet",
        builder="hrnet:build_hrnet_w48",
        recipe="hrnet",
        score=80.70,
        parameters=65.94,
    ),
    _model(
        "FastSCNN",
        "Fast-SCNN",
        builder="fast_scnn:build_fast_scnn",
        recipe="fast_scnn",
        score=69.31,
        parameters=1.44,
    ),
)

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in _SPECS}
