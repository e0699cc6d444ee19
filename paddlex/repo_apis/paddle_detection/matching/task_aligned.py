"""Task-aligned assignment of objects to cells (TOOD, arXiv:2108.07755)."""

from dataclasses import dataclass

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from paddlex.nn.boxes import pairwise_box_iou
from paddlex.nn.reductions import max_along
from paddlex.repo_apis.paddle_detection.matching.cells import CellAssignment, PaddedObjects, points_inside

__all__ = ["TaskAlignedAssigner"]

_EPSILON = 1e-9


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
        allowed = points_inside(points, objects.boxes.unsqueeze(2)) & (objects.valid.unsqueeze(2) > 0)
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
