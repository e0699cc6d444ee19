"""Instance masks as they were drawn: polygons, and bitmaps where run lengths were given.

Networks that learn masks on a small grid inside a box (Mask R-CNN) need no mask of the whole photo. A polygon
of a few numbers is moved with the photo without loss and rasterised where it is needed, at the resolution
that is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from paddlex.structures.affine import map_points
from paddlex.structures.masks import MaskCrops
from paddlex.structures.packed_crops import BoolArray
from paddlex.structures.polygons import polygon_rles, rasterize_united
from paddlex.utils.errors import ShapeError

__all__ = ["InstanceShapes", "Masks"]

# Boxes thinner than this many pixels are enlarged to a grid as if they were not (ppdet's limit).
_MIN_SIDE = 0.1

Part = NDArray[np.float64]
Parts = tuple[Part, ...]


@dataclass(frozen=True, eq=False)
class InstanceShapes:
    """N instances on one canvas, each a union of polygons or a bitmap.

    What leaves the canvas stays in the polygons and is cut off only when they are rasterised.

    Attributes:
        size: (height, width) of the canvas, pixels.
        polygons: per instance its polygon parts, (K, 2) float64 x, y in pixels, K >= 3; none for a bitmap.
        bitmaps: one mask an instance, empty where the instance has polygons.

    Raises:
        ShapeError: if counts or canvases differ, or a part has another shape.
    """

    size: tuple[int, int]
    polygons: tuple[Parts, ...]
    bitmaps: MaskCrops

    def __post_init__(self) -> None:
        if len(self.polygons) != len(self.bitmaps) or self.bitmaps.size != self.size:
            raise ShapeError(
                f"{len(self.polygons)} lists of polygons on a canvas {self.size} for {len(self.bitmaps)} "
                f"bitmaps on one of {self.bitmaps.size}"
            )
        for part in (part for parts in self.polygons for part in parts):
            if part.ndim != 2 or part.shape[1] != 2 or len(part) < 3:
                raise ShapeError(f"polygon {part.shape}; expected (points, 2) with at least 3 points")

    # ---------------------------------------------------------------- making

    @classmethod
    def from_polygons(
        cls, instances: Sequence[Sequence[Sequence[float] | NDArray[Any]]], *, size: tuple[int, int]
    ) -> InstanceShapes:
        """From COCO polygons: per instance its parts, each [x0, y0, x1, y1, ...]; no part is no pixel."""
        polygons = tuple(
            tuple(np.asarray(part, np.float64).reshape(-1, 2) for part in parts) for parts in instances
        )
        return cls(size, polygons, _no_bitmaps(len(polygons), size))

    @classmethod
    def from_crops(cls, crops: MaskCrops) -> InstanceShapes:
        """From bitmaps."""
        return cls(crops.size, ((),) * len(crops), crops)

    @classmethod
    def concatenate(cls, parts: Sequence[InstanceShapes], *, size: tuple[int, int]) -> InstanceShapes:
        """The instances of all `parts` in order, on their common canvas of `size`."""
        polygons = tuple(instance for part in parts for instance in part.polygons)
        return cls(size, polygons, MaskCrops.concatenate([part.bitmaps for part in parts], size=size))

    # ---------------------------------------------------------------- reading

    def __len__(self) -> int:
        return len(self.polygons)

    def __getitem__(self, index: slice | Sequence[int] | NDArray[Any]) -> InstanceShapes:
        """Select instances by slice, list of indices, or boolean array."""
        index = index if isinstance(index, slice) or len(index) else slice(0)
        chosen = np.atleast_1d(np.arange(len(self))[index]).tolist()
        return InstanceShapes(self.size, tuple(self.polygons[i] for i in chosen), self.bitmaps[chosen])

    def __repr__(self) -> str:
        drawn = sum(bool(parts) for parts in self.polygons)
        height, width = self.size
        return f"{drawn} polygon and {len(self) - drawn} bitmap instances on {height} x {width} pixels"

    def area(self) -> NDArray[np.int64]:
        """(N,) set pixels of each instance, rasterised."""
        return np.asarray(coco_mask.area(self._rles()), dtype=np.int64).reshape(-1)

    def boxes(self) -> NDArray[np.float32]:
        """(N, 4) xyxy of each instance's set pixels, upper bounds exclusive; zeros for an empty mask."""
        boxes = np.asarray(coco_mask.toBbox(self._rles()), dtype=np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return boxes

    def to_crops(self) -> MaskCrops:
        """Rasterise on the canvas as pycocotools does."""
        return MaskCrops.from_rles(self._rles(), size=self.size)

    def to_dense(self) -> BoolArray:
        """All masks as (N, height, width) bool; mind the memory."""
        return self.to_crops().to_dense()

    def to_rles(self) -> list[dict[str, Any]]:
        """COCO compressed RLE of each mask on the whole canvas; `counts` is str, ready for JSON."""
        return [{**rle, "counts": rle["counts"].decode("ascii")} for rle in self._rles()]

    def roi_targets(
        self, indices: Sequence[int] | NDArray[Any], boxes: NDArray[Any], *, resolution: int
    ) -> NDArray[np.uint8]:
        """What a mask head shall predict inside boxes (Mask R-CNN, arXiv:1703.06870).

        Polygons are moved and scaled so that the box covers the grid, and rasterised there by COCO's rule. Of
        a bitmap each cell takes the pixel at its centre.

        Args:
            indices: (R,) the instance of each box.
            boxes: (R, 4) xyxy, pixels of the canvas.
            resolution: M, cells along each side of the grid.

        Returns:
            (R, M, M) of 0 and 1.
        """
        rows = np.asarray(indices, dtype=np.int64).reshape(-1).tolist()
        corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        if len(rows) != len(corners):
            raise ShapeError(f"{len(rows)} indices for {len(corners)} boxes")
        scales = resolution / np.maximum(corners[:, 2:] - corners[:, :2], _MIN_SIDE)
        targets = np.zeros((len(rows), resolution, resolution), np.uint8)
        drawn = [place for place, row in enumerate(rows) if self.polygons[row]]
        targets[drawn] = rasterize_united(
            [
                [(part - corners[place, :2]) * scales[place] for part in self.polygons[rows[place]]]
                for place in drawn
            ],
            size=(resolution, resolution),
        )
        bitmap = cache(self.bitmaps.crop)  # many boxes share an instance; each look unpacks it
        for place in sorted(set(range(len(rows))) - set(drawn)):
            _sample(*bitmap(rows[place]), corner=corners[place, :2], scale=scales[place], out=targets[place])
        return targets

    def _rles(self) -> list[dict[str, Any]]:
        """COCO run lengths of each instance, counts as bytes."""
        rles = polygon_rles(self.polygons, size=self.size)
        bitmaps = [index for index, parts in enumerate(self.polygons) if not parts]
        for index, rle in zip(bitmaps, self.bitmaps[bitmaps].to_rles(), strict=True):
            rles[index] = {**rle, "counts": rle["counts"].encode("ascii")}
        return rles

    # ---------------------------------------------------------------- moving with the image

    def hflip(self) -> InstanceShapes:
        """Mirror left and right: x becomes width - x."""
        return self._moved(lambda part: _mirrored(part, axis=0, length=self.size[1]), self.bitmaps.hflip())

    def vflip(self) -> InstanceShapes:
        """Mirror top and bottom: y becomes height - y."""
        return self._moved(lambda part: _mirrored(part, axis=1, length=self.size[0]), self.bitmaps.vflip())

    def place(self, *, size: tuple[int, int], y: int = 0, x: int = 0) -> InstanceShapes:
        """Move all by (y, x) onto a canvas of `size`: pads, expands or crops (negative moves)."""
        offset = np.array([x, y], dtype=np.float64)
        return self._moved(lambda part: part + offset, self.bitmaps.place(size=size, y=y, x=x))

    def resize(self, size: tuple[int, int]) -> InstanceShapes:
        """Resize the canvas to `size`: polygons exactly, bitmaps by nearest neighbour."""
        factors = np.array([size[1] / self.size[1], size[0] / self.size[0]])
        return self._moved(lambda part: part * factors, self.bitmaps.resize(size))

    def warp(self, matrix: NDArray[np.float64], *, size: tuple[int, int]) -> InstanceShapes:
        """Map all by a (2, 3) matrix onto a canvas of `size`: polygons exactly, bitmaps by nearest."""
        return self._moved(lambda part: map_points(part, matrix), self.bitmaps.warp(matrix, size=size))

    def _moved(self, move: Callable[[Part], Part], bitmaps: MaskCrops) -> InstanceShapes:
        polygons = tuple(tuple(move(part) for part in parts) for parts in self.polygons)
        return InstanceShapes(bitmaps.size, polygons, bitmaps)


# Either form of a photo's masks; both move alike with the photo.
Masks = MaskCrops | InstanceShapes


def _no_bitmaps(count: int, size: tuple[int, int]) -> MaskCrops:
    return MaskCrops(size, np.zeros((count, 2), np.int32), [np.zeros((0, 0), dtype=bool)] * count)


def _mirrored(part: Part, *, axis: int, length: int) -> Part:
    part = part.copy()
    part[:, axis] = length - part[:, axis]
    return part


def _sample(
    top: int,
    left: int,
    crop: BoolArray,
    *,
    corner: NDArray[np.float64],
    scale: NDArray[np.float64],
    out: NDArray[np.uint8],
) -> None:
    """Write to each cell of the (M, M) grid `out` the pixel of `crop` at (top, left) under its centre."""
    centres = (np.arange(len(out)) + 0.5)[:, None] / scale + corner
    cols, rows = (np.floor(centres).astype(np.int64) - (left, top)).T
    inside = [(rows >= 0) & (rows < crop.shape[0]), (cols >= 0) & (cols < crop.shape[1])]
    out[np.ix_(*inside)] = crop[np.ix_(rows[inside[0]], cols[inside[1]])]
