"""Convolutions in the host's memory by oneDNN, with their gradients.

Training steps ask for them. Elsewhere a network computes with Paddle's operators, to the last bit as in other
toolkits on the same machine: oneDNN adds in another order, which batch statistics of a hundred layers can
amplify from 1e-7 to 1e-3.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import numpy as np
import paddle
from paddle import Tensor
from paddle.autograd import PyLayer, PyLayerContext

from paddlex.nn.cpu_operators import own_operators_apply
from paddlex.nn.onednn import Convolution, Geometry, convolution

__all__ = ["conv2d_cpu", "fast_convolutions"]

_wanted = ContextVar("fast_convolutions", default=False)


@contextmanager
def fast_convolutions() -> Iterator[None]:
    """Let oneDNN compute the convolutions of a forward pass, and of its backward pass whenever that is.

    Where it cannot, and with PADDLEX_CPU_OPERATORS=paddle in the environment, Paddle does as ever.
    """
    token = _wanted.set(True)
    try:
        yield
    finally:
        _wanted.reset(token)


def conv2d_cpu(
    x: Tensor,
    kernels: Tensor,
    bias: Tensor | None,
    *,
    stride: Sequence[int],
    padding: Sequence[int] | Literal["SAME"],
    dilation: Sequence[int],
    groups: int,
) -> Tensor | None:
    """Compute what `paddle.nn.functional.conv2d` does, for float32 in the host's memory.

    Args:
        x: (B, C, H, W).
        kernels: (O, C / groups, kh, kw).
        bias: (O,).
        stride: (rows, columns).
        padding: (rows, columns) at either side, or (top, bottom, left, right), or "SAME": as many as give
            ceil(side / stride) outputs, the odd one after the last pixel.
        dilation: (rows, columns); with "SAME" Paddle takes 1.
        groups: groups of channels.

    Returns:
        (B, O, H', W'), differentiable in all three; None outside `fast_convolutions`, and where oneDNN is not
        to be had or of no use: other devices and types, graphs being traced, empty batches.
    """
    if not (_wanted.get() and own_operators_apply(x, kernels)):
        return None
    if padding == "SAME":
        dilation = (1, 1)  # as Paddle does
        padding = _same_padding(x.shape[2:], kernels.shape[2:], stride)
    top, bottom, left, right = padding if len(padding) == 4 else np.repeat(padding, 2).tolist()
    geometry = Geometry(
        images=tuple(x.shape),
        kernels=tuple(kernels.shape),
        stride=tuple(stride),
        padding=(top, left, bottom, right),
        dilation=tuple(dilation),
        groups=groups,
    )
    code = convolution(geometry)
    return None if code is None else _Convolve.apply(x, kernels, bias, code)


def _same_padding(sides: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> list[int]:
    padding = []
    for side, reach, step in zip(sides, kernel, stride, strict=True):
        total = max((-(-side // step) - 1) * step + reach - side, 0)
        padding += [total // 2, total - total // 2]
    return padding


class _Convolve(PyLayer):
    """Hands addresses of tensors to oneDNN."""

    @staticmethod
    def forward(
        ctx: PyLayerContext, x: Tensor, kernels: Tensor, bias: Tensor | None, code: Convolution
    ) -> Tensor:
        # Before the copies, which inside a PyLayer never want one.
        ctx.wanted = [tensor is not None and not tensor.stop_gradient for tensor in (x, kernels, bias)]
        x, kernels = x.contiguous(), kernels.contiguous()
        y = paddle.empty(code.geometry.output, "float32")
        code.forward(_address(x), _address(kernels), None if bias is None else _address(bias), _address(y))
        ctx.save_for_backward(x, kernels)
        ctx.code, ctx.biased = code, bias is not None
        return y

    @staticmethod
    def backward(ctx: PyLayerContext, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, kernels = ctx.saved_tensor()
        of_x, of_kernels, of_bias = ctx.wanted
        gradient = gradient.contiguous()
        x_gradient = kernels_gradient = bias_gradient = None
        if of_x:
            x_gradient = paddle.empty(x.shape, "float32")
            ctx.code.backward_images(_address(gradient), _address(kernels), _address(x_gradient))
        if of_kernels or of_bias:
            kernels_gradient = paddle.empty(kernels.shape, "float32")
            bias_gradient = paddle.empty(kernels.shape[:1], "float32") if of_bias else None
            ctx.code.backward_kernels(
                _address(x),
                _address(gradient),
                _address(kernels_gradient),
                None if bias_gradient is None else _address(bias_gradient),
            )
        gradients = (x_gradient, kernels_gradient if of_kernels else None)
        return (*gradients, bias_gradient) if ctx.biased else gradients


def _address(tensor: Tensor) -> int:
    return int(tensor.data_ptr())
