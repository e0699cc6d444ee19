"""Means over a fixed grid of bins, whatever the size of the feature map."""

import paddle
from paddle import Tensor

from paddlex.nn.coordinates import spatial_size

__all__ = ["average_bins"]


def average_bins(x: Tensor, bins: int) -> Tensor:
    """Return the mean of every cell of a grid laid over x (B, C, H, W); (B, C, bins, bins).

    The cells of `F.adaptive_avg_pool2d`, for which ONNX has no operator where height and width are free. Cell
    i of n reaches from floor(i * side / n) to ceil((i + 1) * side / n), so cells share pixels where n does
    not divide the side.
    """
    height, width = spatial_size(x)
    rows, columns = _bin_weights(height, bins=bins), _bin_weights(width, bins=bins)
    return paddle.matmul(paddle.matmul(rows.astype(x.dtype), x), columns.astype(x.dtype), transpose_y=True)


def _bin_weights(side: int | Tensor, *, bins: int) -> Tensor:
    """Share of each pixel of a row in each bin; (bins, side), rows sum to 1."""
    pixels = paddle.arange(side, dtype="int64").unsqueeze(0)
    cells = paddle.arange(bins, dtype="int64").unsqueeze(1)
    # floor(cell * side / bins) <= pixel < ceil((cell + 1) * side / bins), without a division.
    after_first = (pixels + 1) * bins > cells * side
    before_end = pixels * bins < (cells + 1) * side
    inside = paddle.logical_and(after_first, before_end).astype("float32")
    return inside / inside.sum(axis=1, keepdim=True)
