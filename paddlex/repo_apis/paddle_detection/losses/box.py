"""Box regression losses on matched pairs: L1 and generalised IoU (DETR, arXiv:2005.12872), smooth L1."""

import paddle
from paddle import Tensor

from paddlex.nn.boxes import cxcywh_to_xyxy, generalized_box_iou

__all__ = ["box_losses", "smooth_l1"]


def box_losses(pred_boxes: Tensor, gt_boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the L1 distance and 1 - GIoU of each pair.

    Args:
        pred_boxes: (..., 4) cxcywh, fractions of the image.
        gt_boxes: (..., 4) likewise.

    Returns:
        Two tensors (...).
    """
    distance = (pred_boxes - gt_boxes).abs().sum(-1)
    return distance, 1 - generalized_box_iou(cxcywh_to_xyxy(pred_boxes), cxcywh_to_xyxy(gt_boxes))


def smooth_l1(errors: Tensor, *, beta: float) -> Tensor:
    """Return |x| - beta / 2, but x^2 / (2 * beta) where |x| < beta (arXiv:1504.08083, equation 3).

    Args:
        errors: (...), predictions minus targets.
        beta: where the square becomes a line; 0 gives |x|.

    Returns:
        (...), not negative.
    """
    distances = errors.abs()
    if beta == 0.0:
        return distances
    return paddle.where(distances < beta, errors**2 / (2.0 * beta), distances - beta / 2.0)
