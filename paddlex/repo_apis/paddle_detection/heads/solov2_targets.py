"""What SOLOv2 (arXiv:2003.10152) shall predict: the objects that claim each cell of its grids.

The levels whose scale range holds an object's size learn it, by the few cells around its centre of mass.
Masks stay one small bitmap per object, however many cells claim it, and are never made at the size of the
network input.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paddlex.structures.masks import MaskCrops
from paddlex.structures.shapes import Masks

__all__ = ["SCALE_RANGES", "CellTargets", "assign_cells", "reduce_masks"]

# Published scale ranges: the square root of a box's area, pixels of the network input, both ends included.
SCALE_RANGES = ((1.0, 96.0), (48.0, 192.0), (96.0, 384.0), (192.0, 768.0), (384.0, 2048.0))
# Masks are learnt at this fraction of the network input.
_REDUCTION = 4


@dataclass(frozen=True, eq=False)
class CellTargets:
    """Targets of one photo; cells are numbered through all grids, row by row, the finest grid first.

    Attributes:
        categories: (S,) int64, class + 1 of the object that claimed the cell last, 0 for background.
        cells: (E,) int64, each claim of a cell by an object, in the order of the grids, then of the objects.
        objects: (E,) int64, the object of each claim as row of `masks`.
        masks: (n, H / 4, W / 4) uint8 of 0 and 1, of the objects that claim a cell.
    """

    categories: NDArray[np.int64]
    cells: NDArray[np.int64]
    objects: NDArray[np.int64]
    masks: NDArray[np.uint8]


def assign_cells(
    boxes: NDArray[np.float32],
    class_ids: NDArray[np.int64],
    masks: Masks,
    *,
    grid_sizes: Sequence[int],
    scale_ranges: Sequence[tuple[float, float]] = SCALE_RANGES,
    centre_share: float = 0.2,
) -> CellTargets:
    """Let the objects of one photo claim cells.

    Args:
        boxes: (n, 4) xyxy, pixels of the network input.
        class_ids: (n,).
        masks: n masks on the canvas of the network input, whose sides 4 divides. An empty one claims nothing.
        grid_sizes: cells along each side of a level's grid.
        scale_ranges: sizes of the objects that a level learns, one pair a level.
        centre_share: part of a box, around the centre of mass, whose cells are claimed; never more than the
            centre's cell and its neighbours.
    """
    crops = masks if isinstance(masks, MaskCrops) else masks.to_crops()
    sides = boxes[:, 2:] - boxes[:, :2]
    scales, reaches = np.sqrt(sides.prod(axis=1)), 0.5 * sides * np.float32(centre_share)
    centres = _mass_centres(crops)
    categories = [np.zeros((grid, grid), np.int64) for grid in grid_sizes]
    claims: list[tuple[int, int]] = []
    start = 0
    for grid, (lowest, highest), category in zip(grid_sizes, scale_ranges, categories, strict=True):
        for row in np.flatnonzero((scales >= lowest) & (scales <= highest)).tolist():
            if centres[row] is None:
                continue
            down, across = (
                _claimed(centre, float(reach), grid=grid, length=length)
                for centre, reach, length in zip(centres[row], reaches[row, ::-1], crops.size, strict=True)
            )
            category[down.start : down.stop, across.start : across.stop] = class_ids[row] + 1
            claims += [(start + y * grid + x, row) for y in down for x in across]
        start += grid * grid
    cells, rows = np.array(claims, np.int64).reshape(-1, 2).T
    chosen, objects = np.unique(rows, return_inverse=True)
    return CellTargets(
        categories=np.concatenate([category.ravel() for category in categories]),
        cells=cells,
        objects=objects.astype(np.int64),
        masks=reduce_masks(crops[chosen]),
    )


def _mass_centres(crops: MaskCrops) -> list[tuple[float, float] | None]:
    """Return the mean (row, column) of each mask's pixels, None for an empty one."""
    centres: list[tuple[float, float] | None] = []
    for y, x, crop in crops:
        rows, cols = crop.sum(axis=1), crop.sum(axis=0)
        area = int(rows.sum())
        down, across = int(rows @ np.arange(y, y + len(rows))), int(cols @ np.arange(x, x + len(cols)))
        centres.append((down / area, across / area) if area else None)
    return centres


def _claimed(centre: float, reach: float, *, grid: int, length: int) -> range:
    """Return the cells along one axis within `reach` of a centre: its own and its neighbours at most.

    Args:
        centre: pixel coordinate.
        reach: pixels.
        grid: cells along the axis.
        length: pixels along the axis.
    """

    def cell(position: float) -> int:
        # Not floor(position * grid / length): the published quotient of quotients decides at the edges.
        return int((position / length) // (1.0 / grid))

    own = cell(centre)
    first = max(0, cell(centre - reach), own - 1)
    last = min(grid - 1, cell(centre + reach), own + 1)
    return range(first, last + 1)


def reduce_masks(crops: MaskCrops) -> NDArray[np.uint8]:
    """Reduce masks to a quarter, as OpenCV's linear interpolation of bytes does.

    A cell of 4 x 4 pixels is set where at least two of its four middle ones are: their mean, rounded up.

    Args:
        crops: n masks on a canvas (H, W).

    Returns:
        (n, H // 4, W // 4) of 0 and 1.
    """
    height, width = (side // _REDUCTION for side in crops.size)
    reduced = np.zeros((len(crops), height, width), np.uint8)
    for target, (y, x, crop) in zip(reduced, crops, strict=True):
        top, left = y // _REDUCTION, x // _REDUCTION
        bottom, right = (-(-end // _REDUCTION) for end in (y + crop.shape[0], x + crop.shape[1]))
        block = np.zeros(((bottom - top) * _REDUCTION, (right - left) * _REDUCTION), np.uint8)
        rows, cols = y - top * _REDUCTION, x - left * _REDUCTION
        block[rows : rows + crop.shape[0], cols : cols + crop.shape[1]] = crop
        middle = block[1::4, 1::4] + block[1::4, 2::4] + block[2::4, 1::4] + block[2::4, 2::4]
        target[top:bottom, left:right] = (middle >= 2)[: height - top, : width - left]
    return reduced
