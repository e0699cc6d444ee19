"""CSPResNet, the backbone of PP-YOLOE (arXiv:2203.16250): cross-stage partial stages of residual blocks."""

from collections.abc import Sequence
from itertools import pairwise

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.activations import silu
from paddlex.nn.conv_bn import ConvBN
from paddlex.nn.convolution import Conv2D
from paddlex.nn.rep_conv import RepConv

__all__ = ["CSPResNet", "RepBlock", "conv_swish"]

_STRIDES = (8, 16, 32)


def conv_swish(in_channels: int, out_channels: int, *, kernel_size: int, stride: int = 1) -> ConvBN:
    """Return a convolution with normalisation and swish, x * sigmoid(x)."""
    return ConvBN(in_channels, out_channels, kernel_size=kernel_size, stride=stride, activation=silu)


class RepBlock(nn.Layer):
    """A 3x3 convolution and a re-parameterisable one.

    Args:
        channels: channels of the input and output.
        shortcut: add the input to the output.
        scaled: learn a factor of the second convolution's 1x1 branch.
    """

    def __init__(self, channels: int, *, shortcut: bool, scaled: bool) -> None:
        super().__init__()
        self.conv1 = conv_swish(channels, channels, kernel_size=3)
        self.conv2 = RepConv(channels, channels, activation=silu, scaled=scaled)
        self._shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, channels, H, W) to the same shape."""
        residual = self.conv2(self.conv1(x))
        return x + residual if self._shortcut else residual


class _ChannelAttention(nn.Layer):
    """Effective squeeze and excitation (arXiv:1911.06667): one pointwise layer on the mean, then a gate."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = Conv2D(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.fc(F.adaptive_avg_pool2d(x, 1)))


class _Stage(nn.Layer):
    """Downsampling by 2, then two pointwise branches, one continued by residual blocks, concatenated."""

    def __init__(self, in_channels: int, out_channels: int, *, num_blocks: int) -> None:
        super().__init__()
        middle = (in_channels + out_channels) // 2
        self.conv_down = conv_swish(in_channels, middle, kernel_size=3, stride=2)
        self.conv1 = conv_swish(middle, middle // 2, kernel_size=1)
        self.conv2 = conv_swish(middle, middle // 2, kernel_size=1)
        self.blocks = nn.Sequential(
            *(RepBlock(middle // 2, shortcut=True, scaled=True) for _ in range(num_blocks))
        )
        self.attn = _ChannelAttention(middle)
        self.conv3 = conv_swish(middle, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_down(x)
        x = paddle.concat([self.conv1(x), self.blocks(self.conv2(x))], axis=1)
        return self.conv3(self.attn(x))


class CSPResNet(nn.Layer):
    """Image to features of strides 8, 16 and 32.

    Args:
        channels: channels of the stem and of the four stages.
        num_blocks: residual blocks of the four stages.

    Attributes:
        out_channels: channels of the three features.
        strides: their strides.
    """

    def __init__(self, channels: Sequence[int], *, num_blocks: Sequence[int]) -> None:
        super().__init__()
        half = channels[0] // 2
        self.stem = nn.Sequential(
            ("conv1", conv_swish(3, half, kernel_size=3, stride=2)),
            ("conv2", conv_swish(half, half, kernel_size=3)),
            ("conv3", conv_swish(half, channels[0], kernel_size=3)),
        )
        self.stages = nn.LayerList(
            _Stage(ins, outs, num_blocks=count)
            for (ins, outs), count in zip(pairwise(channels), num_blocks, strict=True)
        )
        self.out_channels = tuple(channels[2:])
        self.strides = _STRIDES

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map image (B, 3, H, W) to three maps (B, out_channels[i], H / s, W / s), s = 8, 16, 32."""
        x = self.stem(image)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features[1:]
