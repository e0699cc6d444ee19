"""Task-aligned assignment of objects to cells (TOOD, arXiv:2108.07755)."""

from collections.abc import Sequence
from dataclasses import dataclass

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from paddlex.nn.boxes import pairwise_box_iou
from paddlex.nn.reductions import max_along

__all__ = ["CellAssignment", "PaddedObjects", "TaskAlignedAssigner", "cells_inside"]

_EPSILON = 1e-9


@dataclass(frozen=True, kw_only=True)
class PaddedObjects:
    """The objects of a batch, padded to the same number n per image.

    Attributes:
        boxes: (B, n, 4) xyxy in pixels of the network input.
        class_ids: (B, n) int64; 0 where padded.
        valid: (B, n) float32, 1 or, where padded, 0.
    """

    boxes: Tensor
    class_ids: Tensor
    valid: Tensor

    @classmethod
    def pad(cls, boxes: Sequence[Tensor], class_ids: Sequence[Tensor]) -> "PaddedObjects":
        """Join lists of one (n_i, 4) and one (n_i,) per image; at least one image has an object."""
        counts = [ids.shape[0] for ids in class_ids]
        longest = max(counts)
        return cls(
            boxes=paddle.stack([_pad_rows(values.astype("float32"), longest, width=4) for values in boxes]),
            class_ids=paddle.stack([_pad_rows(ids.astype("int64"), longest) for ids in class_ids]),
            valid=paddle.stack([_pad_rows(paddle.ones([count]), longest) for count in counts]),
        )


def _pad_rows(values: Tensor, count: int, *, width: int | None = None) -> Tensor:
    """Append zeros until there are `count` rows."""
    missing = count - values.shape[0]
    if not missing:
        return values
    blank = paddle.zeros([missing] if width is None else [missing, width], dtype=values.dtype)
    return blank if missing == count else paddle.concat([values, blank])


@dataclass(frozen=True, kw_only=True)
class CellAssignment:
    """Which object each of the L cells learns.

    Attributes:
        objects: (B, L) int64 index of the object within its image; 0 for cells without one.
        positive: (B, L) bool, whether the cell has an object.
        quality: (B, L) float32 in [0, 1], the score that the cell's class is to reach; 0 without an object.
    """

    objects: Tensor
    positive: Tensor
    quality: Tensor


def cells_inside(points: Tensor, boxes: Tensor) -> Tensor:
    """Return bool (B, n, L): whether point l lies inside box n, edges excluded.

    Args:
        points: (L, 2) x, y.
        boxes: (B, n, 4) xyxy.
    """
    boxes = boxes.unsqueeze(2)
    margin = paddle.minimum(points - boxes[..., :2], boxes[..., 2:] - points)
    return paddle.minimum(margin[..., 0], margin[..., 1]) > _EPSILON


@dataclass(frozen=True, kw_only=True)
class TaskAlignedAssigner:
    """Gives each object the cells that best predict both its class and its box.

    A cell's alignment with an object is score^score_power * IoU^iou_power. The best cells inside the object's
    box become its positives; a cell that several objects want goes to the one its box overlaps most.

    Attributes:
        top_k: cells of an object.
        score_power: alpha of the paper.
        iou_power: beta of the paper.
    """

    top_k: int = 13
    score_power: float = 1.0
    iou_power: float = 6.0

    def __call__(
        self, scores: Tensor, boxes: Tensor, *, points: Tensor, objects: PaddedObjects
    ) -> CellAssignment:
        """Assign.

        Args:
            scores: (B, L, C) predicted probabilities; no gradient flows into them.
            boxes: (B, L, 4) predicted xyxy, pixels; likewise.
            points: (L, 2) x, y of the cells' centres, pixels.
            objects: ground truth.

        Returns:
            The assignment. The quality of an object's best-aligned cell is the best IoU among its cells, that
            of the others is smaller in proportion to their alignment.
        """
        ious = pairwise_box_iou(objects.boxes, boxes.detach(), epsilon=_EPSILON)
        alignment = _scores_of_objects(scores.detach(), objects) ** self.score_power * ious**self.iou_power
        allowed = cells_inside(points, objects.boxes) & (objects.valid.unsqueeze(2) > 0)
        wanted = self._best_cells(alignment, allowed).astype("float32")
        # Among all objects, not only those that want the cell; ties go to the first.
        most_overlapping = F.one_hot(ious.argmax(axis=1), ious.shape[1]).transpose([0, 2, 1])
        contested = (wanted.sum(1, keepdim=True) > 1).astype("float32")
        chosen = wanted * (1.0 - contested) + most_overlapping * contested
        aligned = alignment * chosen
        share = aligned / (max_along(aligned, axis=2).unsqueeze(2) + _EPSILON)
        best_iou = max_along(ious * chosen, axis=2).unsqueeze(2)
        return CellAssignment(
            objects=chosen.argmax(axis=1),
            positive=chosen.sum(1) > 0,
            quality=max_along(share * best_iou, axis=1),
        )

    def _best_cells(self, alignment: Tensor, allowed: Tensor) -> Tensor:
        """Return bool (B, n, L): the `top_k` best-aligned cells of every object among the allowed ones."""
        ranked = paddle.where(allowed, alignment, paddle.full_like(alignment, -1.0))
        best = paddle.topk(ranked, min(self.top_k, ranked.shape[2]), axis=2)[1]
        chosen = paddle.put_along_axis(
            paddle.zeros_like(ranked), best, paddle.ones_like(best, dtype=ranked.dtype), axis=2
        )
        return (chosen > 0) & allowed


def _scores_of_objects(scores: Tensor, objects: PaddedObjects) -> Tensor:
    """Return (B, n, L), the probability of object n's class at cell l."""
    per_class = scores.transpose([0, 2, 1])
    index = objects.class_ids.unsqueeze(2).expand([-1, -1, per_class.shape[2]])
    return paddle.take_along_axis(per_class, index, axis=1, broadcast=False)
