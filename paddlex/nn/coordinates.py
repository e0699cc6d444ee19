"""Sizes and coordinates of feature maps, also where a traced graph leaves their sides free."""

import paddle
from paddle import Tensor

__all__ = ["coordinate_maps", "spatial_size"]


def spatial_size(x: Tensor) -> list[int | Tensor]:
    """Return height and width of x (..., H, W): numbers, or tensors where a traced graph has them free."""
    # While tracing, a free side is -1, or a tensor already.
    if all(isinstance(side, int) and side >= 0 for side in x.shape[-2:]):
        return list(x.shape[-2:])
    shape = paddle.shape(x)
    return [shape[-2], shape[-1]]


def coordinate_maps(x: Tensor) -> Tensor:
    """Return the position of every cell of x (B, C, H, W), as CoordConv adds it (arXiv:1807.03247).

    Returns:
        (B, 2, H, W) of the type of `x`: column, then row, each from -1 at the first to 1 at the last; a lone
        column or row is -1.
    """
    # Counting with a cumulative sum also works where batch and sides are free.
    ones = paddle.ones_like(x[:, :1])
    across, down = paddle.cumsum(ones, axis=3) - 1.0, paddle.cumsum(ones, axis=2) - 1.0
    last = [across[:, :, :, -1:], down[:, :, -1:, :]]
    maps = [2.0 * index / end.clip(min=1.0) - 1.0 for index, end in zip((across, down), last, strict=True)]
    return paddle.concat(maps, axis=1)
