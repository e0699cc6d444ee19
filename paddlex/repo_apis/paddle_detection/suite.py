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


def _mask_rcnn(
    name: str,
    variant: str,
    *,
    weights: str,
    backbone: str,
    recipe: str = "mask_rcnn",
    score: float,
    parameters: float,
    size_mb: float,
) -> ModelSpec:
    return ModelSpec(
        name=name,
        task="instance_segmentation",
        family="Cascade Mask R-CNN" if name.startswith("Cascade") else "Mask R-CNN",
        builder=f"paddlex.repo_apis.paddle_detection.mask_rcnn:build_{variant}",
        recipe_file=_RECIPES / f"{recipe}.yaml",
        score=score,
        parameters=parameters,
        size_mb=size_mb,
        backbone_url=f"{_DETECTION}/pretrained/{backbone}_pretrained.pdparams",
        weights_url=f"{_DETECTION}/{weights}_coco.pdparams",
    )


def _ppyoloe_seg(
    size: str, *, parameters: float, score: float | None = None, size_mb: float | None = None
) -> ModelSpec:
    """Those without a score were never published with COCO weights; all start from an Objects365 detector."""
    published = f"{_DETECTION}/ppyoloe_seg_{size.lower()}_80e_coco.pdparams"
    return ModelSpec(
        name=f"PP-YOLOE_seg-{size}",
        task="instance_segmentation",
        family="PP-YOLOE_seg",
        builder=f"paddlex.repo_apis.paddle_detection.ppyoloe_seg:build_ppyoloe_seg_{size.lower()}",
        recipe_file=_RECIPES / "ppyoloe_seg.yaml",
        score=score,
        parameters=parameters,
        size_mb=size_mb,
        backbone_url=f"{_DETECTION}/pretrained/ppyoloe_crn_{size.lower()}_obj365_pretrained.pdparams",
        weights_url=None if score is None else published,
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
    _mask_rcnn(
        "MaskRCNN-ResNet50",
        "mask_rcnn_r50",
        weights="mask_rcnn_r50_1x",
        backbone="ResNet50_cos",
        recipe="mask_rcnn_c4",
        score=32.8,
        parameters=36.02,
        size_mb=128.7,
    ),
    _mask_rcnn(
        "MaskRCNN-ResNet50-FPN",
        "mask_rcnn_r50_fpn",
        weights="mask_rcnn_r50_fpn_1x",
        backbone="ResNet50_cos",
        score=35.6,
        parameters=44.45,
        size_mb=157.5,
    ),
    _mask_rcnn(
        "MaskRCNN-ResNet50-vd-FPN",
        "mask_rcnn_r50_vd_fpn",
        weights="mask_rcnn_r50_vd_fpn_1x",
        backbone="ResNet50_vd",
        score=36.4,
        parameters=44.47,
        size_mb=157.5,
    ),
    _mask_rcnn(
        "MaskRCNN-ResNet101-FPN",
        "mask_rcnn_r101_fpn",
        weights="mask_rcnn_r101_fpn_1x",
        backbone="ResNet101",
        score=36.6,
        parameters=63.49,
        size_mb=225.4,
    ),
    _mask_rcnn(
        "MaskRCNN-ResNet101-vd-FPN",
        "mask_rcnn_r101_vd_fpn",
        weights="mask_rcnn_r101_vd_fpn_1x",
        backbone="ResNet101_vd",
        score=38.1,
        parameters=63.51,
        size_mb=225.1,
    ),
    _mask_rcnn(
        "MaskRCNN-ResNeXt101-vd-FPN",
        "mask_rcnn_x101_vd_fpn",
        weights="mask_rcnn_x101_vd_64x4d_fpn_1x",
        backbone="ResNeXt101_vd_64x4d",
        recipe="mask_rcnn_x101",
        score=39.5,
        parameters=102.52,
        size_mb=370.0,
    ),
    _mask_rcnn(
        "Cascade-MaskRCNN-ResNet50-FPN",
        "cascade_mask_rcnn_r50_fpn",
        weights="cascade_mask_rcnn_r50_fpn_1x",
        backbone="ResNet50_cos",
        recipe="mask_rcnn_cascade",
        score=36.3,
        parameters=72.09,
        size_mb=254.8,
    ),
    _mask_rcnn(
        "Cascade-MaskRCNN-ResNet50-vd-SSLDv2-FPN",
        "cascade_mask_rcnn_r50_vd_ssld_v2_fpn",
        weights="cascade_mask_rcnn_r50_vd_fpn_ssld_1x",
        backbone="ResNet50_vd_ssld_v2",
        recipe="mask_rcnn_cascade",
        score=39.1,
        parameters=72.11,
        size_mb=254.7,
    ),
    _ppyoloe_seg("S", parameters=9.02, score=32.5, size_mb=31.5),
    ModelSpec(
        name="SOLOv2",
        task="instance_segmentation",
        family="SOLOv2",
        builder="paddlex.repo_apis.paddle_detection.solov2:build_solov2",
        recipe_file=_RECIPES / "solov2.yaml",
        score=35.5,
        parameters=46.65,
        size_mb=179.1,
        backbone_url=f"{_DETECTION}/pretrained/ResNet50_cos_pretrained.pdparams",
        weights_url=f"{_DETECTION}/solov2_r50_fpn_1x_coco.pdparams",
    ),
    _ppyoloe_seg("M", parameters=26.08),
    _ppyoloe_seg("L", parameters=57.39),
    _ppyoloe_seg("X", parameters=107.38),
)

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in _SPECS}
