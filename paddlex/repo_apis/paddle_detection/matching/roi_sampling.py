"""Which proposals the heads of R-CNN learn from, and the object that each shall find (arXiv:1504.08083)."""

from __future__ import annotations

from dataclasses import dataclass

import paddle
from paddle import Tensor

from paddlex.nn.draws import UniformDraws
from paddlex.repo_apis.paddle_detection.matching.iou import match_boxes
from paddlex.repo_apis.paddle_detection.matching.sampling import sample_positives_and_negatives

__all__ = ["RoISampler", "SampledBoxes", "label_boxes"]


@dataclass(frozen=True, eq=False, kw_only=True)
class SampledBoxes:
    """The S boxes of one photo to learn from.

    Attributes:
        boxes: (S, 4) xyxy in pixels of the network input.
        class_ids: (S,) int64, the number of classes for background.
        gt_indices: (S,) int64, the object of largest overlap; 0 where the photo has none.
        gt_boxes: (S, 4) xyxy of that object; the box itself where the photo has none.
    """

    boxes: Tensor
    class_ids: Tensor
    gt_indices: Tensor
    gt_boxes: Tensor

    def select(self, index: Tensor) -> SampledBoxes:
        """Return the boxes at `index` (S',) int64."""
        return SampledBoxes(
            boxes=self.boxes.gather(index),
            class_ids=self.class_ids.gather(index),
            gt_indices=self.gt_indices.gather(index),
            gt_boxes=self.gt_boxes.gather(index),
        )


def label_boxes(
    boxes: Tensor, gt_boxes: Tensor, gt_class_ids: Tensor, *, match_iou: float, num_classes: int
) -> SampledBoxes:
    """Give each of N boxes the class of the object it overlaps most, or background. Their order is kept.

    Args:
        boxes: (N, 4) xyxy.
        gt_boxes: (M, 4) xyxy; M may be 0.
        gt_class_ids: (M,) int64.
        match_iou: IoU from which on a box has the object's class.
        num_classes: classes, and the class id of the background.
    """
    matches = match_boxes(boxes, gt_boxes)
    background = paddle.full([boxes.shape[0]], num_classes, dtype="int64")
    if gt_boxes.shape[0] == 0:
        return SampledBoxes(boxes=boxes, class_ids=background, gt_indices=matches.gt_indices, gt_boxes=boxes)
    class_ids = gt_class_ids.astype("int64").gather(matches.gt_indices)
    return SampledBoxes(
        boxes=boxes,
        class_ids=paddle.where(matches.ious >= match_iou, class_ids, background),
        gt_indices=matches.gt_indices,
        gt_boxes=gt_boxes.gather(matches.gt_indices),
    )


@dataclass(frozen=True, kw_only=True)
class RoISampler:
    """A random choice of proposals and true boxes.

    Attributes:
        samples_per_image: boxes of a photo to learn from.
        foreground_fraction: largest share of foreground.
    """

    samples_per_image: int = 512
    foreground_fraction: float = 0.25

    def __call__(
        self,
        proposals: Tensor,
        gt_boxes: Tensor,
        gt_class_ids: Tensor,
        *,
        match_iou: float,
        num_classes: int,
        draws: UniformDraws,
    ) -> SampledBoxes:
        """Return the chosen boxes, foreground first.

        The true boxes compete too: early in training hardly any proposal overlaps an object enough.

        Args:
            proposals: (N, 4) xyxy, N at least 1.
            gt_boxes: (M, 4) xyxy; M may be 0.
            gt_class_ids: (M,) int64.
            match_iou: IoU from which on a box is foreground.
            num_classes: classes, and the class id of the background.
            draws: source of randomness.
        """
        boxes = paddle.concat([proposals, gt_boxes]) if gt_boxes.shape[0] else proposals
        labelled = label_boxes(boxes, gt_boxes, gt_class_ids, match_iou=match_iou, num_classes=num_classes)
        is_foreground = labelled.class_ids < num_classes
        foreground, background = sample_positives_and_negatives(
            is_foreground,
            ~is_foreground,
            count=self.samples_per_image,
            positive_fraction=self.foreground_fraction,
            draws=draws,
        )
        return labelled.select(paddle.concat([foreground, background]))
