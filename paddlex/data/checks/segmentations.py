"""The outline of one annotation: is there one, can it be drawn, does it lie on the photo?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from paddlex.data.checks.problems import Severity

if TYPE_CHECKING:
    from paddlex.data.formats.segmentation import Polygons, Rle, Segmentation

__all__ = ["SegmentationFault", "segmentation_faults"]

Box = tuple[float, float, float, float]

# Points on the right and lower edge have the coordinate `width` or `height`; tools round by up to a pixel.
_EDGE_TOLERANCE = 1.0
# Only polygons smaller than this can cover no pixel, and only those are drawn to find out.
_SURELY_VISIBLE_AREA = 4.0
# A box agrees with its outline if no edge is off by more pixels, or if their IoU reaches this.
_BOX_TOLERANCE = 2.0
_BOX_IOU = 0.8


@dataclass(frozen=True, kw_only=True)
class SegmentationFault:
    """What is wrong with an outline; becomes a `Problem` where file and annotation are known."""

    kind: str
    severity: Severity
    found: str
    expected: str = ""
    remedy: str


def segmentation_faults(annotation: dict[str, Any], size: tuple[int, int]) -> list[SegmentationFault]:
    """All faults of an annotation's segmentation, or, beside a sound one, of its bbox and area.

    Args:
        annotation: a COCO annotation.
        size: (height, width) of its photo, pixels.
    """
    from paddlex.data.formats.segmentation import Polygons, SegmentationError, parse_segmentation

    raw = annotation.get("segmentation")
    if raw is None or raw in ({}, "") or (isinstance(raw, list) and not any(raw)):
        return [_no_outline(annotation)]
    try:
        segmentation = parse_segmentation(raw)
    except SegmentationError as error:
        return [_unusable(error.kind, error.found)]
    assert segmentation is not None, "the empty forms were handled above"
    if isinstance(segmentation, Polygons):
        faults = _polygon_faults(segmentation, size)
    else:
        faults = _rle_faults(segmentation, size)
    return faults or [*_box_faults(annotation.get("bbox"), segmentation, size), *_area_faults(annotation)]


def _no_outline(annotation: dict[str, Any]) -> SegmentationFault:
    return SegmentationFault(
        kind="outline-missing",
        severity="error",
        found="a bbox but no outline" if annotation.get("bbox") else "neither outline nor bbox",
        remedy="draw its outline, or remove it: without one the object would be learnt as background",
    )


def _unusable(kind: str, found: str) -> SegmentationFault:
    if kind == "polygon with fewer than 3 points":
        return SegmentationFault(
            kind="polygon-few-points",
            severity="warning",
            found=kind,
            remedy="remove it; the annotation is left out in training",
        )
    return SegmentationFault(
        kind="outline-unusable",
        severity="error",
        found=f"{kind} ({found})",
        expected="polygons [[x, y, x, y, ...]] or an RLE of the whole photo",
        remedy="draw the outline again or export it again",
    )


# ---------------------------------------------------------------- on the photo


def _polygon_faults(polygons: Polygons, size: tuple[int, int]) -> list[SegmentationFault]:
    height, width = size
    visible = False
    outside: list[str] = []
    leaving: list[str] = []
    for part in polygons.parts:
        points = part.reshape(-1, 2)
        (x1, y1), (x2, y2) = points.min(axis=0), points.max(axis=0)
        extent = f"x {x1:g} to {x2:g}, y {y1:g} to {y2:g}"
        beyond = max(-x1, -y1, x2 - width, y2 - height)
        if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
            outside.append(extent)
        elif beyond > _EDGE_TOLERANCE or abs(_signed_area(points)) < _SURELY_VISIBLE_AREA:
            visible |= _drawn_area(part, size) > 0
            if beyond > _EDGE_TOLERANCE:
                leaving.append(extent)
        else:
            visible = True
    if visible:
        return [_beyond_edge(extent, size, wholly=False) for extent in (outside + leaving)[:1]]
    return [_beyond_edge(outside[0], size, wholly=True) if outside else _no_area("the outline")]


def _beyond_edge(extent: str, size: tuple[int, int], *, wholly: bool) -> SegmentationFault:
    return SegmentationFault(
        kind="polygon-outside" if wholly else "polygon-partly-outside",
        severity="error" if wholly else "warning",
        found=f"the outline {'lies outside' if wholly else 'leaves'} the photo ({extent})",
        expected=f"x within 0 to {size[1]}, y within 0 to {size[0]}",
        remedy="remove it, or draw it on the photo; perhaps it belongs to another photo or size"
        if wholly
        else "it is cut at the edge in training",
    )


def _rle_faults(rle: Rle, size: tuple[int, int]) -> list[SegmentationFault]:
    if rle.size != size:
        return [
            SegmentationFault(
                kind="rle-size",
                severity="error",
                found=f"an RLE of size {list(rle.size)}",
                expected=f"the photo's [height, width] {list(size)}",
                remedy="encode the mask on the whole photo, column by column",
            )
        ]
    return [] if _extent(rle) else [_no_area("the RLE")]


def _no_area(what: str) -> SegmentationFault:
    return SegmentationFault(
        kind="outline-without-area",
        severity="warning",
        found=f"{what} covers no pixel",
        remedy="remove it; the annotation is left out in training",
    )


def _signed_area(points: NDArray[np.float64]) -> float:
    """Shoelace formula; (N, 2) points."""
    x, y = points[:, 0], points[:, 1]
    return 0.5 * float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def _drawn_area(part: NDArray[np.float64], size: tuple[int, int]) -> int:
    from pycocotools import mask as coco_mask

    return int(coco_mask.area(coco_mask.frPyObjects([part.tolist()], *size))[0])


# ---------------------------------------------------------------- bbox and area


def _extent(segmentation: Segmentation) -> Box | None:
    """(x1, y1, x2, y2) as drawn, not cut at the photo; None if nothing is drawn."""
    from paddlex.data.formats.segmentation import Polygons

    if isinstance(segmentation, Polygons):
        points = np.concatenate(segmentation.parts).reshape(-1, 2)
        return (*map(float, points.min(axis=0)), *map(float, points.max(axis=0)))  # type: ignore[return-value]
    from pycocotools import mask as coco_mask

    x, y, w, h = map(
        float, coco_mask.toBbox({"size": list(segmentation.size), "counts": segmentation.counts})
    )
    return (x, y, x + w, y + h) if w and h else None


def _box_faults(bbox: object, segmentation: Segmentation, size: tuple[int, int]) -> list[SegmentationFault]:
    drawn = _extent(segmentation)
    if bbox is None or drawn is None:
        return []
    if not (isinstance(bbox, list) and len(bbox) == 4 and all(map(_is_finite, bbox)) and min(bbox[2:]) > 0):
        return [
            SegmentationFault(
                kind="bbox-invalid",
                severity="warning",
                found=f"bbox {bbox}"[:120],
                expected="[x, y, width, height] of positive size",
                remedy="the box is computed from the outline; remove it for other tools' sake",
            )
        ]
    given: Box = (bbox[0], bbox[1], bbox[0] + bbox[2], bbox[1] + bbox[3])
    cut: Box = (max(drawn[0], 0.0), max(drawn[1], 0.0), min(drawn[2], size[1]), min(drawn[3], size[0]))
    if _agree(given, drawn) or _agree(given, cut):
        return []
    return [
        SegmentationFault(
            kind="bbox-differs",
            severity="warning",
            found=f"bbox {_rounded(bbox)} does not fit its outline",
            expected=f"about {_rounded((cut[0], cut[1], cut[2] - cut[0], cut[3] - cut[1]))}",
            remedy="training takes it as it is: correct it, or remove it to have it computed",
        )
    ]


def _rounded(numbers: list[float] | Box) -> list[float]:
    return [round(float(number), 1) for number in numbers]


def _agree(a: Box, b: Box) -> bool:
    if max(abs(i - j) for i, j in zip(a, b, strict=True)) <= _BOX_TOLERANCE:
        return True
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common >= _BOX_IOU * union


def _area_faults(annotation: dict[str, Any]) -> list[SegmentationFault]:
    area = annotation.get("area")
    if area is None or (_is_finite(area) and area > 0):
        return []
    return [
        SegmentationFault(
            kind="area-invalid",
            severity="warning",
            found=f"area {area!r}",
            expected="a positive number",
            remedy="the area is computed from the outline; remove it for other tools' sake",
        )
    ]


def _is_finite(number: object) -> bool:
    return isinstance(number, (int, float)) and not isinstance(number, bool) and math.isfinite(number)
