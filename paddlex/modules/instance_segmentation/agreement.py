"""Whether two runs of one model found the same: graphs are compared with their network before they are used.

Order says nothing: detections of equal score may come in any order, and the last of them may be cut off.
Detections are therefore paired by class, score, box and mask, and only those clear of the cut are asked for.

Networks that suppress duplicates decide by comparisons: whether a box overlaps a better one by more than a
limit, whether a cell scores more than its neighbour. Where both sides are equal to the last digits, rounding
decides, and a detection comes or goes. Of faint detections a few may therefore be without counterpart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from scipy.optimize import linear_sum_assignment

from paddlex.structures.results import Detections

__all__ = ["Agreement", "compare_detections", "summarise"]

# A detection counts when its score is above this, or when it is among so many best.
_SCORE_FLOOR = 0.05
_LEAST_COUNT = 10
# Scores of one network on two runtimes differ by rounding, about 3e-7 as measured; a detection nearer to the
# lowest returned score than this may have lost its place to another.
_CUT_MARGIN = 1e-5

# A pair whose boxes differ by this share of the photo's longer side is as wrong as one of disjoint masks; the
# two errors together, each 1 then, decide whether it is a pair at all.
_WRONG_BOX = 0.05
_NO_PAIR = 1.5

# Limits. Runtimes that agree differ by rounding: scores below 1e-6, behind proposals 1e-5. Boxes and masks
# can move further where a mask value at the threshold flips, as queries look where the mask before them is.
# A graph whose group normalisations carry a wrong epsilon misses the score limit threefold. The official
# graphs of PP-YOLOE_seg and SOLOv2 enlarge masks in two steps, we in one: mean IoU 0.986 on noise, measured.
_MAX_SCORE_DIFFERENCE = 0.005
_MAX_MEAN_BOX_DIFFERENCE = 0.002
_MIN_MEAN_MASK_IOU = 0.95
# Rounding decided none of 3000 detections as measured, over all families with random weights. Whatever users
# see at the usual threshold must be there.
_MAX_UNPAIRED_SHARE = 0.02
_VISIBLE_SCORE = 0.5
# Graphs of 8-bit integers round between all layers, the fake-quantised network at their inputs only: scores
# move by some percent. So only what is plainly visible counts, and the other run must have its like.
_PLAINLY_VISIBLE = 0.6
_LIKE_IOU = 0.5
_MAX_UNLIKE_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How near one run came to the reference.

    Attributes:
        found: detections of the reference.
        compared: those of them that were looked for.
        missing: those without a counterpart of their class.
        extra: detections of the other run without a counterpart.
        max_unpaired_score: the best score among missing and extra ones.
        max_score_difference: over the pairs.
        mean_box_difference: mean over the pairs of the largest coordinate difference, as a share of the
            photo's longer side.
        max_box_difference: likewise the largest, pixels of the photo.
        mean_mask_iou: over the pairs; two empty masks agree.
        min_mask_iou: over the pairs.
        visible: detections of either run that users see at the usual threshold, and that are clear of it.
        visible_unlike: those of them whose like the other run does not see, at any score.
    """

    found: int
    compared: int
    missing: int
    extra: int
    max_unpaired_score: float
    max_score_difference: float
    mean_box_difference: float
    max_box_difference: float
    mean_mask_iou: float
    min_mask_iou: float
    visible: int = 0
    visible_unlike: int = 0

    def problems(self, *, quantized: bool = False) -> list[str]:
        """What is beyond the limits, of floats or of 8-bit integers; one line each."""
        if quantized:
            return self._problems_of_integers()
        lines = []
        if self.found and not self.compared:
            lines.append("nothing to compare: all scores are equal, or not finite")
        unpaired = self.missing + self.extra
        if self.max_unpaired_score >= _VISIBLE_SCORE or unpaired > _MAX_UNPAIRED_SHARE * self.compared:
            if self.missing:
                lines.append(f"{self.missing} of {self.compared} detections are missing")
            if self.extra:
                lines.append(f"{self.extra} detections are not the network's")
        if self.max_score_difference > _MAX_SCORE_DIFFERENCE:
            lines.append(f"scores differ by {self.max_score_difference:.4f}, limit {_MAX_SCORE_DIFFERENCE}")
        if self.mean_box_difference > _MAX_MEAN_BOX_DIFFERENCE:
            lines.append(
                f"boxes differ by {self.mean_box_difference:.2%} of the photo on average, "
                f"limit {_MAX_MEAN_BOX_DIFFERENCE:.1%}"
            )
        if self.mean_mask_iou < _MIN_MEAN_MASK_IOU:
            lines.append(f"mean mask IoU {self.mean_mask_iou:.3f}, limit {_MIN_MEAN_MASK_IOU}")
        return lines

    def _problems_of_integers(self) -> list[str]:
        if self.visible_unlike <= _MAX_UNLIKE_SHARE * self.visible:
            return []
        return [
            f"{self.visible_unlike} of {self.visible} visible detections have no like, "
            f"limit {_MAX_UNLIKE_SHARE:.0%}"
        ]

    def to_json(self) -> dict[str, float]:
        """Fields for a result file."""
        return asdict(self)


def compare_detections(reference: Detections, other: Detections) -> Agreement:
    """Look for the reference's detections among the other's.

    Args:
        reference: everything the network returned for a photo, unfiltered.
        other: everything the other run returned for it.
    """
    rows, cols, boxes, ious = _pair(reference, other)
    asked, offered = _worth_comparing(reference.scores), _worth_comparing(other.scores)
    missing, extra = np.setdiff1d(asked, rows), np.setdiff1d(offered, cols)
    unpaired = np.concatenate([reference.scores[missing], other.scores[extra]])
    counted = np.isin(rows, asked)
    scores = np.abs(reference.scores[rows] - other.scores[cols])[counted]
    boxes, ious = boxes[counted], ious[counted]
    visible, unlike = _visible(reference, other)
    return Agreement(
        found=len(reference),
        compared=len(asked),
        missing=len(missing),
        extra=len(extra),
        max_unpaired_score=float(unpaired.max(initial=0.0)),
        max_score_difference=float(scores.max(initial=0.0)),
        mean_box_difference=float(boxes.mean()) / max(reference.masks.size) if len(boxes) else 0.0,
        max_box_difference=float(boxes.max(initial=0.0)),
        mean_mask_iou=float(ious.mean()) if len(ious) else 1.0,
        min_mask_iou=float(ious.min(initial=1.0)),
        visible=visible,
        visible_unlike=unlike,
    )


def summarise(agreements: Sequence[Agreement]) -> Agreement:
    """One agreement over several photos; means weigh each compared detection alike."""
    weights = np.array([max(agreement.compared - agreement.missing, 0) for agreement in agreements], float)
    weights = weights / weights.sum() if weights.sum() else np.full(len(agreements), 1 / len(agreements))
    return Agreement(
        found=sum(agreement.found for agreement in agreements),
        compared=sum(agreement.compared for agreement in agreements),
        missing=sum(agreement.missing for agreement in agreements),
        extra=sum(agreement.extra for agreement in agreements),
        max_unpaired_score=max(agreement.max_unpaired_score for agreement in agreements),
        max_score_difference=max(agreement.max_score_difference for agreement in agreements),
        mean_box_difference=float(weights @ [agreement.mean_box_difference for agreement in agreements]),
        max_box_difference=max(agreement.max_box_difference for agreement in agreements),
        mean_mask_iou=float(weights @ [agreement.mean_mask_iou for agreement in agreements]),
        min_mask_iou=min(agreement.min_mask_iou for agreement in agreements),
        visible=sum(agreement.visible for agreement in agreements),
        visible_unlike=sum(agreement.visible_unlike for agreement in agreements),
    )


def _worth_comparing(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    if not len(scores):
        return np.zeros(0, np.int64)
    best = np.sort(scores)[::-1]
    floor = min(_SCORE_FLOOR, float(best[min(_LEAST_COUNT, len(best)) - 1]))
    # A list of very few ends where the scores do, not at a count.
    cut = float(best[-1]) if len(best) >= _LEAST_COUNT else _SCORE_FLOOR
    return np.flatnonzero((scores >= floor) & (np.abs(scores - cut) > _CUT_MARGIN))


def _visible(one: Detections, two: Detections) -> tuple[int, int]:
    """Plainly visible detections of both, and those without a like: of their class, masks overlapping."""
    alike = np.zeros((len(one), len(two)), bool)
    if alike.size:
        ious = np.asarray(coco_mask.iou(one.masks.to_rles(), two.masks.to_rles(), [0] * len(two)))
        alike = (ious >= _LIKE_IOU) & (one.class_ids[:, None] == two.class_ids[None])
    counted, unlike = 0, 0
    for found, has_like in ((one, alike.any(axis=1)), (two, alike.any(axis=0))):
        plain = found.scores >= _PLAINLY_VISIBLE
        counted += int(plain.sum())
        unlike += int((plain & ~has_like).sum())
    return counted, unlike


def _pair(
    reference: Detections, other: Detections
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Pairs of detections: index in each, largest difference of the boxes in pixels, IoU of the masks."""
    boxes = np.abs(reference.boxes[:, None] - other.boxes[None]).max(axis=-1).astype(np.float64)
    scores = np.abs(reference.scores[:, None] - other.scores[None])
    ious = np.ones(boxes.shape)
    if ious.size:
        rles = reference.masks.to_rles(), other.masks.to_rles()
        ious = np.asarray(coco_mask.iou(*rles, [0] * len(other)))
        ious[(reference.masks.area() == 0)[:, None] & (other.masks.area() == 0)[None]] = 1.0
    # Each term is about 1 where a pair is plainly wrong.
    apart = boxes / (_WRONG_BOX * max(reference.masks.size)) + (1 - ious)
    costs = scores / _MAX_SCORE_DIFFERENCE + apart
    costs[(reference.class_ids[:, None] != other.class_ids[None]) | (apart > _NO_PAIR)] = np.inf
    rows, cols = linear_sum_assignment(np.where(np.isfinite(costs), costs, 1e9))
    paired = np.isfinite(costs[rows, cols])
    rows, cols = rows[paired], cols[paired]
    return rows, cols, boxes[rows, cols], ious[rows, cols]
