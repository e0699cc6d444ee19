"""ResNet and ResNeXt (arXiv:1512.03385, 1611.05431) with frozen normalisation, as detectors use them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from types import MappingProxyType
from typing import Literal

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.conv_bn import ConvBN, unfreeze_units
from paddlex.nn.frozen_bn import FrozenBatchNorm2D
from paddlex.nn.initializers import kaiming_normal

__all__ = ["BottleneckStage", "ResNet", "Variant", "start_from_shortcuts"]

Variant = Literal["b", "d"]

_NUM_BLOCKS: Mapping[int, tuple[int, int, int, int]] = MappingProxyType(
    {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
)
_EXPANSION = 4


@dataclass(frozen=True)
class _UnitMaker:
    """Makes the convolutional units of one part of the network; a learning rate of 0 freezes the kernels."""

    learning_rate: float

    def __call__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
        relu: bool = True,
    ) -> ConvBN:
        # The published initial deviation counts all input channels, of grouped kernels too.
        weight_attr = kaiming_normal(
            in_channels * kernel_size**2,
            learning_rate=self.learning_rate,
            trainable=self.learning_rate > 0,
        )
        return ConvBN(
            in_channels,
            out_channels,
            kernel_size=kernel_size,
            stride=stride,
            groups=groups,
            activation=F.relu if relu else None,
            weight_attr=weight_attr,
            frozen_norm=True,
            norm_name="norm",
        )


def _stem(variant: Variant, *, unit: _UnitMaker) -> nn.Sequential:
    """Return the convolutions before the first pooling: one of 7x7, or three of 3x3."""
    if variant == "b":
        return nn.Sequential(("conv1", unit(3, 64, kernel_size=7, stride=2)))
    return nn.Sequential(
        ("conv1_1", unit(3, 32, kernel_size=3, stride=2)),
        ("conv1_2", unit(32, 32, kernel_size=3)),
        ("conv1_3", unit(32, 64, kernel_size=3)),
    )


class _PooledShortcut(nn.Layer):
    """Shortcut of variant d: the mean of 2x2 pixels instead of the choice of one."""

    def __init__(self, conv: ConvBN) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        # A border cell of an odd side is the mean of the pixels it has.
        return self.conv(F.avg_pool2d(x, kernel_size=2, stride=2, ceil_mode=True, exclusive=True))


class _Bottleneck(nn.Layer):
    """Narrow, convolve with the stride, widen, and add the shortcut; the first of a stage projects it."""

    def __init__(
        self,
        in_channels: int,
        *,
        width: int,
        out_channels: int,
        stride: int,
        groups: int,
        variant: Variant,
        is_first: bool,
        unit: _UnitMaker,
    ) -> None:
        super().__init__()
        self.branch2a = unit(in_channels, width, kernel_size=1)
        self.branch2b = unit(width, width, kernel_size=3, stride=stride, groups=groups)
        self.branch2c = unit(width, out_channels, kernel_size=1, relu=False)
        self.short: nn.Layer | None = None
        if is_first:
            pooled = variant == "d" and stride == 2
            conv = unit(in_channels, out_channels, kernel_size=1, stride=1 if pooled else stride, relu=False)
            self.short = _PooledShortcut(conv) if pooled else conv

    def forward(self, x: Tensor) -> Tensor:
        y = self.branch2c(self.branch2b(self.branch2a(x)))
        return F.relu(y + (x if self.short is None else self.short(x)))


class BottleneckStage(nn.Layer):
    """One stage, `res<number>`; it halves the resolution, except for the first, number 2.

    Args:
        number: 2 to 5; stage 2 has 256 output channels, each further one twice as many.
        in_channels: channels of the input.
        num_blocks: bottleneck blocks.
        variant: b or d, where a strided shortcut pools.
        groups: groups of the 3x3 convolutions.
        base_width: channels of a group in stage 2 (64 with one group: the plain ResNet).
        learning_rate: factor of the kernels; 0 freezes them.

    Attributes:
        out_channels: channels of the output.
    """

    def __init__(
        self,
        number: int,
        *,
        in_channels: int,
        num_blocks: int,
        variant: Variant = "b",
        groups: int = 1,
        base_width: int = 64,
        learning_rate: float = 1.0,
    ) -> None:
        super().__init__()
        channels = 64 * 2 ** (number - 2)
        self.out_channels = channels * _EXPANSION
        for i, suffix in enumerate(_block_suffixes(num_blocks)):
            block = _Bottleneck(
                in_channels if i == 0 else self.out_channels,
                width=channels * base_width // 64 * groups,
                out_channels=self.out_channels,
                stride=2 if i == 0 and number > 2 else 1,
                groups=groups,
                variant=variant,
                is_first=i == 0,
                unit=_UnitMaker(learning_rate),
            )
            self.add_sublayer(f"res{number}{suffix}", block)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, in_channels, H, W) to (B, out_channels, H / 2, W / 2); stage 2 keeps H and W."""
        for block in self.children():
            x = block(x)
        return x

    def unfreeze(self) -> None:
        """Let kernels and normalisation learn with the full learning rate."""
        unfreeze_units(self)


def _block_suffixes(num_blocks: int) -> Sequence[str]:
    """Return the published suffixes: a, b, c, ..., or a, b1, b2, ... for more than ten blocks."""
    if num_blocks > 10:
        return ["a", *(f"b{i}" for i in range(1, num_blocks))]
    return ascii_lowercase[:num_blocks]


class ResNet(nn.Layer):
    """Backbone that returns the outputs of chosen stages; its normalisations keep the loaded statistics.

    Args:
        depth: 50 or 101 layers.
        variant: b strides in the 3x3 convolution; d also has a stem of three convolutions and shortcuts that
            pool (arXiv:1812.01187).
        groups: groups of the 3x3 convolutions, 64 for the ResNeXt 64x4d.
        base_width: channels of a group in res2, 4 for the ResNeXt 64x4d.
        out_stages: numbers of the stages to return, ascending within 2 to 5; later stages are not built.
        last_frozen_stage: the kernels of the stem (1) and of the stages up to this one do not learn; 0
            freezes none.
        learning_rate_factors: of the kernels of res2 to res5.
        learn_affine: let scale and shift of the normalisations learn where the kernels do.

    Attributes:
        out_channels: channels of the outputs.
        strides: their strides, out of 4, 8, 16 and 32.
    """

    def __init__(
        self,
        depth: Literal[50, 101],
        *,
        variant: Variant = "b",
        groups: int = 1,
        base_width: int = 64,
        out_stages: Sequence[int] = (2, 3, 4, 5),
        last_frozen_stage: int = 2,
        learning_rate_factors: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
        learn_affine: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = _stem(variant, unit=_UnitMaker(float(last_frozen_stage < 1)))
        stages: dict[int, BottleneckStage] = {}
        channels = 64
        for number in range(2, max(out_stages) + 1):
            stages[number] = BottleneckStage(
                number,
                in_channels=channels,
                num_blocks=_NUM_BLOCKS[depth][number - 2],
                variant=variant,
                groups=groups,
                base_width=base_width,
                learning_rate=learning_rate_factors[number - 2] if number > last_frozen_stage else 0.0,
            )
            self.add_sublayer(f"res{number}", stages[number])
            channels = stages[number].out_channels
        if learn_affine:
            _learn_affine([self.conv1, *stages.values()][last_frozen_stage:])
        self.out_channels = [stages[number].out_channels for number in out_stages]
        self.strides = [2**number for number in out_stages]
        self._out_stages = tuple(out_stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features of image (B, 3, H, W) at `strides`."""
        x = F.max_pool2d(self.conv1(image), kernel_size=3, stride=2, padding=1)
        features = []
        for number in range(2, self._out_stages[-1] + 1):
            x = self._sub_layers[f"res{number}"](x)
            if number in self._out_stages:
                features.append(x)
        return features

    def unfreeze(self) -> None:
        """Let every part learn with the full learning rate, as training without start weights needs."""
        unfreeze_units(self)


def start_from_shortcuts(root: nn.Layer) -> None:
    """Let every bottleneck block inside `root` begin as its shortcut (arXiv:1706.02677).

    For training from nothing: sixteen blocks that each add as much as they get make features four times as
    large, and gradients that end a training in its first steps.
    """
    for block in root.sublayers(include_self=True):
        if isinstance(block, _Bottleneck):
            block.branch2c.normalization.weight.set_value(
                paddle.zeros_like(block.branch2c.normalization.weight)
            )


def _learn_affine(parts: Sequence[nn.Layer]) -> None:
    for part in parts:
        for layer in part.sublayers():
            if isinstance(layer, FrozenBatchNorm2D):
                layer.learn_affine()
