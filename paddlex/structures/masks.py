"""Instance masks kept as crops of bits: memory follows the objects, not the photo.

A hundred objects on a 12-megapixel photo take 1.2 GB as dense bool masks and a few megabytes as crops; were
each as large as the photo, the crops would take 150 MB. Data sets, transforms, results and files all use this
form; dense arrays are made only when asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from paddlex.structures.affine import warp_image
from paddlex.structures.packed_crops import BoolArray, PackedCrops
from paddlex.structures.polygons import polygon_rles
from paddlex.utils.errors import ShapeError

__all__ = ["MaskCrops"]


@dataclass(frozen=True, eq=False)
class MaskCrops:
    """N binary masks on one canvas, each stored as the rectangle that holds its set pixels.

    Attributes:
        size: (height, width) of the canvas, pixels.
        offsets: (N, 2) int32, (y, x) of each crop's upper left pixel.
        crops: N bool arrays (h_i, w_i); (0, 0) for an empty mask. Any iterable is taken and packed to bits;
            reading one unpacks it.

    Raises:
        ShapeError: if counts differ or a crop leaves the canvas.
    """

    size: tuple[int, int]
    offsets: NDArray[np.int32]
    crops: Sequence[BoolArray]

    def __post_init__(self) -> None:
        packed = self.crops if isinstance(self.crops, PackedCrops) else PackedCrops(self.crops)
        object.__setattr__(self, "crops", packed)
        if self.offsets.shape != (len(packed), 2):
            raise ShapeError(
                f"offsets {self.offsets.shape} for {len(packed)} crops; expected ({len(packed)}, 2)"
            )
        outside = (self.offsets < 0) | (self.offsets + packed.shapes > np.array(self.size))
        for index in np.flatnonzero(outside.any(axis=1))[:1]:
            place, shape = self.offsets[index].tolist(), tuple(packed.shapes[index].tolist())
            raise ShapeError(f"crop {shape} at (y={place[0]}, x={place[1]}) leaves the canvas {self.size}")

    # ---------------------------------------------------------------- making

    @classmethod
    def from_crops(
        cls, crops: Iterable[NDArray[Any]], offsets: Iterable[tuple[int, int]], *, size: tuple[int, int]
    ) -> MaskCrops:
        """Trim each crop to its set pixels; parts that leave the canvas are cut off.

        Crops are taken one at a time, so a generator never holds them all unpacked.
        """
        corners: list[tuple[int, int]] = []

        def trimmed() -> Iterator[BoolArray]:
            for crop, (y, x) in zip(crops, offsets, strict=True):
                part, corner = _trim(np.asarray(crop, dtype=bool), int(y), int(x), size)
                corners.append(corner)
                yield part

        packed = PackedCrops(trimmed())
        return cls(size, np.array(corners, dtype=np.int32).reshape(-1, 2), packed)

    @classmethod
    def empty(cls, size: tuple[int, int]) -> MaskCrops:
        """No masks on a canvas of `size`."""
        return cls(size, np.zeros((0, 2), np.int32), ())

    @classmethod
    def concatenate(cls, parts: Sequence[MaskCrops], *, size: tuple[int, int]) -> MaskCrops:
        """The masks of all `parts` in order, on their common canvas of `size`."""
        offsets = np.concatenate([np.zeros((0, 2), np.int32), *(part.offsets for part in parts)])
        return cls(size, offsets, PackedCrops.concatenate(part._packed for part in parts))

    @classmethod
    def from_dense(cls, masks: NDArray[Any], *, size: tuple[int, int] | None = None) -> MaskCrops:
        """From (N, H, W), anything non-zero counts as set."""
        masks = np.asarray(masks)
        if masks.ndim != 3:
            raise ShapeError(f"masks {masks.shape}; expected (N, height, width)")
        return cls.from_crops(list(masks != 0), [(0, 0)] * len(masks), size=size or masks.shape[1:])

    @classmethod
    def from_rles(cls, rles: Sequence[dict[str, Any]], *, size: tuple[int, int]) -> MaskCrops:
        """From COCO RLE dictionaries, compressed or not, decoded one at a time."""
        crops, offsets = [], []
        for rle in rles:
            height, width = (int(side) for side in rle["size"])
            if (height, width) != size:
                raise ShapeError(f"RLE of size {[height, width]} on a canvas of {list(size)}")
            if isinstance(rle["counts"], (list, tuple)):
                rle = coco_mask.frPyObjects(
                    {"size": [height, width], "counts": list(rle["counts"])}, height, width
                )
            x, y, w, h = (int(v) for v in coco_mask.toBbox(rle))
            crops.append(coco_mask.decode(rle)[y : y + h, x : x + w])
            offsets.append((y, x))
        return cls.from_crops(crops, offsets, size=size)

    @classmethod
    def from_polygons(
        cls, instances: Sequence[Sequence[Sequence[float]]], *, size: tuple[int, int]
    ) -> MaskCrops:
        """From COCO polygons: per instance a list of parts [x0, y0, x1, y1, ...]; parts are united."""
        return cls.from_rles(polygon_rles(instances, size=size), size=size)

    # ---------------------------------------------------------------- reading

    @property
    def _packed(self) -> PackedCrops:
        assert isinstance(self.crops, PackedCrops)  # made so in __post_init__
        return self.crops

    @property
    def nbytes(self) -> int:
        """Memory the masks take."""
        return self._packed.nbytes + self.offsets.nbytes

    def __len__(self) -> int:
        return len(self.crops)

    def __iter__(self) -> Iterator[tuple[int, int, BoolArray]]:
        """Yield (y, x, crop) of each mask."""
        for (y, x), crop in zip(self.offsets.tolist(), self.crops, strict=True):
            yield y, x, crop

    def __getitem__(self, index: slice | Sequence[int] | NDArray[Any]) -> MaskCrops:
        """Select masks by slice, list of indices, or boolean array."""
        index = index if isinstance(index, slice) or len(index) else slice(0)
        chosen = np.atleast_1d(np.arange(len(self))[index])
        return MaskCrops(self.size, self.offsets[chosen], self._packed.select(chosen.tolist()))

    def crop(self, index: int) -> tuple[int, int, BoolArray]:
        """(y, x, crop) of mask `index`."""
        y, x = self.offsets[index].tolist()
        return y, x, self.crops[index]

    def dense(self, index: int) -> BoolArray:
        """Mask `index` as (height, width) bool."""
        canvas = np.zeros(self.size, dtype=bool)
        y, x, crop = self.crop(index)
        canvas[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
        return canvas

    def to_crops(self) -> MaskCrops:
        """The masks themselves: other forms of masks are rasterised by this."""
        return self

    def to_dense(self) -> BoolArray:
        """All masks as (N, height, width) bool; mind the memory."""
        dense = np.zeros((len(self), *self.size), dtype=bool)
        for canvas, (y, x, crop) in zip(dense, self, strict=True):
            canvas[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
        return dense

    def area(self) -> NDArray[np.int64]:
        """(N,) set pixels of each mask."""
        return np.array([int(np.count_nonzero(crop)) for crop in self.crops], dtype=np.int64)

    def boxes(self) -> NDArray[np.float32]:
        """(N, 4) xyxy of each mask's set pixels, upper bounds exclusive; zeros for an empty mask."""
        lower, upper = self.offsets, self.offsets + self._packed.shapes
        return np.concatenate([lower[:, ::-1], upper[:, ::-1]], axis=1).astype(np.float32)

    def to_rles(self) -> list[dict[str, Any]]:
        """COCO compressed RLE of each mask on the whole canvas; `counts` is str, ready for JSON."""
        return [_encode(y, x, crop, self.size) for y, x, crop in self]

    # ---------------------------------------------------------------- moving with the image

    def hflip(self) -> MaskCrops:
        """Mirror left and right."""
        widths = self._packed.shapes[:, 1]
        offsets = self.offsets.copy()
        offsets[:, 1] = np.where(widths > 0, self.size[1] - offsets[:, 1] - widths, 0)
        return MaskCrops(self.size, offsets, PackedCrops(crop[:, ::-1] for crop in self.crops))

    def vflip(self) -> MaskCrops:
        """Mirror top and bottom."""
        heights = self._packed.shapes[:, 0]
        offsets = self.offsets.copy()
        offsets[:, 0] = np.where(heights > 0, self.size[0] - offsets[:, 0] - heights, 0)
        return MaskCrops(self.size, offsets, PackedCrops(crop[::-1] for crop in self.crops))

    def place(self, *, size: tuple[int, int], y: int = 0, x: int = 0) -> MaskCrops:
        """Move all masks by (y, x) onto a canvas of `size`: pads, expands or crops (negative moves)."""
        offsets = [(oy + y, ox + x) for oy, ox, _ in self]
        return MaskCrops.from_crops(self.crops, offsets, size=size)

    def resize(self, size: tuple[int, int]) -> MaskCrops:
        """Resize the canvas to `size`, nearest neighbour.

        Pixel y of the new canvas takes floor(y * old / new), as OpenCV's INTER_NEAREST does, so that the
        result equals resizing the dense masks.
        """
        rows = np.minimum(
            np.floor(np.arange(size[0]) * (self.size[0] / size[0])).astype(int), self.size[0] - 1
        )
        cols = np.minimum(
            np.floor(np.arange(size[1]) * (self.size[1] / size[1])).astype(int), self.size[1] - 1
        )
        crops, offsets = [], []
        for y, x, crop in self:
            top, bottom = np.searchsorted(rows, [y, y + crop.shape[0]])
            left, right = np.searchsorted(cols, [x, x + crop.shape[1]])
            crops.append(crop[np.ix_(rows[top:bottom] - y, cols[left:right] - x)])
            offsets.append((int(top), int(left)))
        return MaskCrops.from_crops(crops, offsets, size=size)

    def warp(self, matrix: NDArray[np.float64], *, size: tuple[int, int]) -> MaskCrops:
        """Map all masks by a (2, 3) matrix onto a canvas of `size`, nearest neighbour."""
        warped = (
            warp_image(self.dense(index).view(np.uint8), matrix, size=size) for index in range(len(self))
        )
        return MaskCrops.from_crops(warped, [(0, 0)] * len(self), size=size)


def _trim(crop: BoolArray, y: int, x: int, size: tuple[int, int]) -> tuple[BoolArray, tuple[int, int]]:
    """Cut a crop to the canvas and to its set pixels."""
    top, left = max(0, -y), max(0, -x)
    crop = crop[
        top : max(top, min(crop.shape[0], size[0] - y)), left : max(left, min(crop.shape[1], size[1] - x))
    ]
    rows, cols = np.flatnonzero(crop.any(axis=1)), np.flatnonzero(crop.any(axis=0))
    if not len(rows):
        return np.zeros((0, 0), dtype=bool), (0, 0)
    part = crop[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    return part, (y + top + int(rows[0]), x + left + int(cols[0]))


def _encode(y: int, x: int, crop: BoolArray, size: tuple[int, int]) -> dict[str, Any]:
    """RLE on the whole canvas through a strip of the crop's columns: no dense canvas is made."""
    height, width = size
    strip = np.zeros((height, crop.shape[1]), dtype=np.uint8, order="F")
    strip[y : y + crop.shape[0]] = crop
    # Column-major runs: columns before and after the strip only lengthen the first and the last run of zeros.
    flat = strip.reshape(-1, order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flat.size and flat[0]:
        edges = np.concatenate(([0], edges))
    if flat.size and flat[-1]:
        edges = np.append(edges, flat.size)
    counts = np.diff(np.concatenate(([0], edges + x * height, [height * width]))).tolist()
    if counts[-1] == 0:
        counts.pop()
    rle = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}
