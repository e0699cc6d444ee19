"""Activations whose gradient Paddle gets wrong under their usual name."""

import paddle.nn.functional as F
from paddle import Tensor

__all__ = ["silu"]


def silu(x: Tensor) -> Tensor:
    """Return x * sigmoid(x), also called swish.

    The gradient of `F.silu` on the CPU is NaN below -88 (seen in Paddle 3.2 and 3.3); that of `F.swish` is 0.
    """
    return F.swish(x)
