"""Convolution followed by group normalisation."""

import paddle.nn.functional as F
from paddle import ParamAttr, Tensor, nn
from paddle.nn.initializer import Constant, Normal
from paddle.regularizer import L2Decay

from paddlex.nn.convolution import Conv2D

__all__ = ["ConvGN"]


class ConvGN(nn.Layer):
    """Convolution without bias, group normalisation (arXiv:1803.08494), ReLU.

    Scale and shift of the normalisation are not decayed, whatever the optimiser does to the rest.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the square kernel; the size of the feature map is kept.
        num_groups: groups that are normalised together; divides `out_channels`.
        deviation: standard deviation of the initial kernel.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        num_groups: int = 32,
        deviation: float = 0.01,
    ) -> None:
        super().__init__()
        self.conv = Conv2D(
            in_channels,
            out_channels,
            kernel_size,
            padding=(kernel_size - 1) // 2,
            weight_attr=ParamAttr(initializer=Normal(0.0, deviation)),
            bias_attr=False,
        )
        self.norm = nn.GroupNorm(
            num_groups,
            out_channels,
            weight_attr=ParamAttr(initializer=Constant(1.0), regularizer=L2Decay(0.0)),
            bias_attr=ParamAttr(initializer=Constant(0.0), regularizer=L2Decay(0.0)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, in_channels, H, W) to (B, out_channels, H, W)."""
        return F.relu(self.norm(self.conv(x)))
