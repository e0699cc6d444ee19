"""HGNetV2, the backbone of RT-DETR (arXiv:2304.08069): cheap 3x3 layers whose outputs are all aggregated."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import paddle
import paddle.nn.functional as F
from paddle import ParamAttr, Tensor, nn
from paddle.nn import initializer

from paddlex.nn.conv_bn import ConvBN
from paddlex.nn.initializers import kaiming_normal

__all__ = ["HGNETV2_ARCHS", "ArchName", "HGNetV2", "HGNetV2Arch", "Stage"]

ArchName = Literal["S", "M", "L", "X", "H"]

_LAB_LEARNING_RATE = 0.01


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Shape of one stage.

    Attributes:
        in_channels: channels entering.
        mid_channels: channels of every layer inside a block.
        out_channels: channels leaving.
        num_blocks: blocks in sequence.
        light: layers of a pointwise and a depthwise convolution instead of one full convolution.
        kernel_size: kernel of the layers.
        num_layers: layers per block.
    """

    in_channels: int
    mid_channels: int
    out_channels: int
    num_blocks: int
    light: bool
    kernel_size: int
    num_layers: int = 6


@dataclass(frozen=True)
class HGNetV2Arch:
    """Shape of one size of the network: channels of the stem (input, middle, output) and four stages."""

    stem_channels: tuple[int, int, int]
    stages: tuple[Stage, Stage, Stage, Stage]


def _arch(
    stem_channels: tuple[int, int, int],
    *,
    mid: Sequence[int],
    out: Sequence[int],
    blocks: Sequence[int],
    num_layers: int,
) -> HGNetV2Arch:
    """Compose an architecture; stages 2 and 3 are always light with 5x5 kernels."""
    ins = (stem_channels[2], *out[:3])
    stages = tuple(
        Stage(
            in_channels=ins[i],
            mid_channels=mid[i],
            out_channels=out[i],
            num_blocks=blocks[i],
            light=i >= 2,
            kernel_size=5 if i >= 2 else 3,
            num_layers=num_layers,
        )
        for i in range(4)
    )
    return HGNetV2Arch(stem_channels, (stages[0], stages[1], stages[2], stages[3]))


HGNETV2_ARCHS: Mapping[ArchName, HGNetV2Arch] = MappingProxyType(
    {
        "S": _arch(
            (3, 24, 32), mid=(32, 48, 96, 192), out=(64, 256, 512, 1024), blocks=(1, 1, 2, 1), num_layers=3
        ),
        "M": _arch(
            (3, 24, 32), mid=(32, 64, 128, 256), out=(96, 384, 768, 1536), blocks=(1, 1, 3, 1), num_layers=4
        ),
        "L": _arch(
            (3, 32, 48), mid=(48, 96, 192, 384), out=(128, 512, 1024, 2048), blocks=(1, 1, 3, 1), num_layers=6
        ),
        "X": _arch(
            (3, 32, 64),
            mid=(64, 128, 256, 512),
            out=(128, 512, 1024, 2048),
            blocks=(1, 2, 5, 2),
            num_layers=6,
        ),
        "H": _arch(
            (3, 48, 96),
            mid=(96, 192, 384, 768),
            out=(192, 512, 1024, 2048),
            blocks=(2, 3, 6, 3),
            num_layers=6,
        ),
    }
)


class _LearnableAffine(nn.Layer):
    """Scalar scale and shift after an activation (LAB)."""

    def __init__(self, learning_rate: float) -> None:
        super().__init__()
        self.scale = self.create_parameter([1], attr=_scalar(1.0, learning_rate=learning_rate))
        self.bias = self.create_parameter([1], attr=_scalar(0.0, learning_rate=learning_rate), is_bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x + self.bias


def _scalar(value: float, *, learning_rate: float) -> ParamAttr:
    return ParamAttr(initializer=initializer.Constant(value), learning_rate=learning_rate)


@dataclass(frozen=True, kw_only=True)
class _UnitMaker:
    """Makes the convolutional units of one part of the network, all with the same training settings."""

    learning_rate: float
    frozen_norm: bool
    use_lab: bool

    def __call__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        stride: int = 1,
        padding: Sequence[int] | None = None,
        depthwise: bool = False,
        relu: bool = True,
    ) -> "_ConvUnit":
        groups = in_channels if depthwise else 1
        rate = self.learning_rate
        return _ConvUnit(
            in_channels,
            out_channels,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            groups=groups,
            activation=F.relu if relu else None,
            weight_attr=kaiming_normal(
                in_channels // groups * kernel_size**2, learning_rate=rate, trainable=rate > 0
            ),
            frozen_norm=self.frozen_norm,
            lab_learning_rate=rate * _LAB_LEARNING_RATE if relu and self.use_lab else None,
        )


class _ConvUnit(ConvBN):
    """Convolution, normalisation, activation and the optional learnable affine block."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        stride: int,
        padding: Sequence[int] | None,
        groups: int,
        activation: Callable[[Tensor], Tensor] | None,
        weight_attr: ParamAttr,
        frozen_norm: bool,
        lab_learning_rate: float | None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            groups=groups,
            activation=activation,
            weight_attr=weight_attr,
            frozen_norm=frozen_norm,
        )
        self.lab = None if lab_learning_rate is None else _LearnableAffine(lab_learning_rate)

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return x if self.lab is None else self.lab(x)

    def unfreeze(self) -> None:
        super().unfreeze()
        if self.lab is not None:
            for parameter in self.lab.parameters():
                parameter.optimize_attr["learning_rate"] = _LAB_LEARNING_RATE


class _Stem(nn.Layer):
    """Reduce the image four times, one branch by convolutions and one by pooling."""

    # "SAME" for a kernel of 2: nothing above and left, one row below and one column right.
    _SAME = (0, 1, 0, 1)

    def __init__(self, channels: tuple[int, int, int], *, unit: _UnitMaker) -> None:
        super().__init__()
        image, mid, out = channels
        self.stem1 = unit(image, mid, kernel_size=3, stride=2)
        self.stem2a = unit(mid, mid // 2, kernel_size=2, padding=self._SAME)
        self.stem2b = unit(mid // 2, mid, kernel_size=2, padding=self._SAME)
        self.stem3 = unit(2 * mid, mid, kernel_size=3, stride=2)
        self.stem4 = unit(mid, out, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem1(image)
        convolved = self.stem2b(self.stem2a(x))
        pooled = F.max_pool2d(x, kernel_size=2, stride=1, padding=list(self._SAME))
        return self.stem4(self.stem3(paddle.concat([pooled, convolved], axis=1)))


class _LightLayer(nn.Layer):
    """Pointwise convolution without activation, then depthwise convolution."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel_size: int, unit: _UnitMaker) -> None:
        super().__init__()
        self.conv1 = unit(in_channels, out_channels, kernel_size=1, relu=False)
        self.conv2 = unit(out_channels, out_channels, kernel_size=kernel_size, depthwise=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x))


class _Block(nn.Layer):
    """Chained layers whose outputs are all concatenated, squeezed and expanded."""

    def __init__(self, in_channels: int, *, stage: Stage, residual: bool, unit: _UnitMaker) -> None:
        super().__init__()
        mid, out = stage.mid_channels, stage.out_channels
        layers: list[nn.Layer] = []
        for i in range(stage.num_layers):
            channels = in_channels if i == 0 else mid
            if stage.light:
                layers.append(_LightLayer(channels, mid, kernel_size=stage.kernel_size, unit=unit))
            else:
                layers.append(unit(channels, mid, kernel_size=stage.kernel_size))
        self.layers = nn.LayerList(layers)
        total = in_channels + stage.num_layers * mid
        self.aggregation_squeeze_conv = unit(total, out // 2, kernel_size=1)
        self.aggregation_excitation_conv = unit(out // 2, out, kernel_size=1)
        self._residual = residual

    def forward(self, x: Tensor) -> Tensor:
        outputs = [x]
        for layer in self.layers:
            outputs.append(layer(outputs[-1]))
        y = self.aggregation_squeeze_conv(paddle.concat(outputs, axis=1))
        y = self.aggregation_excitation_conv(y)
        return x + y if self._residual else y


class _StageLayer(nn.Layer):
    """Optional downsampling, then blocks."""

    def __init__(self, stage: Stage, *, downsample: bool, unit: _UnitMaker) -> None:
        super().__init__()
        self.downsample = None
        if downsample:
            self.downsample = unit(
                stage.in_channels, stage.in_channels, kernel_size=3, stride=2, depthwise=True, relu=False
            )
        self.blocks = nn.LayerList(
            _Block(
                stage.in_channels if j == 0 else stage.out_channels, stage=stage, residual=j > 0, unit=unit
            )
            for j in range(stage.num_blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.downsample is not None:
            x = self.downsample(x)
        for block in self.blocks:
            x = block(x)
        return x


class HGNetV2(nn.Layer):
    """Backbone that returns the outputs of its four stages.

    Args:
        arch: channels and depths, see `HGNETV2_ARCHS`.
        learning_rate_factors: of the stem and of the four stages; 0 freezes the convolutions of that part.
        frozen_norms: every normalisation keeps its statistics, scale and shift.
        use_lab: add a learnable affine block after every activation.

    Attributes:
        out_channels: channels of the four outputs.
        strides: their strides, 4 to 32.
    """

    def __init__(
        self,
        arch: HGNetV2Arch,
        *,
        learning_rate_factors: Sequence[float] = (1.0, 1.0, 1.0, 1.0, 1.0),
        frozen_norms: bool = False,
        use_lab: bool = False,
    ) -> None:
        super().__init__()
        units = [
            _UnitMaker(learning_rate=factor, frozen_norm=frozen_norms, use_lab=use_lab)
            for factor in learning_rate_factors
        ]
        self.stem = _Stem(arch.stem_channels, unit=units[0])
        self.stages = nn.LayerList(
            _StageLayer(stage, downsample=i > 0, unit=units[1 + i]) for i, stage in enumerate(arch.stages)
        )
        self.out_channels = [stage.out_channels for stage in arch.stages]
        self.strides = [4, 8, 16, 32]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features of image (B, 3, H, W) at strides 4, 8, 16 and 32."""
        x = self.stem(image)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features

    def unfreeze(self) -> None:
        """Let every part learn with the full learning rate, as training without start weights needs."""
        for layer in self.sublayers():
            if isinstance(layer, ConvBN):
                layer.unfreeze()
