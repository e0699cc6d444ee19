"""Mask IoU of matched pairs, the classification target of the main layer."""

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import Tensor

from paddlex.nn.host_threads import share_among_threads

__all__ = ["paired_mask_iou", "resize_masks"]

Array = NDArray[np.float32]
Flags = NDArray[np.bool_]


def resize_masks(masks: Tensor, *, size: tuple[int, int]) -> Tensor:
    """Resize (T, S, S) 0/1 masks bilinearly and threshold at a half; (T, *size) float32 of 0 and 1."""
    resized = F.interpolate(masks.unsqueeze(1).astype("float32"), size=list(size), mode="bilinear")
    return (resized.squeeze(1) > 0.5).astype("float32")


def paired_mask_iou(logits: Tensor, gt_masks: Tensor, *, index: Tensor) -> Tensor:
    """Return the IoU of predicted masks, upsampled by two and thresholded, with their targets.

    Args:
        logits: (M, h, w) mask logits.
        gt_masks: (T, 2h, 2w) float32 of 0 and 1.
        index: (M,) int64, the target of each prediction.

    Returns:
        (M,) in (0, 1], without gradient; two empty masks give 1.
    """
    if logits.place.is_cpu_place():
        return paddle.to_tensor(_iou_cpu(logits.numpy(), gt_masks.numpy() > 0, index.numpy()))
    targets = paddle.gather(gt_masks, index)
    size = list(targets.shape[-2:])
    upsampled = F.interpolate(logits.detach().unsqueeze(1), size=size, mode="bilinear").squeeze(1)
    pred_masks = (upsampled > 0).astype("float32")
    intersection = (pred_masks * targets).sum([1, 2])
    union = pred_masks.sum([1, 2]) + targets.sum([1, 2]) - intersection
    return (intersection + 0.01) / (union + 0.01)


def _iou_cpu(logits: Array, gt_masks: Flags, index: NDArray[np.int64]) -> Array:
    """Compute `paired_mask_iou` pair by pair; only the signs of the upsampled logits are formed."""
    quarters = np.stack(_quarters(gt_masks), axis=1)
    areas = [np.count_nonzero(mask) for mask in gt_masks]
    padded = np.pad(logits, ((0, 0), (1, 1), (1, 1)), mode="edge")
    scores = np.empty(len(logits), np.float32)

    def score(pairs: range) -> None:
        for pair in pairs:
            pred = _upsampled_signs(padded[pair])
            intersection = np.count_nonzero(pred & quarters[index[pair]])
            union = np.count_nonzero(pred) + areas[index[pair]] - intersection
            scores[pair] = (intersection + 0.01) / (union + 0.01)

    share_among_threads(score, len(logits))
    return scores


def _quarters(masks: Flags) -> list[Flags]:
    """Split (..., 2h, 2w) into the four (..., h, w) of its even and odd rows and columns."""
    return [masks[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]


def _upsampled_signs(padded: Array) -> Flags:
    """Return where logits, upsampled by two, are positive; (4, h, w), ordered as `_quarters` is.

    Args:
        padded: (h + 2, w + 2), the logits and a repetition of their outermost pixels. Doubling weighs the
            nearer of two pixels with 3/4 and the other with 1/4.
    """
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    near = np.float32(3) * padded[1:-1]
    positive = np.empty((2, 2, height, width), np.bool_)
    for row, rows in enumerate((near + padded[:-2], near + padded[2:])):
        middle = np.float32(3) * rows[:, 1:-1]
        np.greater(middle + rows[:, :-2], 0, out=positive[row, 0])
        np.greater(middle + rows[:, 2:], 0, out=positive[row, 1])
    return positive.reshape(4, height, width)
