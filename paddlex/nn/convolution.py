"""Convolutions that are as fast on a CPU as it allows.

In training steps on the CPU (`conv_cpu.fast_convolutions`) `Conv2D` goes through oneDNN, given a Paddle wheel
that carries it (Linux on x86); then the convolutions are 1.2 to 5 times as fast as with Paddle's operator
(docs/benchmarks.md). Otherwise it is Paddle's.

Paddle adds a bias by broadcasting (1, C, 1, 1) and sums its gradient over three axes, neither of which is
vectorised on a CPU: for a mask head's (64, 256, 28, 28) features 190 ms. Seen as N C rows of pixels, sum and
gradient run along contiguous memory: 50 ms, to the same values.
"""

from typing import Any

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.conv_cpu import conv2d_cpu

__all__ = ["Conv2D", "DoublingConv2DTranspose"]


class Conv2D(nn.Conv2D):
    """`paddle.nn.Conv2D`, its arguments and state dict, with zeros as padding."""

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, in_channels, H, W) to (B, out_channels, H', W')."""
        y = conv2d_cpu(
            x,
            self.weight,
            self.bias,
            stride=self._stride,
            padding="SAME" if self._padding_algorithm == "SAME" else self._updated_padding,
            dilation=self._dilation,
            groups=self._groups,
        )
        if y is not None:
            return y
        if self.bias is None or not _trains_on_cpu(self, x):
            return super().forward(x)
        y = F.conv2d(
            x,
            self.weight,
            stride=self._stride,
            padding=self._padding,
            dilation=self._dilation,
            groups=self._groups,
        )
        return _add_bias(y, self.bias)


class DoublingConv2DTranspose(nn.Conv2DTranspose):
    """`nn.Conv2DTranspose` that doubles the sides, with a bias.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        **attrs: `weight_attr` and `bias_attr`.
    """

    def __init__(self, in_channels: int, out_channels: int, **attrs: Any) -> None:  # noqa: ANN401
        super().__init__(in_channels, out_channels, 2, stride=2, **attrs)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, in_channels, H, W) to (B, out_channels, 2 H, 2 W)."""
        if not _trains_on_cpu(self, x):
            return super().forward(x)
        return _add_bias(F.conv2d_transpose(x, self.weight, stride=2), self.bias)


def _trains_on_cpu(layer: nn.Layer, x: Tensor) -> bool:
    # A graph being traced has no place, and is in evaluation mode.
    return bool(layer.training) and x.place.is_cpu_place()


def _add_bias(x: Tensor, bias: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    rows = x.reshape([batch * channels, height * width]) + paddle.tile(bias, [batch]).unsqueeze(1)
    return rows.reshape([batch, channels, height, width])
