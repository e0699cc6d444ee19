"""Raw network outputs to instances in photo pixels.

The network draws its masks on a small grid. Only the instances that are kept are enlarged, and only where
they can be set: inside their box, around the grid cells that are positive. The values there are those of
enlarging the whole grid to the whole photo (bilinear, half-pixel centres), to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.structures.masks import MaskCrops
from paddlex.structures.results import Detections
from paddlex.utils.errors import ShapeError

__all__ = ["RawDetections", "postprocess", "raw_from_batch", "raw_from_rows"]

# Rows enlarged at a time, so that float values stay in the processor's cache.
_STRIP_ROWS = 64


@dataclass(frozen=True, eq=False, kw_only=True)
class RawDetections:
    """K candidates of one photo as the network gives them.

    Attributes:
        boxes: (K, 4) xyxy in units of `box_frame`.
        box_frame: (height, width) of the whole photo in the unit of `boxes`; (1, 1) when normalised.
        scores: (K,).
        class_ids: (K,); negative ones mark padding.
        masks: (K, h, w), a grid over the whole photo: logits, or 0 and 1.
        mask_threshold: a mask is set where its enlarged grid is above this.
    """

    boxes: NDArray[Any]
    box_frame: tuple[int, int]
    scores: NDArray[Any]
    class_ids: NDArray[Any]
    masks: NDArray[Any]
    mask_threshold: float

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if self.boxes.shape != (count, 4) or len(self.scores) != count or len(self.class_ids) != count:
            raise ShapeError(
                f"boxes {self.boxes.shape}, scores {self.scores.shape}, class ids {self.class_ids.shape}"
            )
        if self.masks.ndim != 3 or len(self.masks) != count:
            raise ShapeError(f"masks {self.masks.shape} for {count} boxes; expected ({count}, height, width)")


def raw_from_batch(outputs: Mapping[str, NDArray[Any]]) -> list[RawDetections]:
    """Split a network's `detect` outputs by photo.

    Args:
        outputs: "boxes" (B, K, 4) xyxy normalised to the photo, "scores" (B, K), "class_ids" (B, K),
            "masks" (B, K, h, w) logits over the whole photo.
    """
    names = ("boxes", "scores", "class_ids", "masks")
    return [
        RawDetections(
            boxes=boxes, box_frame=(1, 1), scores=scores, class_ids=class_ids, masks=masks, mask_threshold=0.0
        )
        for boxes, scores, class_ids, masks in zip(*(outputs[name] for name in names), strict=True)
    ]


def raw_from_rows(rows: NDArray[Any], masks: NDArray[Any]) -> RawDetections:
    """Read the outputs of an official inference model for one photo.

    Args:
        rows: (M, 6) class, score, x1, y1, x2, y2 in pixels of the masks.
        masks: (M, H, W) of 0 and 1.
    """
    rows = rows.reshape(-1, 6)
    return RawDetections(
        boxes=rows[:, 2:],
        box_frame=(masks.shape[1], masks.shape[2]),
        scores=rows[:, 1],
        class_ids=rows[:, 0].astype(np.int64),
        masks=masks[: len(rows)],
        mask_threshold=0.5,
    )


def postprocess(
    raw: RawDetections, *, size: tuple[int, int], threshold: float | None = None, crop_to_boxes: bool = False
) -> Detections:
    """Turn candidates into instances.

    Prediction gives a threshold and crops; evaluation does neither, since the COCO protocol ranks all
    candidates by score and judges boxes and masks apart.

    Args:
        raw: the network's candidates for one photo.
        size: (height, width) of the photo, pixels.
        threshold: keep scores above it; None keeps all.
        crop_to_boxes: clip the boxes to the photo, cut the masks at the rounded boxes, and drop boxes that
            round to nothing together with their masks.

    Returns:
        Instances in the order of `raw`.
    """
    kept = raw.class_ids >= 0
    if threshold is not None:
        kept &= raw.scores > threshold
    boxes = _to_pixels(raw.boxes, frame=raw.box_frame, size=size)
    if crop_to_boxes:
        boxes = np.clip(boxes, 0, np.array([size[1], size[0]] * 2, np.float32))
        rounded = np.round(boxes)
        kept &= ((rounded[:, 2:] - rounded[:, :2]) > 0).all(axis=1)
    chosen = np.flatnonzero(kept)
    limits = np.round(boxes).astype(np.int64) if crop_to_boxes else None
    return Detections(
        boxes=boxes[chosen],
        scores=raw.scores[chosen].astype(np.float32),
        class_ids=raw.class_ids[chosen].astype(np.int64),
        masks=_enlarge_masks(raw, chosen=chosen, size=size, limits=limits),
    )


def _to_pixels(boxes: NDArray[Any], *, frame: tuple[int, int], size: tuple[int, int]) -> NDArray[np.float32]:
    if frame == size:
        return boxes.astype(np.float32)
    scale = np.array([size[1] / frame[1], size[0] / frame[0]] * 2)
    return np.asarray(boxes * scale, dtype=np.float32)


# -------------------------------------------------------------------- masks


@dataclass(frozen=True)
class _Axis:
    """Bilinear resampling along one axis.

    Output i is (1 - weight[i]) * grid[low[i]] + weight[i] * grid[high[i]].
    """

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    weight: NDArray[np.float32]

    @classmethod
    def of(cls, grid: int, length: int) -> _Axis:
        """Half-pixel centres, clamped at the ends (as `align_corners=False` means)."""
        position = np.clip((np.arange(length) + 0.5) * (grid / length) - 0.5, 0, grid - 1)
        low = np.floor(position).astype(np.intp)
        return cls(low, np.minimum(low + 1, grid - 1), (position - low).astype(np.float32))

    def reach(self, first: int, last: int) -> tuple[int, int]:
        """[start, stop) of the outputs that grid cells `first` to `last` take part in."""
        return int(np.searchsorted(self.high, first)), int(np.searchsorted(self.low, last, side="right"))


def _enlarge_masks(
    raw: RawDetections, *, chosen: NDArray[np.intp], size: tuple[int, int], limits: NDArray[np.int64] | None
) -> MaskCrops:
    """Masks of the chosen candidates, cut at `limits` (K, 4) xyxy if given."""
    rows, cols = _Axis.of(raw.masks.shape[1], size[0]), _Axis.of(raw.masks.shape[2], size[1])
    grids = [raw.masks[index].astype(np.float32) - np.float32(raw.mask_threshold) for index in chosen]
    regions = [_region(grid > 0, rows=rows, cols=cols) for grid in grids]
    if limits is not None:
        regions = [_overlap(region, limits[index]) for region, index in zip(regions, chosen, strict=True)]
    # One at a time, so that enlarged masks do not pile up before they are trimmed and packed.
    enlarged = (
        _enlarge(grid, region, rows=rows, cols=cols) for grid, region in zip(grids, regions, strict=True)
    )
    return MaskCrops.from_crops(enlarged, [(top, left) for top, _, left, _ in regions], size=size)


def _overlap(region: tuple[int, int, int, int], limit: NDArray[np.int64]) -> tuple[int, int, int, int]:
    """The part of (top, bottom, left, right) `region` inside the xyxy `limit`."""
    x1, y1, x2, y2 = limit.tolist()
    return max(region[0], y1), min(region[1], y2), max(region[2], x1), min(region[3], x2)


def _region(positive: NDArray[np.bool_], *, rows: _Axis, cols: _Axis) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) outside of which the enlarged grid cannot be positive."""
    set_rows, set_cols = np.flatnonzero(positive.any(axis=1)), np.flatnonzero(positive.any(axis=0))
    if not len(set_rows):
        return 0, 0, 0, 0
    return *rows.reach(set_rows[0], set_rows[-1]), *cols.reach(set_cols[0], set_cols[-1])


def _enlarge(
    grid: NDArray[np.float32], region: tuple[int, int, int, int], *, rows: _Axis, cols: _Axis
) -> NDArray[np.bool_]:
    """Where the enlarged grid is positive, inside a region."""
    top, bottom, left, right = region
    if bottom <= top or right <= left:
        return np.zeros((0, 0), dtype=bool)
    first = rows.low[top]
    part = grid[first : rows.high[bottom - 1] + 1]
    weight = cols.weight[left:right]
    # Columns first: the grid has few rows, so the wide result is small. Elementwise sums give the same bits
    # whatever the region, which a matrix product does not promise.
    wide = part[:, cols.low[left:right]] * (1 - weight) + part[:, cols.high[left:right]] * weight
    crop = np.empty((bottom - top, right - left), dtype=bool)
    for start in range(top, bottom, _STRIP_ROWS):
        strip = slice(start, min(start + _STRIP_ROWS, bottom))
        share = rows.weight[strip, None]
        values = wide[rows.low[strip] - first] * (1 - share) + wide[rows.high[strip] - first] * share
        np.greater(values, 0, out=crop[strip.start - top : strip.stop - top])
    return crop
