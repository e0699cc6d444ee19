"""IoU of matched masks, the classification target of the main layer."""

import paddle.nn.functional as F
from paddle import Tensor

__all__ = ["paired_mask_iou", "resize_masks"]


def resize_masks(masks: Tensor, *, size: tuple[int, int]) -> Tensor:
    """Resize (T, S, S) uint8 masks bilinearly and threshold at a half; (T, *size) float32 of 0 and 1."""
    resized = F.interpolate(masks.unsqueeze(1).astype("float32"), size=list(size), mode="bilinear")
    return (resized.squeeze(1) > 0.5).astype("float32")


def paired_mask_iou(logits: Tensor, gt_masks: Tensor) -> Tensor:
    """Return the IoU of predicted masks, upsampled by two and thresholded, with their targets.

    Args:
        logits: (M, h, w) mask logits.
        gt_masks: (M, 2h, 2w) float32 of 0 and 1.

    Returns:
        (M,) in (0, 1], without gradient; two empty masks give 1.
    """
    size = list(gt_masks.shape[-2:])
    upsampled = F.interpolate(logits.detach().unsqueeze(1), size=size, mode="bilinear").squeeze(1)
    pred_masks = (upsampled > 0).astype("float32")
    intersection = (pred_masks * gt_masks).sum([1, 2])
    union = pred_masks.sum([1, 2]) + gt_masks.sum([1, 2]) - intersection
    return (intersection + 0.01) / (union + 0.01)
