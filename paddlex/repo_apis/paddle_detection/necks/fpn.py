"""Feature pyramid (FPN, arXiv:1612.03144): coarse features are added to finer ones, at one width."""

from collections.abc import Sequence

import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.convolution import Conv2D
from paddlex.nn.initializers import xavier_uniform
from paddlex.nn.resize import double_nearest

__all__ = ["FPN"]


class FPN(nn.Layer):
    """Neck that gives the stages res2, res3, ... of a backbone one width, and adds a coarser level.

    Args:
        in_channels: channels of the features, fine to coarse; the first is res2.
        width: channels of every output.
        strides: strides of the features; the added level has twice the last.

    Attributes:
        out_channels: channels of the outputs, one more than the inputs.
        strides: their strides.
    """

    def __init__(
        self, in_channels: Sequence[int], *, width: int = 256, strides: Sequence[int] = (4, 8, 16, 32)
    ) -> None:
        super().__init__()
        self._laterals: list[str] = []
        self._outputs: list[str] = []
        stages = range(2, 2 + len(in_channels))
        for stage, channels in zip(stages, in_channels, strict=True):
            # The coarsest lateral lacks the suffix in the published weights.
            suffix = "" if stage == stages[-1] else "_lateral"
            self._laterals.append(f"fpn_inner_res{stage}_sum{suffix}")
            self._outputs.append(f"fpn_res{stage}_sum")
            lateral = Conv2D(
                channels, width, 1, weight_attr=xavier_uniform(fan_in=channels, fan_out=channels)
            )
            fan = 9 * width
            output = Conv2D(width, width, 3, padding=1, weight_attr=xavier_uniform(fan_in=fan, fan_out=fan))
            self.add_sublayer(self._laterals[-1], lateral)
            self.add_sublayer(self._outputs[-1], output)
        self.out_channels = [width] * (len(in_channels) + 1)
        self.strides = [*strides, 2 * strides[-1]]

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Fuse `features`, (B, C_i, H_i, W_i) fine to coarse, each twice as high and wide as the next.

        Returns:
            As many levels (B, width, H_i, W_i), and every second pixel of the last.
        """
        layers = self._sub_layers
        # By index: tracing does not understand a strict `zip`.
        sums = [layers[name](features[i]) for i, name in enumerate(self._laterals)]
        for i in range(len(sums) - 1, 0, -1):
            sums[i - 1] = sums[i - 1] + double_nearest(sums[i])
        levels = [layers[name](sums[i]) for i, name in enumerate(self._outputs)]
        return [*levels, F.max_pool2d(levels[-1], kernel_size=1, stride=2)]
