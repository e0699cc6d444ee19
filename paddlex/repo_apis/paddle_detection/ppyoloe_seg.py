"""PP-YOLOE_seg in four sizes, and the builder that takes every parameter."""

from typing import Any

from paddlex.repo_apis.paddle_detection.backbones.cspresnet import CSPResNet
from paddlex.repo_apis.paddle_detection.heads.ppyoloe_seg import PPYOLOESegHead
from paddlex.repo_apis.paddle_detection.losses.ppyoloe_seg_criterion import (
    PPYOLOESegCriterion,
    PPYOLOESegLossWeights,
)
from paddlex.repo_apis.paddle_detection.matching.atss import ATSSAssigner
from paddlex.repo_apis.paddle_detection.matching.task_aligned import TaskAlignedAssigner
from paddlex.repo_apis.paddle_detection.necks.csp_pan import CSPPAN
from paddlex.repo_apis.paddle_detection.ppyoloe_seg_network import NmsLimits, PPYOLOESeg
from paddlex.utils.errors import UsageError

__all__ = [
    "PPYOLOESeg",
    "build_ppyoloe_seg",
    "build_ppyoloe_seg_l",
    "build_ppyoloe_seg_m",
    "build_ppyoloe_seg_s",
    "build_ppyoloe_seg_x",
]

_CHANNELS = (64, 128, 256, 512, 1024)
_BACKBONE_BLOCKS = (3, 6, 6, 3)
_NECK_WIDTHS = (768, 384, 192)
_NECK_BLOCKS = 3
_PROTOTYPE_HIDDEN = 256


def build_ppyoloe_seg(
    *,
    num_classes: int,
    depth: float,
    width: float,
    eval_size: tuple[int, int] = (640, 640),
    num_bins: int = 17,
    num_prototypes: int = 32,
    assigned_cells: int = 13,
    assign_score_power: float = 1.0,
    assign_iou_power: float = 6.0,
    static_fraction: float = 0.0,
    static_cells: int = 9,
    static_anchor_scale: float = 8.0,
    class_weight: float = 1.0,
    iou_weight: float = 2.5,
    dfl_weight: float = 0.5,
    mask_weight: float = 2.5,
    score_threshold: float = 0.01,
    nms_iou: float = 0.7,
    pre_nms_count: int = 1000,
    num_detections: int = 300,
) -> PPYOLOESeg:
    """Compose a PP-YOLOE_seg from all its parameters.

    Args:
        num_classes: classes.
        depth: factor of the numbers of blocks.
        width: factor of the numbers of channels.
        eval_size: (height, width) of the images in evaluation; other sizes work, this one is exported.
        num_bins: support of the distribution of a box's side: 0 to `num_bins` - 1 strides.
        num_prototypes: mask prototypes.
        assigned_cells: cells that learn an object.
        assign_score_power: weight of the class score in their choice.
        assign_iou_power: weight of the box's IoU in their choice.
        static_fraction: part of a run, from its beginning, in which objects have their cells by their places
            (ATSS) instead; 0 as in the published training.
        static_cells: candidates of an object on every level, in that part.
        static_anchor_scale: side of a cell's anchor in strides, in that part.
        class_weight: factor of the class loss.
        iou_weight: factor of the box loss.
        dfl_weight: factor of the loss of the sides' distributions.
        mask_weight: factor of the mask loss.
        score_threshold: scores up to this are no detections.
        nms_iou: largest IoU of two detections of one class.
        pre_nms_count: best boxes of a class that compete.
        num_detections: detections of an image.

    Raises:
        UsageError: if `static_fraction` is not in [0, 1].
    """
    if not 0.0 <= static_fraction <= 1.0:
        raise UsageError(f"static_fraction {static_fraction}: a part of the run, so give 0 to 1, not epochs")
    backbone = CSPResNet(
        [_scaled(channels, width) for channels in _CHANNELS],
        num_blocks=[_scaled(count, depth) for count in _BACKBONE_BLOCKS],
    )
    neck = CSPPAN(
        backbone.out_channels,
        [_scaled(channels, width) for channels in _NECK_WIDTHS],
        num_blocks=_scaled(_NECK_BLOCKS, depth),
    )
    head = PPYOLOESegHead(
        neck.out_channels,
        strides=neck.strides,
        num_classes=num_classes,
        num_bins=num_bins,
        num_prototypes=num_prototypes,
        prototype_hidden=int(_PROTOTYPE_HIDDEN * width),
    )
    criterion = PPYOLOESegCriterion(
        num_classes=num_classes,
        assigner=TaskAlignedAssigner(
            top_k=assigned_cells, score_power=assign_score_power, iou_power=assign_iou_power
        ),
        static_assigner=ATSSAssigner(top_k=static_cells, anchor_scale=static_anchor_scale),
        static_fraction=static_fraction,
        weights=PPYOLOESegLossWeights(classes=class_weight, iou=iou_weight, dfl=dfl_weight, mask=mask_weight),
    )
    nms = NmsLimits(
        score_threshold=score_threshold,
        iou_threshold=nms_iou,
        pre_nms_count=pre_nms_count,
        keep_count=num_detections,
    )
    network = PPYOLOESeg(backbone=backbone, neck=neck, head=head, criterion=criterion, nms=nms)
    network.fix_image_size(eval_size)
    return network


def _scaled(count: int, factor: float) -> int:
    return max(round(count * factor), 1)


def build_ppyoloe_seg_s(*, num_classes: int, **options: Any) -> PPYOLOESeg:  # noqa: ANN401
    """Build PP-YOLOE_seg-S; `options` are further arguments of `build_ppyoloe_seg`, above these."""
    return build_ppyoloe_seg(num_classes=num_classes, **({"depth": 0.33, "width": 0.5} | options))


def build_ppyoloe_seg_m(*, num_classes: int, **options: Any) -> PPYOLOESeg:  # noqa: ANN401
    """Build PP-YOLOE_seg-M; `options` are further arguments of `build_ppyoloe_seg`, above these."""
    return build_ppyoloe_seg(num_classes=num_classes, **({"depth": 0.67, "width": 0.75} | options))


def build_ppyoloe_seg_l(*, num_classes: int, **options: Any) -> PPYOLOESeg:  # noqa: ANN401
    """Build PP-YOLOE_seg-L; `options` are further arguments of `build_ppyoloe_seg`, above these."""
    return build_ppyoloe_seg(num_classes=num_classes, **({"depth": 1.0, "width": 1.0} | options))


def build_ppyoloe_seg_x(*, num_classes: int, **options: Any) -> PPYOLOESeg:  # noqa: ANN401
    """Build PP-YOLOE_seg-X; `options` are further arguments of `build_ppyoloe_seg`, above these."""
    return build_ppyoloe_seg(num_classes=num_classes, **({"depth": 1.33, "width": 1.25} | options))
