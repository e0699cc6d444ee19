"""Convolution followed by batch normalisation, and its fusion into one convolution."""

from collections.abc import Callable, Sequence
from typing import Literal

import paddle
from paddle import ParamAttr, Tensor, nn

from paddlex.nn.convolution import Conv2D
from paddlex.nn.frozen_bn import FrozenBatchNorm2D

__all__ = ["ConvBN", "fuse_conv_bn", "fuse_units", "unfreeze_units"]


class ConvBN(nn.Layer):
    """Convolution, batch normalisation, optional activation.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the square kernel.
        stride: step of the kernel.
        padding: pixels on every side, or (top, bottom, left, right), or "SAME": as many as give
            ceil(side / stride) outputs, the odd one after the last pixel; by default what keeps the size.
        dilation: distance of neighbouring kernel values, in pixels.
        groups: groups of channels; `in_channels` for a depthwise convolution.
        activation: function applied last.
        weight_attr: initial values, learning rate factor and trainability of the kernel.
        bias: add a learnt bias before the normalisation, as some published networks do.
        frozen_norm: normalise with fixed statistics, scale and shift.
        conv_name: name of the convolution in the state dict; families differ.
        norm_name: name of the normalisation in the state dict.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        stride: int = 1,
        padding: int | Sequence[int] | Literal["SAME"] | None = None,
        dilation: int = 1,
        groups: int = 1,
        activation: Callable[[Tensor], Tensor] | None = None,
        weight_attr: ParamAttr | None = None,
        bias: bool = False,
        frozen_norm: bool = False,
        conv_name: str = "conv",
        norm_name: str = "bn",
    ) -> None:
        super().__init__()
        conv = Conv2D(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=dilation * (kernel_size - 1) // 2 if padding is None else padding,
            dilation=dilation,
            groups=groups,
            weight_attr=weight_attr,
            bias_attr=None if bias else False,
        )
        norm = FrozenBatchNorm2D(out_channels) if frozen_norm else nn.BatchNorm2D(out_channels)
        self.add_sublayer(conv_name, conv)
        self.add_sublayer(norm_name, norm)
        self._conv_name, self._norm_name = conv_name, norm_name
        self._activation = activation

    @property
    def convolution(self) -> nn.Conv2D:
        """The convolution, whatever its name."""
        return self._sub_layers[self._conv_name]

    @property
    def normalization(self) -> nn.Layer:
        """The batch normalisation, whatever its name; a fused unit has none."""
        return self._sub_layers[self._norm_name]

    @property
    def is_fused(self) -> bool:
        """Whether the normalisation is folded into the convolution."""
        return self._norm_name not in self._sub_layers

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, in_channels, H, W) to (B, out_channels, H / stride, W / stride)."""
        x = self.convolution(x)
        if not self.is_fused:
            x = self.normalization(x)
        return x if self._activation is None else self._activation(x)

    def unfreeze(self) -> None:
        """Let kernel and normalisation learn with the full learning rate."""
        self.convolution.weight.stop_gradient = False
        self.convolution.weight.trainable = True
        self.convolution.weight.optimize_attr["learning_rate"] = 1.0
        if isinstance(self.normalization, FrozenBatchNorm2D):
            self.add_sublayer(self._norm_name, self.normalization.to_trainable())

    def fuse(self) -> None:
        """Fold the normalisation into the convolution, for evaluation only."""
        if self.is_fused:
            return
        (kernel, bias), conv = fuse_conv_bn(self), self.convolution
        conv.weight.set_value(kernel)
        if conv.bias is None:
            conv.bias = conv.create_parameter([kernel.shape[0]], is_bias=True)
        conv.bias.set_value(bias)
        del self._sub_layers[self._norm_name]


def fuse_units(root: nn.Layer) -> None:
    """Fold the normalisation of every `ConvBN` inside `root` into its convolution, for evaluation only."""
    for layer in root.sublayers(include_self=True):
        if isinstance(layer, ConvBN):
            layer.fuse()


def unfreeze_units(root: nn.Layer) -> None:
    """Let every `ConvBN` inside `root` learn with the full learning rate."""
    for layer in root.sublayers(include_self=True):
        if isinstance(layer, ConvBN):
            layer.unfreeze()


def fuse_conv_bn(unit: ConvBN) -> tuple[Tensor, Tensor]:
    """Return the kernel and bias of the convolution that equals `unit` in evaluation mode.

    Args:
        unit: convolution and normalisation, not fused before; its activation is ignored.

    Returns:
        Kernel (out, in / groups, k, k) and bias (out,).
    """
    conv, norm = unit.convolution, unit.normalization
    with paddle.no_grad():
        scale = norm.weight / paddle.sqrt(norm._variance + norm._epsilon)
        mean = norm._mean if conv.bias is None else norm._mean - conv.bias
        return conv.weight * scale.reshape([-1, 1, 1, 1]), norm.bias - mean * scale
