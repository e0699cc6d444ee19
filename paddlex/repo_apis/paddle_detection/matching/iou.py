"""Matching of anchors or proposals with objects by overlap (arXiv:1506.01497, section 3.1.2)."""

from dataclasses import dataclass

import paddle
from paddle import Tensor

from paddlex.nn.boxes import pairwise_box_iou
from paddlex.nn.reductions import max_along

__all__ = ["BoxMatches", "match_boxes"]

# Pairs whose overlap is in memory at once: a megabyte per temporary, where the 268 000 anchors of a large
# photo and a thousand objects would take a gigabyte.
_MAX_PAIRS = 2**18


@dataclass(frozen=True, eq=False, kw_only=True)
class BoxMatches:
    """The object that suits each of N boxes.

    Attributes:
        gt_indices: (N,) int64, the object of largest IoU, the first of several; 0 where there is no object.
        ious: (N,) float32, that IoU; 0 where there is no object.
        is_best: (N,) bool, whether some object overlaps no other box more than this one.
    """

    gt_indices: Tensor
    ious: Tensor
    is_best: Tensor


def match_boxes(
    boxes: Tensor, gt_boxes: Tensor, *, min_best_iou: float = 0.0, max_pairs: int = _MAX_PAIRS
) -> BoxMatches:
    """Match N boxes with M objects.

    Args:
        boxes: (N, 4) xyxy.
        gt_boxes: (M, 4) xyxy in the same unit; M may be 0.
        min_best_iou: IoU that a box needs, besides being above 0, to be the best of an object.
        max_pairs: bound on the IoUs in memory at once, never less than one object's; the matches do not
            depend on it.
    """
    boxes, gt_boxes = boxes.detach(), gt_boxes.detach()
    num_boxes = boxes.shape[0]
    gt_indices = paddle.zeros([num_boxes], dtype="int64")
    # Below every IoU, so that the first object wins where none overlaps.
    ious = paddle.full([num_boxes], -1.0)
    is_best = paddle.zeros([num_boxes], dtype="bool")
    step = max(1, max_pairs // max(1, num_boxes))
    for start in range(0, gt_boxes.shape[0], step):
        chunk = pairwise_box_iou(gt_boxes[start : start + step], boxes)
        chunk_ious = max_along(chunk, axis=0)
        closer = chunk_ious > ious
        gt_indices = paddle.where(closer, chunk.argmax(axis=0) + start, gt_indices)
        ious = paddle.where(closer, chunk_ious, ious)
        best = (chunk == max_along(chunk, axis=1).unsqueeze(1)) & (chunk > 0.0) & (chunk >= min_best_iou)
        is_best = is_best | best.any(axis=0)
    return BoxMatches(gt_indices=gt_indices, ious=ious.clip(min=0.0), is_best=is_best)
