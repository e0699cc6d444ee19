"""Polygons on a grid, by COCO's own rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

__all__ = ["polygon_rles", "rasterize_united"]

# The rasteriser takes memory by the length of an edge. Points beyond this many pixels come from annotations
# that mean nothing any more once a box of a fraction of a pixel is enlarged to a grid.
_FARTHEST = 100_000.0

# Points of a polygon: (K, 2) x, y or (2K,) x0, y0, x1, ...
Points = Sequence[float] | NDArray[Any]


def polygon_rles(instances: Sequence[Sequence[Points]], *, size: tuple[int, int]) -> list[dict[str, Any]]:
    """Rasterise instances to COCO run lengths; the parts of an instance are united.

    Args:
        instances: per instance its parts, at least three points each; no part gives an empty mask.
        size: (height, width) of the canvas; what lies outside is cut off.

    Returns:
        {"size", "counts"} of each instance, compressed, counts as bytes.
    """
    empty = {"size": list(size), "counts": [size[0] * size[1]]}
    return [
        coco_mask.merge(_rles(parts, size=size)) if len(parts) else coco_mask.frPyObjects(empty, *size)
        for parts in instances
    ]


def rasterize_united(instances: Sequence[Sequence[Points]], *, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Rasterise instances to dense masks: for many instances on a small grid.

    Args:
        instances: per instance its parts, at least one each.
        size: (height, width) of the grid.

    Returns:
        (N, height, width) of 0 and 1.
    """
    if not instances:
        return np.zeros((0, *size), np.uint8)
    masks = coco_mask.decode(_rles([part for parts in instances for part in parts], size=size))
    starts = np.cumsum([0, *(len(parts) for parts in instances[:-1])])
    return np.ascontiguousarray(np.maximum.reduceat(masks, starts, axis=2).transpose(2, 0, 1))


def _rles(parts: Sequence[Points], *, size: tuple[int, int]) -> list[dict[str, Any]]:
    flat = [np.clip(np.asarray(part, np.float64).ravel(), -_FARTHEST, _FARTHEST) for part in parts]
    rles: list[dict[str, Any]] = coco_mask.frPyObjects(flat, *size)
    return rles
