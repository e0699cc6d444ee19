"""Static assignment of objects to cells: adaptive training sample selection (ATSS, arXiv:1912.02424)."""

from dataclasses import dataclass

import numpy as np
import paddle
from paddle import Tensor

from paddlex.nn.boxes import box_iou
from paddlex.nn.reductions import max_along
from paddlex.repo_apis.paddle_detection.matching.cells import CellAssignment, PaddedObjects, points_inside

__all__ = ["ATSSAssigner"]

# Candidates of equal IoU all reach their mean; rounding of the mean must not say otherwise.
_ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class ATSSAssigner:
    """Gives each object cells that suit it by their places alone, whatever the network predicts.

    Every cell stands for an anchor, a square around its centre. An object's candidates are the cells of every
    level whose centres are closest to its own. Those become positive whose centre lies inside the object's
    box and whose anchor overlaps it no less than the mean of the candidates' IoUs plus their standard
    deviation; a cell that is positive for several objects goes to the one its anchor overlaps most.

    Attributes:
        top_k: candidates of an object on every level; of equally distant cells any may be taken.
        anchor_scale: side of the anchors in strides; the paper's is 8.
    """

    top_k: int = 9
    anchor_scale: float = 8.0

    def __call__(
        self, boxes: Tensor, *, points: Tensor, strides: Tensor, objects: PaddedObjects
    ) -> CellAssignment:
        """Assign.

        Args:
            boxes: (B, L, 4) predicted xyxy, pixels; no gradient flows into them. They decide the qualities
                alone.
            points: (L, 2) x, y of the cells' centres, pixels.
            strides: (L, 1) pixels; the cells of a level follow one another, and each level has its own.
            objects: ground truth.

        Returns:
            The assignment. The quality of a positive cell is the IoU of its predicted box with its object, as
            PP-YOLO-E (arXiv:2203.16250) trains its scores.
        """
        candidates = self._candidates(points, strides, gt_boxes=objects.boxes)
        overlaps = self._overlaps(candidates, points, strides, objects=objects)
        blank = paddle.full([*candidates.shape[:2], points.shape[0]], -1.0)
        claims = paddle.put_along_axis(blank, candidates, overlaps, axis=2)
        owners, positive = claims.argmax(axis=1), max_along(claims, axis=1) >= 0.0
        index = owners.unsqueeze(2).expand([-1, -1, 4])
        wanted = paddle.take_along_axis(objects.boxes, index, axis=1, broadcast=False)
        quality = box_iou(boxes.detach(), wanted) * positive.astype("float32")
        return CellAssignment(objects=owners, positive=positive, quality=quality)

    def _candidates(self, points: Tensor, strides: Tensor, *, gt_boxes: Tensor) -> Tensor:
        """Return (B, n, K) int64, the closest cells of all levels to the centres of objects (B, n, 4)."""
        centres = (gt_boxes[..., :2] + gt_boxes[..., 2:]).unsqueeze(2) * 0.5
        # Column by column: broadcasting pairs takes longer.
        distances = (points[:, 0] - centres[..., 0]) ** 2 + (points[:, 1] - centres[..., 1]) ** 2
        ends = [*(np.flatnonzero(np.diff(strides.flatten().numpy())) + 1).tolist(), points.shape[0]]
        closest = []
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            count = min(self.top_k, end - start)
            level = distances[:, :, start:end]
            closest.append(paddle.topk(level, count, axis=2, largest=False)[1] + start)
        return paddle.concat(closest, axis=2)

    def _overlaps(
        self, candidates: Tensor, points: Tensor, strides: Tensor, *, objects: PaddedObjects
    ) -> Tensor:
        """Return (B, n, K) float32, the IoU of an object with its candidates' anchors; -1 if not positive."""
        flat, shape = candidates.flatten(), [*candidates.shape, 2]
        centres = paddle.gather(points, flat).reshape(shape)
        half_sides = (0.5 * self.anchor_scale * paddle.gather(strides, flat)).reshape([*shape[:3], 1])
        anchors = paddle.concat([centres - half_sides, centres + half_sides], axis=-1)
        gt_boxes = objects.boxes.unsqueeze(2)
        ious = box_iou(anchors, gt_boxes)
        enough = ious >= _mean_plus_deviation(ious) - _ROUNDING
        positive = enough & points_inside(centres, gt_boxes) & (objects.valid.unsqueeze(2) > 0)
        return paddle.where(positive, ious, paddle.full_like(ious, -1.0))


def _mean_plus_deviation(values: Tensor) -> Tensor:
    """Return (..., 1), mean and sample standard deviation of values (..., K); of a lone value the value."""
    mean = values.mean(-1, keepdim=True)
    squares = ((values - mean) ** 2).sum(-1, keepdim=True)
    return mean + (squares / max(values.shape[-1] - 1, 1)).sqrt()
