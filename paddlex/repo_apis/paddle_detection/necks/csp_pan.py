"""CSP-PAN, the neck of PP-YOLOE (arXiv:2203.16250): a path aggregation network of cross-stage partial stages.

Levels are counted from the coarsest: 0 has stride 32, 1 has 16, 2 has 8.
"""

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.resize import double_nearest
from paddlex.repo_apis.paddle_detection.backbones.cspresnet import RepBlock, conv_swish

__all__ = ["CSPPAN"]

_POOLS = (5, 9, 13)


class _PyramidPooling(nn.Layer):
    """Maxima over three window sizes beside the input (SPP, arXiv:1406.4729)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv_swish(channels * (1 + len(_POOLS)), channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = [F.max_pool2d(x, side, stride=1, padding=side // 2) for side in _POOLS]
        return self.conv(paddle.concat([x, *pooled], axis=1))


class _CSPStage(nn.Layer):
    """Two pointwise branches, one continued by blocks, concatenated and joined.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        num_blocks: blocks.
        pyramid_pooling: pool after the middle block.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, num_blocks: int, pyramid_pooling: bool
    ) -> None:
        super().__init__()
        half = out_channels // 2
        self.conv1 = conv_swish(in_channels, half, kernel_size=1)
        self.conv2 = conv_swish(in_channels, half, kernel_size=1)
        self.convs = nn.Sequential()
        for index in range(num_blocks):
            self.convs.add_sublayer(str(index), RepBlock(half, shortcut=False, scaled=False))
            if pyramid_pooling and index == (num_blocks - 1) // 2:
                self.convs.add_sublayer("spp", _PyramidPooling(half))
        self.conv3 = conv_swish(2 * half, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(paddle.concat([self.conv1(x), self.convs(self.conv2(x))], axis=1))


class CSPPAN(nn.Layer):
    """Fuses features top-down, then bottom-up.

    Args:
        in_channels: channels of the backbone's features of strides 8, 16 and 32.
        widths: channels of the outputs of strides 32, 16 and 8.
        num_blocks: blocks of every stage.

    Attributes:
        out_channels: channels of the outputs, coarse to fine.
        strides: their strides.
    """

    def __init__(self, in_channels: Sequence[int], widths: Sequence[int], *, num_blocks: int) -> None:
        super().__init__()
        last = len(widths) - 1
        from_coarser = [0, *(width // 2 for width in widths[:-1])]
        fpn_inputs = [ins + more for ins, more in zip(reversed(in_channels), from_coarser, strict=True)]

        # The published names count one stage per level.
        def stage(ins: int, outs: int, *, pyramid_pooling: bool = False) -> nn.Sequential:
            return nn.Sequential(_CSPStage(ins, outs, num_blocks=num_blocks, pyramid_pooling=pyramid_pooling))

        self.fpn_stages = nn.LayerList(
            stage(ins, outs, pyramid_pooling=level == 0)
            for level, (ins, outs) in enumerate(zip(fpn_inputs, widths, strict=True))
        )
        self.fpn_routes = nn.LayerList(
            conv_swish(width, width // 2, kernel_size=1) for width in widths[:last]
        )
        self.pan_stages = nn.LayerList(
            stage(widths[level] + widths[level + 1], widths[level]) for level in range(last)
        )
        self.pan_routes = nn.LayerList(
            conv_swish(width, width, kernel_size=3, stride=2) for width in widths[1:]
        )
        self.out_channels, self.strides = tuple(widths), (32, 16, 8)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Map the backbone's features, fine to coarse, to fused ones, coarse to fine."""
        coarse_to_fine = features[::-1]
        fused = [self.fpn_stages[0](coarse_to_fine[0])]
        for route, stage, feature in zip(
            self.fpn_routes, self.fpn_stages[1:], coarse_to_fine[1:], strict=True
        ):
            fused.append(stage(paddle.concat([double_nearest(route(fused[-1])), feature], axis=1)))
        outputs = [fused[-1]]
        for level in reversed(range(len(self.pan_stages))):
            route = self.pan_routes[level](outputs[0])
            outputs.insert(0, self.pan_stages[level](paddle.concat([route, fused[level]], axis=1)))
        return outputs
