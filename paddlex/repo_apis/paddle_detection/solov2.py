"""SOLOv2, and the builder that takes every parameter."""

from collections.abc import Sequence

from paddlex.repo_apis.paddle_detection.backbones.resnet import ResNet
from paddlex.repo_apis.paddle_detection.heads.solov2 import SOLOv2Head, SOLOv2MaskHead
from paddlex.repo_apis.paddle_detection.heads.solov2_postprocess import SelectionLimits
from paddlex.repo_apis.paddle_detection.necks.fpn import FPN
from paddlex.repo_apis.paddle_detection.solov2_network import SOLOv2

__all__ = ["SOLOv2", "build_solov2"]


def build_solov2(
    *,
    num_classes: int,
    last_frozen_stage: int = 2,
    width: int = 256,
    grid_sizes: Sequence[int] = (40, 36, 24, 16, 12),
    cell_strides: Sequence[int] = (8, 8, 16, 32, 32),
    head_width: int = 512,
    num_head_convs: int = 4,
    kernel_channels: int = 256,
    mask_width: int = 128,
    mask_loss_weight: float = 3.0,
    score_threshold: float = 0.1,
    max_candidates: int = 2000,
    pre_nms: int = 500,
    nms_sigma: float = 2.0,
    keep_threshold: float = 0.05,
    num_detections: int = 100,
) -> SOLOv2:
    """Compose SOLOv2 with ResNet-50 and FPN; the defaults are the published network.

    Args:
        num_classes: classes.
        last_frozen_stage: the backbone's kernels up to this stage stay as loaded; 0 freezes none.
        width: channels of the pyramid.
        grid_sizes: cells along each side of a level's grid, finest level first.
        cell_strides: per level, pixels of the mask grid that an instance must exceed.
        head_width: channels of the convolutions before categories and kernels.
        num_head_convs: their number, in each branch.
        kernel_channels: numbers of a mask kernel and channels of the map it is multiplied with.
        mask_width: channels inside the mask head.
        mask_loss_weight: factor of the mask loss; that of the categories has 1.
        score_threshold: category scores above it are candidates.
        max_candidates: at most so many candidates are drawn, those with the best scores.
        pre_nms: candidates that take part in Matrix NMS.
        nms_sigma: strength of its decay.
        keep_threshold: decayed scores from it on are kept.
        num_detections: rows of an image, of which the last is no instance.
    """
    backbone = ResNet(50, last_frozen_stage=last_frozen_stage)
    neck = FPN(backbone.out_channels, width=width, strides=backbone.strides)
    return SOLOv2(
        backbone=backbone,
        neck=neck,
        solov2_head=SOLOv2Head(
            width,
            num_classes=num_classes,
            grid_sizes=grid_sizes,
            width=head_width,
            num_convs=num_head_convs,
            kernel_channels=kernel_channels,
        ),
        mask_head=SOLOv2MaskHead(width, width=mask_width, out_channels=kernel_channels),
        cell_strides=cell_strides,
        limits=SelectionLimits(
            score_threshold=score_threshold,
            max_candidates=max_candidates,
            pre_nms=pre_nms,
            sigma=nms_sigma,
            keep_threshold=keep_threshold,
            num_detections=num_detections,
        ),
        mask_loss_weight=mask_loss_weight,
    )
