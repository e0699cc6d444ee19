"""Bilinear sampling of maps at points.

Points are (x, y) fractions of the map in [0, 1]. Pixel centres lie at half-integers and everything outside
the map counts as zero, as in `grid_sample` with `align_corners=False`.

Bilinear sampling is linear in the map: at fixed points it is a sparse matrix with four entries per row. On
the CPU that product is an order of magnitude faster than `grid_sample`, and its transpose is the gradient.
"""

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import Tensor
from scipy.sparse import csr_matrix

__all__ = ["BinaryMaskSampler", "bilinear_matrix", "sample_binary_masks", "sample_maps"]

Array = NDArray[np.float32]

# Codes of a 2 x 2 neighbourhood: one bit per pixel, in the order (top, bottom) x (left, right).
_ALL_SET = 15


def sample_maps(maps: Tensor, points: Tensor) -> Tensor:
    """Sample float maps at points; differentiable in the maps.

    Args:
        maps: (N, C, H, W).
        points: (N, K, 2), shared by the C channels.

    Returns:
        (N, C, K).
    """
    grid = (points * 2.0 - 1.0).unsqueeze(2)
    sampled = F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return sampled.squeeze(-1)


def bilinear_matrix(points: Array, *, size: tuple[int, int]) -> csr_matrix:
    """Return the sparse matrix that samples a map, held in a border of zeros, at `points`.

    The border, one pixel wide, stands for everything outside the map, so that no point needs a test of its
    own.

    Args:
        points: (K, 2).
        size: (height, width) of the map without its border.

    Returns:
        (K, (height + 2) * (width + 2)) float32 with four stored entries per row; `matrix @ flat_map` are the
        samples.
    """
    height, width = size
    column, x = _lower_neighbour(points[:, 0], width)
    row, y = _lower_neighbour(points[:, 1], height)
    stride, count = width + 2, len(points)
    indices, weights = np.empty((count, 4), np.int32), np.empty((count, 4), np.float32)
    row *= np.int32(stride)
    row += column
    for corner, offset in enumerate((0, 1, stride, stride + 1)):
        np.add(row, np.int32(offset), out=indices[:, corner])
    both, above = x * y, 1 - y
    weights[:, 3] = both
    np.subtract(y, both, out=weights[:, 2])
    x -= both  # what is left of x belongs to the upper right
    weights[:, 1] = x
    np.subtract(above, x, out=weights[:, 0])
    starts = np.arange(0, 4 * count + 1, 4, dtype=np.int32)
    shape = (count, (height + 2) * stride)
    return csr_matrix((weights.ravel(), indices.ravel(), starts), shape=shape)


def _lower_neighbour(fractions: Array, length: int) -> tuple[NDArray[np.int32], Array]:
    """Return the pixel before each point along one axis, its border counted, and the upper one's weight."""
    position = fractions * np.float32(length) + np.float32(0.5)
    lower = position.astype(np.int32)
    position -= lower
    return lower, position


def sample_binary_masks(masks: Tensor, *, index: Tensor, points: Tensor) -> Tensor:
    """Sample 0/1 masks at points without making a float copy of them.

    Args:
        masks: (T, H, W) uint8 with values 0 and 1.
        index: (N,) int64, the mask of each row of points.
        points: (N, K, 2).

    Returns:
        (N, K) float32 in [0, 1], without gradient.
    """
    height, width = masks.shape[-2:]
    flat = masks.reshape([-1])
    position = points * paddle.to_tensor([width, height], dtype="float32") - 0.5
    corner = paddle.floor(position)
    fraction = position - corner
    x, y = corner[..., 0].astype("int64"), corner[..., 1].astype("int64")
    total = paddle.zeros(points.shape[:2])
    for step_y in (0, 1):
        for step_x in (0, 1):
            column, row = x + step_x, y + step_y
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            offset = row.clip(0, height - 1) * width + column.clip(0, width - 1)
            value = paddle.gather(flat, (offset + index.unsqueeze(1) * (height * width)).reshape([-1]))
            weight_x = fraction[..., 0] if step_x else 1.0 - fraction[..., 0]
            weight_y = fraction[..., 1] if step_y else 1.0 - fraction[..., 1]
            total += (
                value.reshape(offset.shape).astype("float32") * inside.astype("float32") * weight_x * weight_y
            )
    return total.detach()


class BinaryMaskSampler:
    """Samples 0/1 masks at points on the CPU, one byte read per point.

    Each 2 x 2 neighbourhood is packed into one byte beforehand. Nearly all points fall where the four pixels
    agree, and there the sample is that value; only points on an outline are interpolated.

    Args:
        masks: (T, H, W) uint8 with values 0 and 1.
    """

    def __init__(self, masks: NDArray[np.uint8]) -> None:
        self.height, self.width = masks.shape[1:]
        padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
        codes = (
            padded[:, :-1, :-1] | padded[:, :-1, 1:] << 1 | padded[:, 1:, :-1] << 2 | padded[:, 1:, 1:] << 3
        )
        self._codes = codes.reshape(len(masks), -1)

    def sample(self, index: NDArray[np.int64], points: Array) -> Array:
        """Return the (U, K) float32 samples of the masks `index` (U,) at `points` (K, 2)."""
        x = points[:, 0] * np.float32(self.width) + np.float32(0.5)
        y = points[:, 1] * np.float32(self.height) + np.float32(0.5)
        column, row = x.astype(np.int32), y.astype(np.int32)
        offsets = row * np.int32(self.width + 1) + column
        samples = np.empty((len(index), len(points)), np.float32)
        for target, mask in zip(samples, index, strict=True):
            codes = self._codes[mask].take(offsets)
            np.equal(codes, _ALL_SET, out=target, casting="unsafe")
            # Codes 1 ... 14; 0 wraps around to 255.
            outline = np.flatnonzero(codes - np.uint8(1) < _ALL_SET - 1)
            target[outline] = _interpolate(
                codes[outline], x[outline] - column[outline], y[outline] - row[outline]
            )
        return samples


def _interpolate(codes: NDArray[np.uint8], x: Array, y: Array) -> Array:
    """Return the bilinear value of packed neighbourhoods at the fractions (x, y) of a pixel."""
    left = (codes & 1) * (1 - y) + (codes >> 2 & 1) * y
    right = (codes >> 1 & 1) * (1 - y) + (codes >> 3 & 1) * y
    return (left * (1 - x) + right * x).astype(np.float32)
