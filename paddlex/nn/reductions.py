"""Reductions that Paddle has under a name that warns or does not export."""

import warnings

import paddle
from paddle import Tensor

__all__ = ["max_along"]


def max_along(x: Tensor, *, axis: int) -> Tensor:
    """Return the largest values of `x` along `axis`.

    `paddle.max` of Paddle 3.2 warns on its first call that PyTorch's namesake differs; `amax`, which does not
    warn, cannot be converted to ONNX.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*Non compatible API", category=Warning)
        return paddle.max(x, axis=axis)
