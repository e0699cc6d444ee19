"""Outlines of masks as polygons, exact to the pixel in COCO's rasteriser.

A polygon here runs along pixel edges in continuous coordinates: pixel i covers [i, i + 1). COCO's rasteriser
and LabelMe's canvas use the same frame, so rasterising an unsimplified outline gives the mask back exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from paddlex.structures.masks import MaskCrops

__all__ = ["Polygon", "faithful_polygons", "flatten", "trace_polygons"]

# (n, 2) float64, x and y in pixels.
Polygon = NDArray[np.float64]


def flatten(polygon: Polygon) -> list[float]:
    """(n, 2) points as COCO's flat list [x0, y0, x1, y1, ...]."""
    flat: list[float] = polygon.ravel().tolist()
    return flat


def trace_polygons(
    mask: NDArray[np.bool_], *, tolerance: float = 0.0, y: int = 0, x: int = 0
) -> list[Polygon]:
    """Trace the outer outline of each connected part; holes are not seen.

    Args:
        mask: (H, W) bool.
        tolerance: greatest distance of the simplified outline from the exact one, pixels (Douglas-Peucker);
            a part that would vanish keeps its exact outline.
        y: row of the canvas at which the mask's first row lies.
        x: column likewise.

    Returns:
        One polygon per 8-connected part, each with at least four points.
    """
    # On a grid twice as fine, OpenCV's outline through pixel centres visits the even cell of a pixel at its
    # upper or left edge and the odd cell at its lower or right edge, so (c + 1) // 2 is the edge itself.
    fine = np.repeat(np.repeat(mask.astype(np.uint8), 2, axis=0), 2, axis=1)
    contours, _ = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    polygons: list[Polygon] = []
    for contour in contours:
        edges = (np.asarray(contour).reshape(-1, 2).astype(np.int32) + 1) // 2
        points = exact = _drop_straight(edges)
        if tolerance:
            points = np.asarray(cv2.approxPolyDP(exact.reshape(-1, 1, 2), tolerance, True)).reshape(-1, 2)
        chosen = points if len(points) >= 3 else exact
        polygons.append(chosen.astype(np.float64) + np.array([x, y]))
    return polygons


def faithful_polygons(
    masks: MaskCrops, index: int, *, tolerance: float = 0.0, min_iou: float = 0.98
) -> list[Polygon] | None:
    """Outline one mask by polygons, or None where polygons cannot tell its form (holes).

    Args:
        masks: where the mask is found.
        index: which one.
        tolerance: as in `trace_polygons`; given up for exact outlines when it costs too much IoU.
        min_iou: least IoU of the rasterised polygons with the mask.

    Returns:
        Polygons on the whole canvas; None when even exact outlines stay below `min_iou`.
    """
    y, x = (int(v) for v in masks.offsets[index])
    target = masks[[index]].to_rles()
    for attempt in dict.fromkeys((tolerance, 0.0)):
        polygons = trace_polygons(masks.crops[index], tolerance=attempt, y=y, x=x)
        if polygons and _iou(polygons, target, masks.size) >= min_iou:
            return polygons
    return None


def _iou(polygons: Sequence[Polygon], target: list[dict[str, object]], size: tuple[int, int]) -> float:
    traced = MaskCrops.from_polygons([[flatten(polygon) for polygon in polygons]], size=size).to_rles()
    return float(coco_mask.iou(traced, target, [0])[0, 0])


def _drop_straight(points: NDArray[np.int32]) -> NDArray[np.int32]:
    """Remove repeated points and points within straight runs of a closed outline."""
    points = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    # A spike (there and back) has parallel steps but is a corner of the outline.
    spikes = (before * after).sum(axis=1) < 0
    return np.asarray(points[turns | spikes])
