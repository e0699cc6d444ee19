"""Raw network outputs to instances in photo pixels.

The network draws its masks on small grids. Only the instances that are kept are enlarged, and only where
they can be set: around the grid cells that are positive and, in prediction, inside their box. The values
there are those of enlarging the whole grid (bilinear, half-pixel centres), to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.structures.mask_form import MaskForm
from paddlex.structures.masks import MaskCrops
from paddlex.structures.results import Detections
from paddlex.utils.errors import ShapeError

__all__ = ["RawDetections", "postprocess", "raw_from_batch", "raw_from_rows", "raw_from_segments"]

# Rows enlarged at a time, so that float values stay in the processor's cache.
_STRIP_ROWS = 64
# What the official graphs return: 0 and 1 at the size of the photo.
_BINARY = MaskForm("photo", "probabilities")


@dataclass(frozen=True, eq=False, kw_only=True)
class RawDetections:
    """K candidates of one photo as the network gives them.

    Attributes:
        boxes: (K, 4) xyxy in units of `box_frame`.
        box_frame: (height, width) of the whole photo in the unit of `boxes`; (1, 1) when normalised.
        scores: (K,).
        class_ids: (K,); negative ones mark padding.
        masks: (K, h, w) grids.
        mask_form: what the grids span and when a mask is set.
        content: (vertical, horizontal) share of the network input that the photo fills; the rest is padding.
            Of importance where the grids span the input.
    """

    boxes: NDArray[Any]
    box_frame: tuple[int, int]
    scores: NDArray[Any]
    class_ids: NDArray[Any]
    masks: NDArray[Any]
    mask_form: MaskForm
    content: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if self.boxes.shape != (count, 4) or len(self.scores) != count or len(self.class_ids) != count:
            raise ShapeError(
                f"boxes {self.boxes.shape}, scores {self.scores.shape}, class ids {self.class_ids.shape}"
            )
        if self.masks.ndim != 3 or len(self.masks) != count:
            raise ShapeError(f"masks {self.masks.shape} for {count} boxes; expected ({count}, height, width)")


def raw_from_batch(
    outputs: Mapping[str, NDArray[Any]],
    *,
    mask_form: MaskForm,
    im_shape: NDArray[Any],
    input_size: tuple[int, int],
) -> list[RawDetections]:
    """Split a network's `detect` outputs by photo.

    Args:
        outputs: "boxes" (B, K, 4) xyxy in fractions of the photo, "scores" (B, K), "class_ids" (B, K),
            "masks" (B, K, h, w).
        mask_form: of the masks.
        im_shape: (B, 2) height and width of the network inputs without padding.
        input_size: (height, width) of the network input with it.
    """
    names = ("boxes", "scores", "class_ids", "masks")
    photos = zip(*(outputs[name] for name in names), im_shape, strict=True)
    return [
        RawDetections(
            boxes=boxes,
            box_frame=(1, 1),
            scores=scores,
            class_ids=class_ids,
            masks=masks,
            mask_form=mask_form,
            content=(float(height) / input_size[0], float(width) / input_size[1]),
        )
        for boxes, scores, class_ids, masks, (height, width) in photos
    ]


def raw_from_rows(rows: NDArray[Any], masks: NDArray[Any]) -> RawDetections:
    """Read the outputs of an official inference model for one photo.

    Args:
        rows: (M, 6) class, score, x1, y1, x2, y2 in pixels of the masks; where nothing is found, a filler of
            score 0.
        masks: (M, H, W) of 0 and 1.
    """
    rows = rows.reshape(-1, 6)
    return RawDetections(
        boxes=rows[:, 2:],
        box_frame=(masks.shape[1], masks.shape[2]),
        scores=rows[:, 1],
        class_ids=np.where(rows[:, 1] > 0, rows[:, 0], -1).astype(np.int64),
        masks=masks[: len(rows)],
        mask_form=_BINARY,
    )


def raw_from_segments(class_ids: NDArray[Any], scores: NDArray[Any], masks: NDArray[Any]) -> RawDetections:
    """Read the outputs of an official inference model that predicts no boxes, for one photo.

    Args:
        class_ids: (M,).
        scores: (M,); the filler row that ends the list has 0.
        masks: (M, H, W) of 0 and 1.
    """
    return RawDetections(
        boxes=np.zeros((len(scores), 4), np.float32),
        box_frame=(1, 1),
        scores=scores,
        class_ids=np.where(scores > 0, class_ids, -1).astype(np.int64),
        masks=masks,
        mask_form=MaskForm("photo", "probabilities", boxes="derived"),
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
    shown = np.clip(boxes, 0, np.array([size[1], size[0]] * 2, np.float32)) if crop_to_boxes else boxes
    derived = raw.mask_form.boxes == "derived"
    if crop_to_boxes and not derived:
        rounded = np.round(shown)
        kept &= ((rounded[:, 2:] - rounded[:, :2]) > 0).all(axis=1) & np.isfinite(boxes).all(axis=1)
    chosen = np.flatnonzero(kept)
    masks = _enlarge_masks(raw, boxes=boxes, chosen=chosen, size=size, crop_to_boxes=crop_to_boxes)
    if crop_to_boxes and derived:
        visible = np.flatnonzero(masks.area())
        chosen, masks = chosen[visible], masks[visible]
    return Detections(
        boxes=masks.boxes() if derived else shown[chosen],
        scores=raw.scores[chosen].astype(np.float32),
        class_ids=raw.class_ids[chosen].astype(np.int64),
        masks=masks,
    )


def _to_pixels(boxes: NDArray[Any], *, frame: tuple[int, int], size: tuple[int, int]) -> NDArray[np.float32]:
    if frame == size:
        return boxes.astype(np.float32)
    scale = np.array([size[1] / frame[1], size[0] / frame[0]] * 2)
    return np.asarray(boxes * scale, dtype=np.float32)


# -------------------------------------------------------------------- masks


@dataclass(frozen=True)
class _Axis:
    """Bilinear resampling along one axis, for the pixels `first`, `first` + 1, ...

    Pixel `first` + i is (1 - weight[i]) * grid[low[i]] + weight[i] * grid[high[i]].
    """

    first: int
    low: NDArray[np.intp]
    high: NDArray[np.intp]
    weight: NDArray[np.float32]

    @classmethod
    def of(cls, cells: int, *, start: float, length: float, pixels: int) -> _Axis:
        """A grid that spans [start, start + length) of an axis of `pixels`, for the pixels in there.

        Half-pixel centres; beyond the outermost centres the grid goes on as it ends (`align_corners=False`).
        """
        if not (math.isfinite(start) and 0 < length < math.inf):
            return cls(0, *(np.zeros(0, np.intp),) * 2, np.zeros(0, np.float32))
        first = min(max(math.floor(start), 0), pixels)
        stop = max(min(math.ceil(start + length), pixels), first)
        position = (np.arange(first, stop) + 0.5 - start) * (cells / length) - 0.5
        position = np.clip(position, 0, cells - 1)
        low = np.floor(position).astype(np.intp)
        return cls(first, low, np.minimum(low + 1, cells - 1), (position - low).astype(np.float32))

    def reach(self, first: int, last: int) -> tuple[int, int]:
        """[start, stop) of the pixels that grid cells `first` to `last` take part in."""
        start, stop = np.searchsorted(self.high, first), np.searchsorted(self.low, last, side="right")
        return self.first + int(start), self.first + int(stop)

    def part(self, start: int, stop: int) -> _Axis:
        """The same for the pixels [start, stop) alone."""
        kept = slice(start - self.first, stop - self.first)
        return _Axis(start, self.low[kept], self.high[kept], self.weight[kept])


_Region = tuple[int, int, int, int]


def _enlarge_masks(
    raw: RawDetections,
    *,
    boxes: NDArray[np.float32],
    chosen: NDArray[np.intp],
    size: tuple[int, int],
    crop_to_boxes: bool,
) -> MaskCrops:
    """Masks of the chosen candidates; `boxes` (K, 4) are xyxy in pixels of the photo."""
    form = raw.mask_form
    over_photo = None if form.frame == "box" else _axes_over_photo(raw, size=size)
    places = []
    for index in chosen:
        grid = _signed_grid(raw, index)
        rows, cols = over_photo or _axes_over_box(boxes[index], cells=grid.shape, size=size)
        region = _region(_is_set(form)(grid, 0), rows=rows, cols=cols)
        if crop_to_boxes and form.boxes != "derived":
            region = _overlap(region, np.round(boxes[index]))
        if form.boxes == "bounding":
            region = _overlap(region, np.ceil(boxes[index]))
        places.append((region, rows, cols))
    # One at a time, so that enlarged masks do not pile up before they are trimmed and packed.
    enlarged = (
        _enlarge(_signed_grid(raw, index), region, rows=rows, cols=cols, is_set=_is_set(form))
        for index, (region, rows, cols) in zip(chosen, places, strict=True)
    )
    return MaskCrops.from_crops(enlarged, [(top, left) for (top, _, left, _), _, _ in places], size=size)


def _axes_over_photo(raw: RawDetections, *, size: tuple[int, int]) -> tuple[_Axis, _Axis]:
    """Rows and columns of grids that span the photo, or the network input that holds it."""
    share = raw.content if raw.mask_form.frame == "input" else (1.0, 1.0)
    rows, cols = (
        _Axis.of(cells, start=0, length=pixels / part, pixels=pixels)
        for cells, pixels, part in zip(raw.masks.shape[1:], size, share, strict=True)
    )
    return rows, cols


def _axes_over_box(
    box: NDArray[np.float32], *, cells: tuple[int, ...], size: tuple[int, int]
) -> tuple[_Axis, _Axis]:
    """Rows and columns of a grid that spans an xyxy box and one further cell on each side."""
    x1, y1, x2, y2 = box.tolist()
    rows, cols = (
        _Axis.of(
            count,
            start=low - (high - low) / (count - 2),
            length=(high - low) * count / (count - 2),
            pixels=pixels,
        )
        for count, low, high, pixels in zip(cells, (y1, x1), (y2, x2), size, strict=True)
    )
    return rows, cols


def _signed_grid(raw: RawDetections, index: int) -> NDArray[np.float32]:
    """The grid of a candidate with the edge of the mask at 0."""
    grid = raw.masks[index].astype(np.float32)
    if raw.mask_form.frame == "box":
        grid = np.pad(grid, 1)  # the zeros beyond the box
    return np.asarray(grid - np.float32(raw.mask_form.threshold), np.float32)


def _is_set(form: MaskForm) -> Callable[..., NDArray[np.bool_]]:
    """What decides of signed values."""
    return np.greater_equal if form.frame == "box" else np.greater


def _overlap(region: _Region, limit: NDArray[np.float32]) -> _Region:
    """The part of (top, bottom, left, right) `region` inside the xyxy `limit` of whole numbers."""
    if not np.isfinite(limit).all():
        return 0, 0, 0, 0
    x1, y1, x2, y2 = (int(side) for side in limit)
    return max(region[0], y1), min(region[1], y2), max(region[2], x1), min(region[3], x2)


def _region(cells: NDArray[np.bool_], *, rows: _Axis, cols: _Axis) -> _Region:
    """(top, bottom, left, right) outside of which the enlarged grid cannot be set, given the set cells."""
    set_rows, set_cols = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    if not len(set_rows):
        return 0, 0, 0, 0
    return *rows.reach(set_rows[0], set_rows[-1]), *cols.reach(set_cols[0], set_cols[-1])


def _enlarge(
    grid: NDArray[np.float32],
    region: _Region,
    *,
    rows: _Axis,
    cols: _Axis,
    is_set: Callable[..., NDArray[np.bool_]],
) -> NDArray[np.bool_]:
    """Where the enlarged grid is set, inside a region."""
    top, bottom, left, right = region
    if bottom <= top or right <= left:
        return np.zeros((0, 0), dtype=bool)
    rows, cols = rows.part(top, bottom), cols.part(left, right)
    first = rows.low[0]
    part = grid[first : rows.high[-1] + 1]
    # Columns first: the grid has few rows, so the wide result is small. Elementwise sums give the same bits
    # whatever the region, which a matrix product does not promise.
    wide = part[:, cols.low] * (1 - cols.weight) + part[:, cols.high] * cols.weight
    crop = np.empty((bottom - top, right - left), dtype=bool)
    for start in range(0, bottom - top, _STRIP_ROWS):
        strip = slice(start, start + _STRIP_ROWS)
        share = rows.weight[strip, None]
        values = wide[rows.low[strip] - first] * (1 - share) + wide[rows.high[strip] - first] * share
        is_set(values, 0, out=crop[strip])
    return crop
