"""Convolution followed by batch normalisation, and its fusion into one convolution."""

from collections.abc import Callable, Sequence

import paddle
from paddle import ParamAttr, Tensor, nn

from paddlex.nn.frozen_bn import FrozenBatchNorm2D

__all__ = ["ConvBN", "fuse_conv_bn", "unfreeze_units"]


class ConvBN(nn.Layer):
    """Convolution without bias, batch normalisation, optional activation.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the square kernel.
        stride: step of the kernel.
        padding: pixels on every side, or (top, bottom, left, right); by default (kernel_size - 1) // 2.
        groups: groups of channels; `in_channels` for a depthwise convolution.
        activation: function applied last.
        weight_attr: initial values, learning rate factor and trainability of the kernel.
        frozen_norm: normalise with fixed statistics, scale and shift.
        norm_name: name of the normalisation in the state dict; families differ.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        stride: int = 1,
        padding: int | Sequence[int] | None = None,
        groups: int = 1,
        activation: Callable[[Tensor], Tensor] | None = None,
        weight_attr: ParamAttr | None = None,
        frozen_norm: bool = False,
        norm_name: str = "bn",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2D(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=(kernel_size - 1) // 2 if padding is None else padding,
            groups=groups,
            weight_attr=weight_attr,
            bias_attr=False,
        )
        norm = FrozenBatchNorm2D(out_channels) if frozen_norm else nn.BatchNorm2D(out_channels)
        self.add_sublayer(norm_name, norm)
        self._norm_name = norm_name
        self._activation = activation

    @property
    def normalization(self) -> nn.Layer:
        """The batch normalisation, whatever its name."""
        return self._sub_layers[self._norm_name]

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, in_channels, H, W) to (B, out_channels, H / stride, W / stride)."""
        x = self.normalization(self.conv(x))
        return x if self._activation is None else self._activation(x)

    def unfreeze(self) -> None:
        """Let kernel and normalisation learn with the full learning rate."""
        self.conv.weight.stop_gradient = False
        self.conv.weight.trainable = True
        self.conv.weight.optimize_attr["learning_rate"] = 1.0
        if isinstance(self.normalization, FrozenBatchNorm2D):
            self.add_sublayer(self._norm_name, self.normalization.to_trainable())


def unfreeze_units(root: nn.Layer) -> None:
    """Let every `ConvBN` inside `root` learn with the full learning rate."""
    for layer in root.sublayers(include_self=True):
        if isinstance(layer, ConvBN):
            layer.unfreeze()


def fuse_conv_bn(unit: ConvBN) -> tuple[Tensor, Tensor]:
    """Return the kernel and bias of the convolution that equals `unit` in evaluation mode.

    Args:
        unit: convolution and normalisation; its activation is ignored.

    Returns:
        Kernel (out, in / groups, k, k) and bias (out,).
    """
    norm = unit.normalization
    with paddle.no_grad():
        scale = norm.weight / paddle.sqrt(norm._variance + norm._epsilon)
        return unit.conv.weight * scale.reshape([-1, 1, 1, 1]), norm.bias - norm._mean * scale
