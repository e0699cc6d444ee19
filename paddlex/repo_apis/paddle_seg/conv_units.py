"""Convolutional units with the published names, which all networks of the suite are made of.

Two peculiarities of the published networks live here: convolutions keep their bias although a normalisation
follows, and strided ones pad as "SAME" does: for even sides only after the last pixel.
"""

from typing import Literal

import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.conv_bn import ConvBN

__all__ = ["DepthwiseConvBN", "SeparableConv", "conv_bn", "conv_bn_relu"]

Padding = int | Literal["SAME"] | None


def conv_bn(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int,
    stride: int = 1,
    padding: Padding = "SAME",
    dilation: int = 1,
    groups: int = 1,
    bias: bool = True,
    relu: bool = False,
) -> ConvBN:
    """Return a convolution and its normalisation, named `_conv` and `_batch_norm`; see `ConvBN`."""
    if padding == "SAME" and stride == 1:
        padding = None  # The same pixels, on both sides; a form that every runtime knows.
    return ConvBN(
        in_channels,
        out_channels,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        activation=F.relu if relu else None,
        bias=bias,
        conv_name="_conv",
        norm_name="_batch_norm",
    )


def conv_bn_relu(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int,
    stride: int = 1,
    padding: Padding = "SAME",
    groups: int = 1,
    bias: bool = True,
) -> ConvBN:
    """Return `conv_bn` followed by ReLU."""
    return conv_bn(
        in_channels,
        out_channels,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        groups=groups,
        bias=bias,
        relu=True,
    )


class DepthwiseConvBN(nn.Layer):
    """A 3x3 convolution of each channel by itself, and normalisation.

    Args:
        in_channels: channels of the input.
        out_channels: a multiple of them.
        stride: step of the kernel.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.depthwise_conv = conv_bn(
            in_channels, out_channels, kernel_size=3, stride=stride, groups=in_channels
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, in_channels, H, W) to (B, out_channels, H / stride, W / stride)."""
        return self.depthwise_conv(x)


class SeparableConv(nn.Layer):
    """A 3x3 convolution of each channel, then a 1x1 convolution and ReLU (arXiv:1704.04861).

    Strided ones pad evenly, unlike the other units.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: step of the 3x3 kernel.
        dilation: distance of its values.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.depthwise_conv = conv_bn(
            in_channels,
            in_channels,
            kernel_size=3,
            stride=stride,
            padding=dilation,
            dilation=dilation,
            groups=in_channels,
        )
        # The published weights spell it like this.
        self.piontwise_conv = conv_bn_relu(in_channels, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, in_channels, H, W) to (B, out_channels, H / stride, W / stride)."""
        return self.piontwise_conv(self.depthwise_conv(x))
