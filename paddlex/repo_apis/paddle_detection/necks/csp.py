"""Blocks of the hybrid encoder: convolution with SiLU, and cross-stage partial fusion."""

from paddle import Tensor, nn

from paddlex.nn.activations import silu
from paddlex.nn.conv_bn import ConvBN
from paddlex.nn.initializers import fan_in_uniform
from paddlex.nn.rep_conv import RepConv

__all__ = ["CSPRepBlock", "conv_silu"]


def conv_silu(in_channels: int, out_channels: int, *, kernel_size: int, stride: int = 1) -> ConvBN:
    """Return a convolution with normalisation and SiLU."""
    return ConvBN(
        in_channels,
        out_channels,
        kernel_size=kernel_size,
        stride=stride,
        activation=silu,
        weight_attr=fan_in_uniform(in_channels * kernel_size**2),
    )


class CSPRepBlock(nn.Layer):
    """Two pointwise branches, one continued by re-parameterisable units, summed (RT-DETR, arXiv:2304.08069).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        expansion: width of the branches relative to `out_channels`.
        num_units: re-parameterisable units.
    """

    def __init__(self, in_channels: int, out_channels: int, *, expansion: float, num_units: int = 3) -> None:
        super().__init__()
        hidden = int(out_channels * expansion)
        self.conv1 = conv_silu(in_channels, hidden, kernel_size=1)
        self.conv2 = conv_silu(in_channels, hidden, kernel_size=1)
        self.bottlenecks = nn.Sequential(
            *(RepConv(hidden, hidden, activation=silu) for _ in range(num_units))
        )
        self.conv3 = None if hidden == out_channels else conv_silu(hidden, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, in_channels, H, W) to (B, out_channels, H, W)."""
        x = self.bottlenecks(self.conv1(x)) + self.conv2(x)
        return x if self.conv3 is None else self.conv3(x)
