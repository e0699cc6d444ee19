"""Re-parameterisable convolution."""

from collections.abc import Callable

import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.conv_bn import ConvBN, fuse_conv_bn
from paddlex.nn.initializers import kaiming_normal

__all__ = ["RepConv"]


class RepConv(nn.Layer):
    """A 3x3 and a 1x1 convolution in parallel that become one for deployment (RepVGG, arXiv:2101.03697).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        activation: function applied to the sum.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, activation: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.conv1 = ConvBN(
            in_channels, out_channels, kernel_size=3, weight_attr=kaiming_normal(9 * in_channels)
        )
        self.conv2 = ConvBN(in_channels, out_channels, kernel_size=1, weight_attr=kaiming_normal(in_channels))
        self.conv: nn.Conv2D | None = None
        self._activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, in_channels, H, W) to (B, out_channels, H, W)."""
        total = self.conv1(x) + self.conv2(x) if self.conv is None else self.conv(x)
        return self._activation(total)

    def fuse(self) -> None:
        """Replace both branches by the one convolution that equals them in evaluation mode."""
        if self.conv is not None:
            return
        kernel3, bias3 = fuse_conv_bn(self.conv1)
        kernel1, bias1 = fuse_conv_bn(self.conv2)
        out_channels, in_channels = kernel3.shape[:2]
        conv = nn.Conv2D(in_channels, out_channels, 3, padding=1)
        conv.weight.set_value(kernel3 + F.pad(kernel1, [1, 1, 1, 1]))
        conv.bias.set_value(bias3 + bias1)
        del self.conv1, self.conv2
        self.conv = conv
