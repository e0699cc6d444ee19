"""Height and width of a feature map, also where a traced graph is to take any."""

import paddle
from paddle import Tensor

__all__ = ["spatial_size"]


def spatial_size(x: Tensor) -> tuple[int | Tensor, int | Tensor]:
    """Return the height and width of x (B, C, H, W): numbers, or scalar tensors where tracing knows none."""
    height, width = (
        length if length >= 0 else paddle.shape(x)[axis]
        for axis, length in ((2, x.shape[2]), (3, x.shape[3]))
    )
    return height, width
