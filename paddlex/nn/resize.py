"""Resizing of feature maps by target size.

A size, never a scale factor: `paddle2onnx` cannot convert the scale form of Paddle's PIR programs.
"""

from collections.abc import Sequence

import paddle.nn.functional as F
from paddle import Tensor

__all__ = ["resize_bilinear", "resize_nearest"]


def resize_bilinear(x: Tensor, size: Sequence[int | Tensor]) -> Tensor:
    """Resize x (B, C, H, W) to (height, width) `size`, with half-pixel centres."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def resize_nearest(x: Tensor, size: Sequence[int | Tensor]) -> Tensor:
    """Resize x (B, C, H, W) to (height, width) `size` by repeating the nearest value."""
    return F.interpolate(x, size=size, mode="nearest")
