"""Anchors of the region proposal network (arXiv:1506.01497)."""

from collections.abc import Sequence

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor

from paddlex.utils.errors import ShapeError

__all__ = ["AnchorGrid"]


class AnchorGrid:
    """The same anchors around every cell of a level, from the cell's corner at (column, row) * stride.

    Args:
        sizes: per level the square roots of the anchors' areas, in pixels.
        ratios: heights over widths; every size occurs with each.
        strides: per level the pixels between cells.

    Attributes:
        cell_anchors: per level (A, 4) float32 xyxy around (0, 0): for each size, for each ratio.
        strides: as given.
        num_anchors: A.

    Raises:
        ShapeError: if levels differ in number, or in their number of sizes.
    """

    def __init__(
        self, sizes: Sequence[Sequence[float]], *, ratios: Sequence[float], strides: Sequence[int]
    ) -> None:
        if len(sizes) != len(strides):
            raise ShapeError(
                f"anchor sizes {sizes}: {len(sizes)} lists for the {len(strides)} strides {tuple(strides)}; "
                f"give one list of sizes per stride"
            )
        if len({len(level) for level in sizes}) != 1:
            raise ShapeError(
                f"anchor sizes {sizes}: lists of different length; one head predicts for all levels, "
                f"so give each level as many sizes"
            )
        self.cell_anchors = [_cell_anchors(level, ratios) for level in sizes]
        self.strides = tuple(strides)
        self.num_anchors = len(self.cell_anchors[0])

    def grid(self, level: int, height: int | Tensor, width: int | Tensor) -> Tensor:
        """Return the (height * width * A, 4) anchors of a feature map: rows, cells, anchors; not clipped."""
        stride = self.strides[level]
        xs = (paddle.arange(width, dtype="float32") * stride).reshape([1, -1, 1, 1])
        ys = (paddle.arange(height, dtype="float32") * stride).reshape([-1, 1, 1, 1])
        corners = xs * paddle.to_tensor([1.0, 0.0, 1.0, 0.0]) + ys * paddle.to_tensor([0.0, 1.0, 0.0, 1.0])
        return (corners + paddle.to_tensor(self.cell_anchors[level])).reshape([-1, 4])


def _cell_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> NDArray[np.float32]:
    widths = np.array([size / ratio**0.5 for size in sizes for ratio in ratios])
    heights = widths * np.array([*ratios] * len(sizes))
    return (np.stack([-widths, -heights, widths, heights], axis=1) / 2).astype(np.float32)
