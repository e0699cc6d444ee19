"""Greedy suppression of overlapping boxes, class by class."""

from dataclasses import dataclass

from paddle import Tensor, _C_ops

__all__ = ["Kept", "multiclass_nms"]


@dataclass(frozen=True)
class Kept:
    """What suppression leaves of all images, M rows: image by image, class by class, best score first.

    Attributes:
        rows: (M, 6) float32 of class, score, x1, y1, x2, y2.
        index: (M,) int32, image * N + box of each row.
        counts: (B,) int32 rows of each image.
    """

    rows: Tensor
    index: Tensor
    counts: Tensor


def multiclass_nms(
    boxes: Tensor,
    scores: Tensor,
    *,
    score_threshold: float,
    iou_threshold: float,
    pre_nms_count: int,
    keep_count: int,
) -> Kept:
    """Suppress, in each class of each image, boxes that overlap a better one.

    The operator has no public name in Paddle; exported graphs hold it as `multiclass_nms3`.

    Args:
        boxes: (B, N, 4) xyxy, shared by the classes; sides are x2 - x1, without 1 added.
        scores: (B, C, N).
        score_threshold: scores up to this are dropped first.
        iou_threshold: a box with a larger IoU with a better one of its class is dropped.
        pre_nms_count: best boxes of a class that compete.
        keep_count: best rows of an image that are kept in the end, all classes together.

    Returns:
        The rows; M may be 0.
    """
    decay, background = 1.0, -1
    rows, index, counts = _C_ops.multiclass_nms3(
        boxes,
        scores,
        None,
        score_threshold,
        pre_nms_count,
        keep_count,
        iou_threshold,
        True,
        decay,
        background,
    )
    return Kept(rows, index.flatten(), counts)
