"""Mask R-CNN and Cascade Mask R-CNN in eight variants, and the builder that takes every parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from paddlex.repo_apis.paddle_detection.backbones.resnet import ResNet, Variant
from paddlex.repo_apis.paddle_detection.heads.box_head import (
    BoxHead,
    CascadeBoxHead,
    Res5Head,
    StageSettings,
    TwoFCHead,
)
from paddlex.repo_apis.paddle_detection.heads.mask_head import MaskHead
from paddlex.repo_apis.paddle_detection.heads.rcnn_postprocess import DetectionLimits
from paddlex.repo_apis.paddle_detection.heads.roi_align import RoIAlign
from paddlex.repo_apis.paddle_detection.heads.rpn import RPNHead
from paddlex.repo_apis.paddle_detection.heads.rpn_anchors import AnchorGrid
from paddlex.repo_apis.paddle_detection.heads.rpn_proposals import ProposalLimits
from paddlex.repo_apis.paddle_detection.losses.roi import RoICriterion
from paddlex.repo_apis.paddle_detection.losses.rpn import RPNCriterion
from paddlex.repo_apis.paddle_detection.mask_rcnn_network import MaskRCNN
from paddlex.repo_apis.paddle_detection.matching.roi_sampling import RoISampler
from paddlex.repo_apis.paddle_detection.necks.fpn import FPN
from paddlex.utils.errors import UsageError

__all__ = [
    "CASCADE_STAGES",
    "MaskRCNN",
    "build_cascade_mask_rcnn_r50_fpn",
    "build_cascade_mask_rcnn_r50_vd_ssld_v2_fpn",
    "build_mask_rcnn",
    "build_mask_rcnn_r50",
    "build_mask_rcnn_r50_fpn",
    "build_mask_rcnn_r50_vd_fpn",
    "build_mask_rcnn_r101_fpn",
    "build_mask_rcnn_r101_vd_fpn",
    "build_mask_rcnn_x101_vd_fpn",
]

CASCADE_STAGES = (
    StageSettings(coding_weights=(10.0, 10.0, 5.0, 5.0), match_iou=0.5),
    StageSettings(coding_weights=(20.0, 20.0, 10.0, 10.0), match_iou=0.6),
    StageSettings(coding_weights=(30.0, 30.0, 15.0, 15.0), match_iou=0.7),
)
_NUM_MASK_CONVS = 4

_Group = TypeVar("_Group")


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """What the presence of a pyramid decides, unless the caller does."""

    out_stages: tuple[int, ...]
    anchor_sizes: tuple[tuple[float, ...], ...]
    train_proposals: ProposalLimits
    test_proposals: ProposalLimits
    box_resolution: int
    mask_resolution: int


_PYRAMID = _Layout(
    out_stages=(2, 3, 4, 5),
    anchor_sizes=((32.0,), (64.0,), (128.0,), (256.0,), (512.0,)),
    train_proposals=ProposalLimits(pre_nms=2000, post_nms=1000, collect_top_k=True),
    test_proposals=ProposalLimits(pre_nms=1000, post_nms=1000),
    box_resolution=7,
    mask_resolution=28,
)
_C4 = _Layout(
    out_stages=(4,),
    anchor_sizes=((32.0, 64.0, 128.0, 256.0, 512.0),),
    train_proposals=ProposalLimits(pre_nms=12000, post_nms=2000),
    test_proposals=ProposalLimits(pre_nms=6000, post_nms=1000),
    box_resolution=14,
    mask_resolution=14,
)


def build_mask_rcnn(
    *,
    num_classes: int,
    depth: Literal[50, 101] = 50,
    variant: Variant = "b",
    groups: int = 1,
    base_width: int = 64,
    backbone_learning_rates: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    last_frozen_stage: int = 2,
    learn_norm_affine: bool = False,
    with_fpn: bool = True,
    fpn_width: int = 256,
    anchor_sizes: Sequence[Sequence[float]] | None = None,
    anchor_ratios: Sequence[float] = (0.5, 1.0, 2.0),
    train_proposals: ProposalLimits | Mapping[str, Any] | None = None,
    test_proposals: ProposalLimits | Mapping[str, Any] | None = None,
    rpn_criterion: RPNCriterion | Mapping[str, Any] = RPNCriterion(),  # noqa: B008 (frozen)
    stages: Sequence[StageSettings] = (StageSettings(),),
    roi_sampler: RoISampler = RoISampler(),  # noqa: B008 (frozen)
    roi_criterion: RoICriterion = RoICriterion(),  # noqa: B008 (frozen)
    box_resolution: int | None = None,
    mask_resolution: int | None = None,
    sampling_ratio: int = 0,
    aligned: bool = False,
    detection_limits: DetectionLimits | Mapping[str, Any] = DetectionLimits(),  # noqa: B008 (frozen)
) -> MaskRCNN:
    """Compose a Mask R-CNN from all its parameters.

    Where a group of numbers is expected, a mapping of their names does, so that files can hold them.

    Args:
        num_classes: classes without the background.
        depth: layers of the backbone.
        variant: of the backbone, b or d ("vd").
        groups: groups of its 3x3 convolutions.
        base_width: channels of a group in its first stage.
        backbone_learning_rates: factors of its stages res2 to res5.
        last_frozen_stage: its stem (1) and stages up to this one do not learn; 0 freezes none.
        learn_norm_affine: let scale and shift of its normalisations learn where the kernels do.
        with_fpn: False has no pyramid (C4): proposals from res4, and res5 as the head of boxes and masks.
        fpn_width: channels of the pyramid and of the region proposal network on it.
        anchor_sizes: per level the square roots of the anchors' areas, pixels; None: 32 to 512.
        anchor_ratios: heights over widths of the anchors.
        train_proposals: what becomes a proposal in training; None: the published numbers.
        test_proposals: what becomes one in evaluation; None: the published numbers.
        rpn_criterion: sampling and losses of the proposals.
        stages: of the box head; more than one make a cascade, with deltas for all classes alike.
        roi_sampler: sampling of proposals for the first stage.
        roi_criterion: losses of boxes and masks.
        box_resolution: side of the box head's input, in cells; None: 7, without a pyramid 14.
        mask_resolution: side of a mask, in cells, even; None: 28, without a pyramid `box_resolution`.
        sampling_ratio: RoIAlign's samples of a cell in each direction; 0 adapts them to the box.
        aligned: RoIAlign's half-cell shift, which the published weights were trained with, and the published
            code of 2024 computes without.
        detection_limits: which boxes are detections.

    Raises:
        UsageError: if a cascade is to have no pyramid, or a mask a resolution that the heads cannot give.
    """
    layout = _PYRAMID if with_fpn else _C4
    box_resolution = box_resolution or layout.box_resolution
    mask_resolution = mask_resolution or (layout.mask_resolution if with_fpn else box_resolution)
    _check(with_fpn=with_fpn, stages=stages, box_resolution=box_resolution, mask_resolution=mask_resolution)
    backbone = ResNet(
        depth,
        variant=variant,
        groups=groups,
        base_width=base_width,
        out_stages=layout.out_stages,
        last_frozen_stage=last_frozen_stage,
        learning_rate_factors=backbone_learning_rates,
        learn_affine=learn_norm_affine,
    )
    neck = FPN(backbone.out_channels, width=fpn_width, strides=backbone.strides) if with_fpn else None
    levels = backbone if neck is None else neck
    anchors = AnchorGrid(anchor_sizes or layout.anchor_sizes, ratios=anchor_ratios, strides=levels.strides)
    channels = levels.out_channels[0]
    mask_pooler = None
    if with_fpn:
        mask_pooler = RoIAlign(
            backbone.strides, resolution=mask_resolution // 2, sampling_ratio=sampling_ratio, aligned=aligned
        )
    bbox_head = _box_head(
        channels, num_classes=num_classes, stages=stages, resolution=box_resolution, with_fpn=with_fpn
    )
    return MaskRCNN(
        backbone=backbone,
        neck=neck,
        rpn_head=RPNHead(channels, num_anchors=anchors.num_anchors),
        bbox_head=bbox_head,
        mask_head=MaskHead(
            channels if with_fpn else bbox_head.head.out_channels,
            num_classes=num_classes,
            num_convs=_NUM_MASK_CONVS if with_fpn else 0,
        ),
        anchors=anchors,
        train_proposals=_made(ProposalLimits, train_proposals or layout.train_proposals),
        test_proposals=_made(ProposalLimits, test_proposals or layout.test_proposals),
        roi_pooler=RoIAlign(
            backbone.strides, resolution=box_resolution, sampling_ratio=sampling_ratio, aligned=aligned
        ),
        mask_pooler=mask_pooler,
        mask_resolution=mask_resolution,
        detection_limits=_made(DetectionLimits, detection_limits),
        rpn_criterion=_made(RPNCriterion, rpn_criterion),
        roi_sampler=roi_sampler,
        roi_criterion=roi_criterion,
    )


def build_mask_rcnn_r50(*, num_classes: int, **options: Any) -> MaskRCNN:  # noqa: ANN401
    """Build MaskRCNN-ResNet50, without a pyramid; `options` as in `build_mask_rcnn`, above these."""
    return build_mask_rcnn(num_classes=num_classes, **({"with_fpn": False} | options))


def build_mask_rcnn_r50_fpn(*, num_classes: int, **options: Any) -> MaskRCNN:  # noqa: ANN401
    """Build MaskRCNN-ResNet50-FPN; `options` as in `build_mask_rcnn`."""
    return build_mask_rcnn(num_classes=num_classes, **options)


def build_mask_rcnn_r50_vd_fpn(*, num_classes: int, **options: Any) -> MaskRCNN:  # noqa: ANN401
    """Build MaskRCNN-ResNet50-vd-FPN; `options` as in `build_mask_rcnn`, above these."""
    return build_mask_rcnn(num_classes=num_classes, **({"variant": "d"} | options))


def build_mask_rcnn_r101_fpn(*, num_classes: int, **options: Any) -> MaskRCNN:  # noqa: ANN401
    """Build MaskRCNN-ResNet101-FPN; `options` as in `build_mask_rcnn`, above these."""
    return build_mask_rcnn(num_classes=num_classes, **({"depth": 101} | options))


def build_mask_rcnn_r101_vd_fpn(*, num_classes: int, **options: Any) -> MaskRCNN:  # noqa: ANN401
    """Build MaskRCNN-ResNet101-vd-FPN; `options` as in `build_mask_rcnn`, above these."""
    variant: dict[str, Any] = {"depth": 101, "variant": "d"}
    return build_mask_rcnn(num_classes=num_classes, **(variant | options))


def build_mask_rcnn_x101_vd_fpn(*, num_classes: int, **options: Any) -> MaskRCNN:  # noqa: ANN401
    """Build MaskRCNN-ResNeXt101-vd-FPN (64x4d); `options` as in `build_mask_rcnn`, above these."""
    variant: dict[str, Any] = {"depth": 101, "variant": "d", "groups": 64, "base_width": 4}
    return build_mask_rcnn(num_classes=num_classes, **(variant | options))


def build_cascade_mask_rcnn_r50_fpn(*, num_classes: int, **options: Any) -> MaskRCNN:  # noqa: ANN401
    """Build Cascade-MaskRCNN-ResNet50-FPN; `options` as in `build_mask_rcnn`, above these."""
    variant: dict[str, Any] = {
        "stages": CASCADE_STAGES,
        "train_proposals": ProposalLimits(pre_nms=2000, post_nms=2000, collect_top_k=True),
    }
    return build_mask_rcnn(num_classes=num_classes, **(variant | options))


def build_cascade_mask_rcnn_r50_vd_ssld_v2_fpn(
    *,
    num_classes: int,
    **options: Any,  # noqa: ANN401
) -> MaskRCNN:
    """Build Cascade-MaskRCNN-ResNet50-vd-SSLDv2-FPN, whose distilled backbone learns slowly.

    `options` as in `build_mask_rcnn`, above these.
    """
    variant: dict[str, Any] = {"variant": "d", "backbone_learning_rates": (0.05, 0.05, 0.1, 0.15)}
    return build_cascade_mask_rcnn_r50_fpn(num_classes=num_classes, **(variant | options))


def _made(kind: type[_Group], value: _Group | Mapping[str, Any]) -> _Group:
    return kind(**value) if isinstance(value, Mapping) else value


def _check(
    *, with_fpn: bool, stages: Sequence[StageSettings], box_resolution: int, mask_resolution: int
) -> None:
    if not with_fpn and len(stages) > 1:
        raise UsageError("a cascade without a pyramid is not known; set with_fpn=True, or give one stage")
    if mask_resolution % 2:
        raise UsageError(f"mask_resolution {mask_resolution}: masks are doubled, so give an even number")
    if not with_fpn and mask_resolution != box_resolution:
        raise UsageError(
            f"mask_resolution {mask_resolution} with box_resolution {box_resolution}: without a pyramid both "
            "heads share their features; give the same for both"
        )


def _box_head(
    channels: int, *, num_classes: int, stages: Sequence[StageSettings], resolution: int, with_fpn: bool
) -> BoxHead | CascadeBoxHead:
    if not with_fpn:
        return BoxHead(Res5Head(channels), num_classes=num_classes, settings=stages[0])
    if len(stages) == 1:
        trunk = TwoFCHead(channels, resolution=resolution)
        return BoxHead(trunk, num_classes=num_classes, settings=stages[0])
    return CascadeBoxHead(
        lambda: TwoFCHead(channels, resolution=resolution), num_classes=num_classes, settings=stages
    )
