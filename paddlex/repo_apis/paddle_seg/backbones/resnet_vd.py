"""ResNet-vd whose late stages dilate instead of striding, as DeepLab reads it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.conv_bn import ConvBN
from paddlex.repo_apis.paddle_seg.conv_units import conv_bn
from paddlex.utils.errors import ConfigError

__all__ = ["ResNetVd"]

_NUM_BLOCKS: Mapping[int, tuple[int, int, int, int]] = MappingProxyType(
    {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
)
# Stages of a dilated network keep the stride of the one before; a later one dilates twice as far.
_DILATIONS: Mapping[int, tuple[int, int, int, int]] = MappingProxyType(
    {8: (1, 1, 2, 4), 16: (1, 1, 1, 2), 32: (1, 1, 1, 1)}
)
_EXPANSION = 4


def _unit(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int,
    stride: int = 1,
    dilation: int = 1,
    relu: bool = True,
) -> ConvBN:
    return conv_bn(
        in_channels,
        out_channels,
        kernel_size=kernel_size,
        stride=stride,
        padding=None,
        dilation=dilation,
        bias=False,
        relu=relu,
    )


class _Bottleneck(nn.Layer):
    """Narrow, convolve, widen, and add the shortcut; the first of a stage projects it."""

    def __init__(self, in_channels: int, *, width: int, stride: int, dilation: int, projects: bool) -> None:
        super().__init__()
        out_channels = width * _EXPANSION
        self.conv0 = _unit(in_channels, width, kernel_size=1)
        self.conv1 = _unit(width, width, kernel_size=3, stride=stride, dilation=dilation)
        self.conv2 = _unit(width, out_channels, kernel_size=1, relu=False)
        self.short = _unit(in_channels, out_channels, kernel_size=1, relu=False) if projects else None
        self._pools = stride == 2

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(self.conv0(x)))
        if self._pools:
            # A border cell of an odd side is the mean of the pixels it has.
            x = F.avg_pool2d(x, kernel_size=2, stride=2, ceil_mode=True, exclusive=True)
        return F.relu(y + (x if self.short is None else self.short(x)))


def _blocks(in_channels: int, *, width: int, stride: int, dilations: Sequence[int]) -> list[nn.Layer]:
    """The blocks of one stage, of which the first strides."""
    first = _Bottleneck(in_channels, width=width, stride=stride, dilation=dilations[0], projects=True)
    further = (
        _Bottleneck(width * _EXPANSION, width=width, stride=1, dilation=dilation, projects=False)
        for dilation in dilations[1:]
    )
    return [first, *further]


class ResNetVd(nn.Layer):
    """Backbone that returns the outputs of its four stages (arXiv:1812.01187, variant D; 1706.05587).

    Args:
        depth: 50 or 101 layers.
        output_stride: stride of the last stage; dilation replaces the strides beyond it.
        multi_grid: factors of the dilation in the three blocks of the last stage.

    Attributes:
        out_channels: channels of the outputs.
        strides: their strides.

    Raises:
        ConfigError: for another output stride, or other than three factors.
    """

    def __init__(
        self,
        depth: Literal[50, 101],
        *,
        output_stride: Literal[8, 16, 32] = 8,
        multi_grid: Sequence[int] = (1, 1, 1),
    ) -> None:
        super().__init__()
        if output_stride not in _DILATIONS:
            raise ConfigError(f"output_stride: found {output_stride!r}, expected one of {(*_DILATIONS,)}")
        counts = _NUM_BLOCKS[depth]
        if len(multi_grid) != counts[-1]:
            raise ConfigError(f"multi_grid: found {multi_grid!r}, expected {counts[-1]} factors")
        self.conv1_1 = _unit(3, 32, kernel_size=3, stride=2)
        self.conv1_2 = _unit(32, 32, kernel_size=3)
        self.conv1_3 = _unit(32, 64, kernel_size=3)
        self._stages: list[list[nn.Layer]] = []
        channels, strides = 64, [4]
        for stage, (count, dilation) in enumerate(zip(counts, _DILATIONS[output_stride], strict=True)):
            factors = multi_grid if stage == 3 else (1,) * count
            stride = 2 if stage > 0 and dilation * factors[0] == 1 else 1
            blocks = _blocks(
                channels, width=64 * 2**stage, stride=stride, dilations=[dilation * f for f in factors]
            )
            self._stages.append(blocks)
            for i, block in enumerate(blocks):
                self.add_sublayer(f"bb_{stage}_{i}", block)
            channels = 64 * 2**stage * _EXPANSION
            strides.append(strides[-1] * stride)
        self.out_channels = tuple(64 * 2**stage * _EXPANSION for stage in range(4))
        self.strides = tuple(strides[1:])

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map image (B, 3, H, W) to four features, fine to coarse."""
        x = self.conv1_3(self.conv1_2(self.conv1_1(image)))
        x = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        outputs = []
        for blocks in self._stages:
            for block in blocks:
                x = block(x)
            outputs.append(x)
        return outputs
