"""HRNet (arXiv:1908.07919): branches of several resolutions that exchange features throughout."""

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.conv_bn import ConvBN
from paddlex.nn.coordinates import spatial_size
from paddlex.nn.resize import resize_bilinear
from paddlex.repo_apis.paddle_seg.conv_units import conv_bn

__all__ = ["HRNet"]

_BLOCKS_OF_A_BRANCH = 4
_STEM_CHANNELS = 256


def _unit(
    in_channels: int, out_channels: int, *, kernel_size: int = 3, stride: int = 1, relu: bool = True
) -> ConvBN:
    return conv_bn(in_channels, out_channels, kernel_size=kernel_size, stride=stride, bias=False, relu=relu)


class _Bottleneck(nn.Layer):
    """Narrow, convolve, widen, and add the input, which the first block widens, too."""

    def __init__(self, in_channels: int, *, width: int) -> None:
        super().__init__()
        out_channels = 4 * width
        self.conv1 = _unit(in_channels, width, kernel_size=1)
        self.conv2 = _unit(width, width)
        self.conv3 = _unit(width, out_channels, kernel_size=1, relu=False)
        self.conv_down: nn.Layer | None = None
        if in_channels != out_channels:
            self.conv_down = _unit(in_channels, out_channels, kernel_size=1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.conv_down is None else self.conv_down(x)
        return F.relu(self.conv3(self.conv2(self.conv1(x))) + shortcut)


class _BasicBlock(nn.Layer):
    """Two convolutions, and the input added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _unit(channels, channels)
        self.conv2 = _unit(channels, channels, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(self.conv1(x)) + x)


class _Stem(nn.Sequential):
    """Four bottleneck blocks at stride 4."""

    def __init__(self, in_channels: int) -> None:
        widths = (in_channels, *(_STEM_CHANNELS,) * 3)
        blocks = (_Bottleneck(width, width=_STEM_CHANNELS // 4) for width in widths)
        super().__init__(*((f"bb_layer2_{i}", block) for i, block in enumerate(blocks, start=1)))


class _Transition(nn.Layer):
    """Widths of the branches brought to those of the next stage, which has one branch more."""

    def __init__(self, name: str, in_channels: Sequence[int], out_channels: Sequence[int]) -> None:
        super().__init__()
        self._layers: list[nn.Layer | None] = []
        for i, width in enumerate(out_channels):
            before = in_channels[min(i, len(in_channels) - 1)]
            is_new = i >= len(in_channels)
            layer = _unit(before, width, stride=2 if is_new else 1) if is_new or before != width else None
            if layer is not None:
                self.add_sublayer(f"transition_{name}_layer_{i + 1}", layer)
            self._layers.append(layer)

    def forward(self, branches: Sequence[Tensor]) -> list[Tensor]:
        sources = [*branches, branches[-1]]
        return [x if layer is None else layer(x) for layer, x in zip(self._layers, sources, strict=True)]


class _Branches(nn.Layer):
    """Four basic blocks in each branch."""

    def __init__(self, name: str, channels: Sequence[int]) -> None:
        super().__init__()
        self._branches: list[list[nn.Layer]] = []
        for i, width in enumerate(channels, start=1):
            blocks = [_BasicBlock(width) for _ in range(_BLOCKS_OF_A_BRANCH)]
            self._branches.append(blocks)
            for k, block in enumerate(blocks, start=1):
                self.add_sublayer(f"bb_{name}_branch_layer_{i}_{k}", block)

    def forward(self, branches: Sequence[Tensor]) -> list[Tensor]:
        outputs = []
        for blocks, x in zip(self._branches, branches, strict=True):
            for block in blocks:
                x = block(x)
            outputs.append(x)
        return outputs


class _Fusion(nn.Layer):
    """Each branch becomes the sum of all, brought to its width and size."""

    def __init__(self, name: str, channels: Sequence[int], *, align_corners: bool) -> None:
        super().__init__()
        self._paths: dict[tuple[int, int], list[nn.Layer]] = {}
        for i, target in enumerate(channels):
            for j, source in enumerate(channels):
                if j != i:
                    path = _enlarging(source, target) if j > i else _reducing(source, target, times=i - j)
                    self._paths[i, j] = path
                    stem = f"residual_{name}_layer_{i + 1}_{j + 1}"
                    for k, layer in enumerate(path, start=1):
                        self.add_sublayer(stem if j > i else f"{stem}_{k}", layer)
        self._align_corners = align_corners

    def forward(self, branches: Sequence[Tensor]) -> list[Tensor]:
        outputs = []
        for i, total in enumerate(branches):
            for j, x in enumerate(branches):
                if j == i:
                    continue
                for layer in self._paths[i, j]:
                    x = layer(x)
                if j > i:
                    x = resize_bilinear(x, spatial_size(branches[i]), align_corners=self._align_corners)
                total = total + x
            outputs.append(F.relu(total))
        return outputs


def _enlarging(source: int, target: int) -> list[nn.Layer]:
    """From a coarser branch: the width alone, an interpolation follows."""
    return [_unit(source, target, kernel_size=1, relu=False)]


def _reducing(source: int, target: int, *, times: int) -> list[nn.Layer]:
    """From a finer branch: halved `times` times, the last of which brings the width."""
    halvings = [_unit(source, source, stride=2) for _ in range(times - 1)]
    return [*halvings, _unit(source, target, stride=2, relu=False)]


class _Module(nn.Layer):
    """Blocks within the branches, then an exchange between them."""

    def __init__(self, name: str, channels: Sequence[int], *, align_corners: bool) -> None:
        super().__init__()
        self.branches_func = _Branches(name, channels)
        self.fuse_func = _Fusion(name, channels, align_corners=align_corners)

    def forward(self, branches: Sequence[Tensor]) -> list[Tensor]:
        return self.fuse_func(self.branches_func(branches))


def _stage(name: str, channels: Sequence[int], *, num_modules: int, align_corners: bool) -> nn.Sequential:
    names = [f"{name}_{i}" for i in range(1, num_modules + 1)]
    return nn.Sequential(*((f"stage_{n}", _Module(n, channels, align_corners=align_corners)) for n in names))


class HRNet(nn.Layer):
    """Backbone of up to four branches, whose outputs are joined at the finest one's size.

    Args:
        width: channels of the finest branch; each further one has twice as many.
        align_corners: see `resize_bilinear`.

    Attributes:
        out_channels: channels of the one output.
        strides: its stride.
    """

    def __init__(self, width: int, *, align_corners: bool = False) -> None:
        super().__init__()
        channels = [width * 2**i for i in range(4)]
        self.conv_layer1_1 = _unit(3, 64, stride=2)
        self.conv_layer1_2 = _unit(64, 64, stride=2)
        self.la1 = _Stem(64)
        self.tr1 = _Transition("tr1", [_STEM_CHANNELS], channels[:2])
        self.st2 = _stage("st2", channels[:2], num_modules=1, align_corners=align_corners)
        self.tr2 = _Transition("tr2", channels[:2], channels[:3])
        self.st3 = _stage("st3", channels[:3], num_modules=4, align_corners=align_corners)
        self.tr3 = _Transition("tr3", channels[:3], channels)
        self.st4 = _stage("st4", channels, num_modules=3, align_corners=align_corners)
        self.out_channels = (sum(channels),)
        self.strides = (4,)
        self._align_corners = align_corners

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map image (B, 3, H, W) to one feature (B, 15 width, H / 4, W / 4), alone in a list."""
        branches = [self.la1(self.conv_layer1_2(self.conv_layer1_1(image)))]
        for part in (self.tr1, self.st2, self.tr2, self.st3, self.tr3, self.st4):
            branches = part(branches)
        size = spatial_size(branches[0])
        enlarged = [resize_bilinear(x, size, align_corners=self._align_corners) for x in branches[1:]]
        return [paddle.concat([branches[0], *enlarged], axis=1)]
