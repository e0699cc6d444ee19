"""Mask-RT-DETR in five sizes, and the builder that takes every parameter."""

from collections.abc import Sequence
from typing import Any

from paddlex.repo_apis.paddle_detection.backbones.hgnetv2 import HGNETV2_ARCHS, ArchName, HGNetV2
from paddlex.repo_apis.paddle_detection.heads.query import QueryTransformer
from paddlex.repo_apis.paddle_detection.losses.detr_criterion import DetrCriterion
from paddlex.repo_apis.paddle_detection.mask_rt_detr_network import MaskRTDETR
from paddlex.repo_apis.paddle_detection.necks.mask_hybrid_encoder import MaskHybridEncoder

__all__ = [
    "MaskRTDETR",
    "build_mask_rt_detr",
    "build_mask_rt_detr_h",
    "build_mask_rt_detr_l",
    "build_mask_rt_detr_m",
    "build_mask_rt_detr_s",
    "build_mask_rt_detr_x",
]


def build_mask_rt_detr(
    *,
    num_classes: int,
    arch: ArchName,
    backbone_learning_rates: Sequence[float],
    neck_width: int,
    attention_level: int,
    num_attention_layers: int,
    attention_hidden_width: int,
    csp_expansion: float,
    mask_channels: tuple[int, int],
    num_prototypes: int,
    eval_size: tuple[int, int] = (640, 640),
    frozen_backbone_norms: bool = True,
    use_lab: bool = False,
    num_queries: int = 300,
    num_detections: int = 100,
    num_denoising: int = 100,
    label_noise_ratio: float = 0.5,
    box_noise_scale: float = 1.0,
    width: int = 256,
    num_heads: int = 8,
    num_points: int = 4,
    num_decoder_layers: int = 6,
    decoder_hidden_width: int = 1024,
) -> MaskRTDETR:
    """Compose a Mask-RT-DETR from all its parameters.

    Args:
        num_classes: classes.
        arch: size of the backbone.
        backbone_learning_rates: factors of its stem and four stages; 0 freezes.
        neck_width: channels of the neck.
        attention_level: level of the neck with self attention, 0 to 2 for stride 8 to 32.
        num_attention_layers: layers of that attention.
        attention_hidden_width: feed-forward width of that attention.
        csp_expansion: width of the neck's fusion blocks relative to `neck_width`.
        mask_channels: channels of the mask features inside and after the pyramid.
        num_prototypes: mask prototypes.
        eval_size: (height, width) of the images in evaluation; other sizes work, this one is exported.
        frozen_backbone_norms: keep the backbone's normalisation as loaded.
        use_lab: learnable affine blocks in the backbone.
        num_queries: queries.
        num_detections: detections of an image.
        num_denoising: wanted denoising queries of an image.
        label_noise_ratio: share of denoising queries with a redrawn class, halved.
        box_noise_scale: noise on their boxes, relative to the sides.
        width: features of a query.
        num_heads: attention heads, in neck and decoder.
        num_points: points that a head reads from a level.
        num_decoder_layers: decoder layers.
        decoder_hidden_width: feed-forward width of a decoder layer.
    """
    backbone = HGNetV2(
        HGNETV2_ARCHS[arch],
        learning_rate_factors=backbone_learning_rates,
        frozen_norms=frozen_backbone_norms,
        use_lab=use_lab,
    )
    neck = MaskHybridEncoder(
        backbone.out_channels,
        width=neck_width,
        attention_level=attention_level,
        num_attention_layers=num_attention_layers,
        num_heads=num_heads,
        attention_hidden_width=attention_hidden_width,
        expansion=csp_expansion,
        mask_channels=mask_channels,
        num_prototypes=num_prototypes,
    )
    transformer = QueryTransformer(
        neck.out_channels,
        num_classes=num_classes,
        num_prototypes=num_prototypes,
        num_queries=num_queries,
        width=width,
        num_heads=num_heads,
        num_points=num_points,
        num_layers=num_decoder_layers,
        hidden_width=decoder_hidden_width,
    )
    network = MaskRTDETR(
        backbone=backbone,
        neck=neck,
        transformer=transformer,
        criterion=DetrCriterion(num_classes=num_classes),
        num_detections=num_detections,
        num_denoising=num_denoising,
        label_noise_ratio=label_noise_ratio,
        box_noise_scale=box_noise_scale,
    )
    network.fix_image_size(eval_size)
    return network


def build_mask_rt_detr_s(*, num_classes: int, **options: Any) -> MaskRTDETR:  # noqa: ANN401
    """Build Mask-RT-DETR-S; `options` are further arguments of `build_mask_rt_detr`, above these."""
    variant: dict[str, Any] = {
        "arch": "S",
        "backbone_learning_rates": (0.0, 0.1, 0.1, 0.1, 0.1),
        "neck_width": 256,
        "attention_level": 1,
        "num_attention_layers": 1,
        "attention_hidden_width": 1024,
        "csp_expansion": 0.5,
        "mask_channels": (64, 32),
        "num_prototypes": 128,
    }
    return build_mask_rt_detr(num_classes=num_classes, **(variant | options))


def build_mask_rt_detr_m(*, num_classes: int, **options: Any) -> MaskRTDETR:  # noqa: ANN401
    """Build Mask-RT-DETR-M; `options` are further arguments of `build_mask_rt_detr`, above these."""
    variant: dict[str, Any] = {
        "arch": "M",
        "backbone_learning_rates": (0.0, 0.1, 0.1, 0.1, 0.1),
        "neck_width": 256,
        "attention_level": 1,
        "num_attention_layers": 1,
        "attention_hidden_width": 1024,
        "csp_expansion": 0.5,
        "mask_channels": (64, 64),
        "num_prototypes": 128,
    }
    return build_mask_rt_detr(num_classes=num_classes, **(variant | options))


def build_mask_rt_detr_l(*, num_classes: int, **options: Any) -> MaskRTDETR:  # noqa: ANN401
    """Build Mask-RT-DETR-L; `options` are further arguments of `build_mask_rt_detr`, above these."""
    variant: dict[str, Any] = {
        "arch": "L",
        "backbone_learning_rates": (0.0, 0.05, 0.05, 0.05, 0.05),
        "neck_width": 256,
        "attention_level": 2,
        "num_attention_layers": 1,
        "attention_hidden_width": 1024,
        "csp_expansion": 1.0,
        "mask_channels": (64, 64),
        "num_prototypes": 32,
    }
    return build_mask_rt_detr(num_classes=num_classes, **(variant | options))


def build_mask_rt_detr_x(*, num_classes: int, **options: Any) -> MaskRTDETR:  # noqa: ANN401
    """Build Mask-RT-DETR-X; `options` are further arguments of `build_mask_rt_detr`, above these."""
    variant: dict[str, Any] = {
        "arch": "X",
        "backbone_learning_rates": (0.0, 0.01, 0.01, 0.01, 0.01),
        "neck_width": 384,
        "attention_level": 2,
        "num_attention_layers": 1,
        "attention_hidden_width": 2048,
        "csp_expansion": 1.0,
        "mask_channels": (128, 128),
        "num_prototypes": 128,
    }
    return build_mask_rt_detr(num_classes=num_classes, **(variant | options))


def build_mask_rt_detr_h(*, num_classes: int, **options: Any) -> MaskRTDETR:  # noqa: ANN401
    """Build Mask-RT-DETR-H; `options` are further arguments of `build_mask_rt_detr`, above these."""
    variant: dict[str, Any] = {
        "arch": "H",
        "backbone_learning_rates": (0.0, 0.01, 0.01, 0.01, 0.01),
        "neck_width": 512,
        "attention_level": 2,
        "num_attention_layers": 2,
        "attention_hidden_width": 2048,
        "csp_expansion": 1.0,
        "mask_channels": (256, 128),
        "num_prototypes": 128,
    }
    return build_mask_rt_detr(num_classes=num_classes, **(variant | options))
