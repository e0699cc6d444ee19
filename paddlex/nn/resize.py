"""Resizing of feature maps by target size.

A size, never a scale factor: `paddle2onnx` cannot convert the scale form of Paddle's PIR programs.
"""

from collections.abc import Sequence

import paddle.nn.functional as F
from paddle import Tensor

__all__ = ["double_nearest", "resize_bilinear", "resize_nearest"]


def resize_bilinear(x: Tensor, size: Sequence[int | Tensor], *, align_corners: bool = False) -> Tensor:
    """Resize x (B, C, H, W) to (height, width) `size`.

    Args:
        x: feature map.
        size: (height, width) of the result.
        align_corners: let the centres of the corner pixels coincide; else the pixels' outer edges do.
    """
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def resize_nearest(x: Tensor, size: Sequence[int | Tensor]) -> Tensor:
    """Resize x (B, C, H, W) to (height, width) `size` by repeating the nearest value."""
    return F.interpolate(x, size=size, mode="nearest")


def double_nearest(x: Tensor) -> Tensor:
    """Repeat every value of x (B, C, H, W) in a 2 x 2 square; (B, C, 2 H, 2 W).

    The same as `resize_nearest` without an interpolation, whose presence keeps oneDNN from running a graph of
    Paddle 3.3.
    """
    wide = x.unsqueeze(4).expand([-1, -1, -1, -1, 2]).flatten(3)
    return wide.unsqueeze(3).expand([-1, -1, -1, 2, -1]).flatten(2, 3)
