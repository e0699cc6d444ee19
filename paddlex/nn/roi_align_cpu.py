"""RoIAlign (arXiv:1703.06870) for training on the CPU, where Paddle's operator runs in one thread.

Each cell of a box is a weighted sum of pixels: pooling is the product of a sparse matrix with the map, and
its transpose is the gradient. The weights of a cell are those of its rows times those of its columns. Threads
share the channels, so that no two of them write to the same place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray
from paddle import Tensor
from paddle.autograd import PyLayer, PyLayerContext
from paddle.utils.dlpack import from_dlpack
from scipy.sparse import csr_matrix

from paddlex.nn.host_threads import share_among_threads

__all__ = ["roi_align_cpu"]

Array = NDArray[np.float32]

_BOXES_AT_ONCE = 32
_CHANNELS_AT_ONCE = 64


def roi_align_cpu(
    feature: Tensor,
    boxes: Tensor,
    counts: Tensor,
    resolution: int,
    *,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Compute what `paddle.vision.ops.roi_align` does, for float32 maps in the host's memory.

    Args:
        feature: (B, C, h, w).
        boxes: (R, 4) xyxy, photo by photo; no gradient flows to them.
        counts: (B,) their number in each photo.
        resolution: side of the square that a box becomes, in cells.
        spatial_scale: pixels of the map per unit of the boxes.
        sampling_ratio: samples of a cell in each direction; 0 for as many as it has pixels, rounded up.
        aligned: shift the samples by half a pixel, and let boxes be smaller than a pixel.

    Returns:
        (R, C, resolution, resolution), differentiable in `feature`.
    """
    axis = _Axis(resolution=resolution, sampling_ratio=sampling_ratio, aligned=aligned)
    scaled = boxes.numpy() * np.float32(spatial_scale)
    ends = np.cumsum(counts.numpy())
    matrices = [
        _pooling_matrix(part, size=(feature.shape[2], feature.shape[3]), axis=axis)
        for part in np.split(scaled, ends[:-1])
    ]
    return _Pool.apply(feature, matrices, resolution)


@dataclass(frozen=True, kw_only=True)
class _Axis:
    """How a box's extent along one axis becomes cells; the fields are those of `roi_align_cpu`."""

    resolution: int
    sampling_ratio: int
    aligned: bool

    def weights(self, low: Array, high: Array, *, length: int) -> tuple[NDArray[np.int64], Array]:
        """Return the pixels that each cell averages.

        Args:
            low: (n,) where the boxes start, in pixels of the map.
            high: (n,) where they end.
            length: of the map.

        Returns:
            Their indices (n, cells, k), clipped to the map, and their weights (n, cells, k), zero where a
            cell has fewer than k.
        """
        start = low - np.float32(0.5) if self.aligned else low
        extent = high - low if self.aligned else np.maximum(high - low, np.float32(1))
        cells = np.arange(self.resolution)
        if self.sampling_ratio:
            grid = np.full(len(low), self.sampling_ratio)
        else:
            grid = np.ceil(extent / np.float32(self.resolution)).astype(np.int64)
        sample = np.arange(max(1, grid.max(initial=1)))
        cell = (extent / np.float32(self.resolution))[:, None, None]
        inside_cell = (sample + np.float32(0.5)) / np.maximum(grid, 1).astype(np.float32)[:, None]
        position = start[:, None, None] + (cells[:, None] + inside_cell[:, None, :]) * cell
        counted = (sample < grid[:, None])[:, None, :] & (position >= -1) & (position <= length)
        share = counted / np.maximum(grid, 1).astype(np.float32)[:, None, None]
        return _merge(position.clip(0, length - 1).astype(np.float32), share.astype(np.float32), length)


def _merge(position: Array, share: Array, length: int) -> tuple[NDArray[np.int64], Array]:
    """Turn samples (n, cells, g) with their shares of the mean into pixels and weights (n, cells, k)."""
    lower = position.astype(np.int64)
    upper_weight = (position - lower) * share
    first = lower[..., :1]
    width = int((lower[..., -1:] - first).max(initial=0)) + 2
    weights = np.zeros((*lower.shape[:2], width), np.float32)
    for sample in range(lower.shape[2]):
        offset = lower[..., sample : sample + 1] - first
        of_upper = upper_weight[..., sample : sample + 1]
        of_lower = share[..., sample : sample + 1] - of_upper
        for place, weight in ((offset, of_lower), (offset + 1, of_upper)):
            np.put_along_axis(weights, place, np.take_along_axis(weights, place, 2) + weight, 2)
    return np.minimum(first + np.arange(width), length - 1), weights


def _pooling_matrix(boxes: Array, *, size: tuple[int, int], axis: _Axis) -> csr_matrix:
    """Return the (n * cells^2, h * w) matrix that pools the boxes (n, 4) of one map."""
    # All boxes of a portion take the room of the largest: one wide and one tall box must not cost gigabytes.
    portions = [
        _entries(boxes[start : start + _BOXES_AT_ONCE], size=size, axis=axis)
        for start in range(0, max(1, len(boxes)), _BOXES_AT_ONCE)
    ]
    weights, pixels, counts = (np.concatenate(part) for part in zip(*portions, strict=True))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return csr_matrix((weights, pixels, starts), shape=(len(counts), size[0] * size[1]))


def _entries(
    boxes: Array, *, size: tuple[int, int], axis: _Axis
) -> tuple[Array, NDArray[np.int32], NDArray[np.int64]]:
    """Return the weights of all cells of the boxes (n, 4), their pixels, and their number in each cell."""
    height, width = size
    x, weight_x = axis.weights(boxes[:, 0], boxes[:, 2], length=width)
    y, weight_y = axis.weights(boxes[:, 1], boxes[:, 3], length=height)
    # (n, cells in y, cells in x, pixels in y, pixels in x)
    weights = weight_y[:, :, None, :, None] * weight_x[:, None, :, None, :]
    pixels = (y * width)[:, :, None, :, None] + x[:, None, :, None, :]
    used = weights != 0
    return weights[used], pixels[used].astype(np.int32), used.sum((3, 4)).reshape(-1)


class _Pool(PyLayer):
    """Applies the matrices of the photos to their maps, some channels at a time."""

    @staticmethod
    def forward(
        ctx: PyLayerContext, feature: Tensor, matrices: Sequence[csr_matrix], resolution: int
    ) -> Tensor:
        maps = cast(Array, np.from_dlpack(feature.detach()))
        ctx.matrices, ctx.shape = matrices, maps.shape
        channels = maps.shape[1]
        rows = _rows(matrices)
        pooled = np.empty((rows[-1].stop // resolution**2, channels, resolution**2), np.float32)

        def pool(shares: range) -> None:
            for share in shares:
                part = _channels(share, channels)
                for image, matrix in enumerate(matrices):
                    boxes = slice(rows[image].start // resolution**2, rows[image].stop // resolution**2)
                    flat = maps[image, part].reshape(part.stop - part.start, -1)
                    cells = (matrix @ flat.T).reshape(-1, resolution**2, part.stop - part.start)
                    pooled[boxes, part] = cells.transpose(0, 2, 1)

        share_among_threads(pool, _num_shares(channels))
        return from_dlpack(pooled.reshape(-1, channels, resolution, resolution))

    @staticmethod
    def backward(ctx: PyLayerContext, gradient: Tensor) -> Tensor:
        received = cast(Array, np.from_dlpack(gradient.detach().contiguous()))
        num_boxes, channels = received.shape[:2]
        cells = received.reshape(num_boxes, channels, math.prod(received.shape[2:]))
        rows = _rows(ctx.matrices)
        passed_on = np.empty((*ctx.shape[:2], ctx.shape[2] * ctx.shape[3]), np.float32)

        def spread(shares: range) -> None:
            for share in shares:
                part = _channels(share, channels)
                flat = cells[:, part].transpose(0, 2, 1).reshape(-1, part.stop - part.start)
                for image, matrix in enumerate(ctx.matrices):
                    passed_on[image, part] = (matrix.T @ flat[rows[image]]).T

        share_among_threads(spread, _num_shares(channels))
        return from_dlpack(passed_on.reshape(ctx.shape))


def _rows(matrices: Sequence[csr_matrix]) -> list[slice]:
    """Return where each photo's cells lie among those of all."""
    ends = list(accumulate((matrix.shape[0] for matrix in matrices), initial=0))
    return [slice(start, end) for start, end in pairwise(ends)]


def _num_shares(channels: int) -> int:
    return -(-channels // _CHANNELS_AT_ONCE)


def _channels(share: int, channels: int) -> slice:
    return slice(share * _CHANNELS_AT_ONCE, min(channels, (share + 1) * _CHANNELS_AT_ONCE))
