"""Re-parameterisable convolution."""

from collections.abc import Callable

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.conv_bn import ConvBN, fuse_conv_bn
from paddlex.nn.convolution import Conv2D
from paddlex.nn.fake_quant import carry_quantizers
from paddlex.nn.initializers import constant, kaiming_normal

__all__ = ["RepConv"]


class RepConv(nn.Layer):
    """A 3x3 and a 1x1 convolution in parallel that become one for deployment (RepVGG, arXiv:2101.03697).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        activation: function applied to the sum.
        scaled: learn a factor of the 1x1 branch, `alpha`, from 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        activation: Callable[[Tensor], Tensor],
        scaled: bool = False,
    ) -> None:
        super().__init__()
        self.alpha = self.create_parameter([1], attr=constant(1.0)) if scaled else None
        self.conv1 = ConvBN(
            in_channels, out_channels, kernel_size=3, weight_attr=kaiming_normal(9 * in_channels)
        )
        self.conv2 = ConvBN(in_channels, out_channels, kernel_size=1, weight_attr=kaiming_normal(in_channels))
        self.conv: nn.Conv2D | None = None
        self._activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, in_channels, H, W) to (B, out_channels, H, W)."""
        return self._activation(self._sum_branches(x) if self.conv is None else self.conv(x))

    def _sum_branches(self, x: Tensor) -> Tensor:
        pointwise = self.conv2(x)
        return self.conv1(x) + (pointwise if self.alpha is None else self.alpha * pointwise)

    def fuse(self) -> None:
        """Replace both branches by the one convolution that equals them in evaluation mode."""
        if self.conv is not None:
            return
        with paddle.no_grad():
            kernel3, bias3 = fuse_conv_bn(self.conv1)
            kernel1, bias1 = fuse_conv_bn(self.conv2)
            if self.alpha is not None:
                kernel1, bias1 = self.alpha * kernel1, self.alpha * bias1
            out_channels, in_channels = kernel3.shape[:2]
            conv = Conv2D(in_channels, out_channels, 3, padding=1)
            conv.weight.set_value(kernel3 + F.pad(kernel1, [1, 1, 1, 1]))
            conv.bias.set_value(bias3 + bias1)
        carry_quantizers(self.conv1.convolution, conv)
        del self.conv1, self.conv2, self.alpha
        self.conv = conv
