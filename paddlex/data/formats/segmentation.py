"""The `segmentation` field of COCO: polygons or run lengths, parsed with distrust.

Run lengths are decoded by C code that writes as many pixels as they claim, and the polygon rasteriser
allocates by edge length. Files come from strangers, so claims are checked here, once, before either runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from paddlex.structures.masks import MaskCrops
from paddlex.structures.shapes import InstanceShapes

__all__ = [
    "Polygons",
    "Rle",
    "Segmentation",
    "SegmentationError",
    "parse_segmentation",
    "segmentation_mask",
    "segmentation_shape",
]

# No photo is larger (JPEG ends at 65535); a far-off point would let the rasteriser allocate without bound.
_FARTHEST = 100_000.0
# 6 characters of 5 bits hold every run of a photo; more would overflow.
_MAX_RUN_CHARACTERS = 6


class SegmentationError(ValueError):
    """A segmentation is not what COCO defines.

    Attributes:
        kind: the fault in words that are equal for equal faults, so that they can be counted.
        found: what this one holds.
    """

    def __init__(self, kind: str, found: str) -> None:
        super().__init__(f"{kind} ({found})")
        self.kind, self.found = kind, found


@dataclass(frozen=True, eq=False)
class Polygons:
    """Parts of one instance; their union is the mask.

    Attributes:
        parts: each (2K,) float64 [x0, y0, x1, y1, ...], pixels, K >= 3.
    """

    parts: tuple[NDArray[np.float64], ...]

    def to_json(self) -> list[list[float]]:
        """The COCO form."""
        return [part.tolist() for part in self.parts]


@dataclass(frozen=True)
class Rle:
    """Run lengths over the whole photo, column by column, background first.

    Attributes:
        size: (height, width), pixels.
        counts: COCO's compressed runs, ASCII.
    """

    size: tuple[int, int]
    counts: bytes

    def to_json(self) -> dict[str, Any]:
        """The COCO form."""
        return {"size": list(self.size), "counts": self.counts.decode("ascii")}


Segmentation = Polygons | Rle


def parse_segmentation(value: Any) -> Segmentation | None:  # noqa: ANN401 (any JSON)
    """Parse polygons, uncompressed or compressed run lengths.

    A part with fewer than three points has no area and is left out; a single polygon that is not wrapped in a
    list is accepted.

    Returns:
        None where there is no segmentation (missing, null or an empty list).

    Raises:
        SegmentationError: for anything else that COCO does not define.
    """
    if value is None or value == []:
        return None
    if isinstance(value, dict):
        return _parse_rle(value)
    if not isinstance(value, list):
        raise SegmentationError("segmentation is neither polygons nor RLE", type(value).__name__)
    if not isinstance(value[0], list):
        value = [value]
    parts = [part for part in map(_parse_polygon, value) if len(part) >= 6]
    if not parts:
        raise SegmentationError("polygon with fewer than 3 points", f"{len(value)} parts")
    return Polygons(tuple(parts))


def segmentation_mask(segmentation: Segmentation, *, size: tuple[int, int]) -> MaskCrops:
    """Rasterise one segmentation as pycocotools does.

    Args:
        segmentation: polygons, or run lengths of that `size`.
        size: (height, width) of the photo, pixels.

    Returns:
        One mask.

    Raises:
        ShapeError: if run lengths are of another size.
    """
    if isinstance(segmentation, Rle):
        return MaskCrops.from_rles(
            [{"size": list(segmentation.size), "counts": segmentation.counts}], size=size
        )
    return MaskCrops.from_polygons([segmentation.parts], size=size)  # type: ignore[list-item]


def segmentation_shape(segmentation: Segmentation, *, size: tuple[int, int]) -> InstanceShapes:
    """One segmentation as it was drawn, on a photo of `size` (height, width); else as `segmentation_mask`."""
    if isinstance(segmentation, Rle):
        return InstanceShapes.from_crops(segmentation_mask(segmentation, size=size))
    return InstanceShapes.from_polygons([segmentation.parts], size=size)


# ---------------------------------------------------------------- polygons


def _parse_polygon(value: Any) -> NDArray[np.float64]:  # noqa: ANN401
    if not isinstance(value, list):
        raise SegmentationError("polygon is not a list of numbers", type(value).__name__)
    # numpy would read "1" and True as numbers.
    others = [v for v in value if type(v) is not float and type(v) is not int]
    if others:
        raise SegmentationError("polygon is not a list of numbers", f"it holds {others[0]!r}"[:80])
    if len(value) % 2:
        raise SegmentationError("polygon with an odd count of numbers", f"{len(value)} numbers")
    try:
        part = np.array(value, dtype=np.float64)
    except OverflowError:  # JSON numbers have any length
        part = np.array([np.inf])
    if not np.isfinite(part).all():
        raise SegmentationError("polygon with NaN or infinity", f"{len(value)} numbers")
    if len(part) and np.abs(part).max() > _FARTHEST:
        raise SegmentationError("polygon far outside any photo", f"coordinate {np.abs(part).max():g}")
    return part


# ---------------------------------------------------------------- run lengths


def _parse_rle(value: dict[str, Any]) -> Rle:
    size, counts = value.get("size"), value.get("counts")
    sides_fit = isinstance(size, list) and len(size) == 2
    if not sides_fit or not all(isinstance(side, int) and side > 0 for side in size or ()):
        raise SegmentationError("RLE without a size [height, width]", f"size {size!r}"[:80])
    height, width = size  # type: ignore[misc]
    if isinstance(counts, str):
        runs = _decompress(counts)
    elif isinstance(counts, list):
        runs = _whole_numbers(counts)
    else:
        raise SegmentationError("RLE without counts", f"counts {type(counts).__name__}")
    if (runs < 0).any() or int(runs.sum()) != height * width:
        raise SegmentationError(
            "RLE whose runs do not add up to its size", f"{runs.sum()} of {height * width} pixels"
        )
    if isinstance(counts, list):
        rle = {"size": [height, width], "counts": runs.tolist()}
        return Rle((height, width), coco_mask.frPyObjects(rle, height, width)["counts"])
    return Rle((height, width), counts.encode("ascii"))


def _whole_numbers(counts: Sequence[Any]) -> NDArray[np.int64]:
    if not all(type(run) is int and 0 <= run < 2**31 for run in counts):
        raise SegmentationError("RLE counts that are not whole numbers", f"{len(counts)} runs")
    return np.array(counts, dtype=np.int64)


def _decompress(counts: str) -> NDArray[np.int64]:
    """Run lengths of COCO's text form: 5 bits a character, low first, differences to the run before last."""
    try:
        codes = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        codes = np.array([-1], dtype=np.int64)
    ends = np.flatnonzero((codes & 0x20) == 0)
    lengths = np.diff(ends, prepend=-1)
    complete = len(codes) > 0 and len(ends) > 0 and ends[-1] == len(codes) - 1
    if not complete or codes.min() < 0 or codes.max() > 63 or lengths.max() > _MAX_RUN_CHARACTERS:
        raise SegmentationError("RLE counts that cannot be decoded", f"{len(counts)} characters")
    starts = ends - lengths + 1
    positions = np.arange(len(codes)) - np.repeat(starts, lengths)
    values = np.add.reduceat((codes & 0x1F) << (5 * positions), starts)
    values -= np.where(codes[ends] & 0x10, 1 << (5 * lengths), 0)  # bit 5 of the last character is the sign
    runs: NDArray[np.int64] = values.copy()
    runs[1::2] = np.cumsum(values[1::2])
    runs[2::2] = np.cumsum(values[2::2])
    return runs
