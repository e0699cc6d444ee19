"""Head of PP-YOLOE_seg: class, box and mask coefficients per cell (arXiv:2203.16250, arXiv:1904.02689)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import ParamAttr, Tensor, nn
from paddle.nn import initializer

from paddlex.nn.convolution import Conv2D, DoublingConv2DTranspose
from paddlex.nn.initializers import constant
from paddlex.nn.size_tables import LevelSizes, SizeTables
from paddlex.repo_apis.paddle_detection.backbones.cspresnet import conv_swish
from paddlex.repo_apis.paddle_detection.necks.csp import conv_silu

__all__ = ["PROTOTYPE_STRIDE", "CellPredictions", "PPYOLOESegHead", "cell_tables"]

PROTOTYPE_STRIDE = 4
_PRIOR_PROBABILITY = 0.01


@dataclass(frozen=True, kw_only=True)
class CellPredictions:
    """Predictions of the L cells of all levels, coarse to fine, each level row by row.

    Attributes:
        logits: (B, L, C) class logits.
        side_logits: (B, L, 4, bins): how far the box's left, top, right and bottom lie from the cell's
            centre, as a distribution over 0, 1, ... strides.
        distances: (B, L, 4), the means of these distributions.
        coefficients: (B, L, P) of the prototypes.
        prototypes: (B, P, h, w) at a quarter of the input.
        points: (L, 2) x, y of the cells' centres, in strides.
        strides: (L, 1) pixels.
    """

    logits: Tensor
    side_logits: Tensor
    distances: Tensor
    coefficients: Tensor
    prototypes: Tensor
    points: Tensor
    strides: Tensor

    def float(self) -> "CellPredictions":
        """Return the predictions in float32, whatever mixed precision made of them."""
        values = {field.name: getattr(self, field.name).astype("float32") for field in fields(self)}
        return CellPredictions(**values)

    @property
    def grid_boxes(self) -> Tensor:
        """(B, L, 4) xyxy in strides of the cell's level."""
        return paddle.concat(
            [self.points - self.distances[..., :2], self.points + self.distances[..., 2:]], axis=-1
        )

    @property
    def boxes(self) -> Tensor:
        """(B, L, 4) xyxy in pixels of the network input, not clipped."""
        return self.grid_boxes * self.strides


def cell_tables(level_sizes: LevelSizes, *, strides: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the centres (L, 2) of all cells in strides, and the strides (L, 1) in pixels; float32.

    Args:
        level_sizes: (height, width) of every level.
        strides: stride of every level.
    """
    points, cell_strides = [], []
    for (height, width), stride in zip(level_sizes, strides, strict=True):
        y, x = np.mgrid[:height, :width].astype(np.float32) + np.float32(0.5)
        points.append(np.stack([x, y], axis=-1).reshape(-1, 2))
        cell_strides.append(np.full((height * width, 1), stride, np.float32))
    return paddle.to_tensor(np.concatenate(points)), paddle.to_tensor(np.concatenate(cell_strides))


class _AttentionStem(nn.Layer):
    """Efficient squeeze and excitation: a gate from the level's mean, then a pointwise convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        small = ParamAttr(initializer=initializer.Normal(0.0, 0.001))
        self.fc = Conv2D(channels, channels, 1, weight_attr=small)
        self.conv = conv_swish(channels, channels, kernel_size=1)

    def forward(self, feature: Tensor, mean: Tensor) -> Tensor:
        return self.conv(feature * F.sigmoid(self.fc(mean)))


class _Prototypes(nn.Layer):
    """Prototype masks at twice the resolution of the finest level (YOLACT, arXiv:1904.02689)."""

    def __init__(self, in_channels: int, *, hidden: int, count: int) -> None:
        super().__init__()
        self.conv1 = conv_silu(in_channels, hidden, kernel_size=3)
        self.upsample = DoublingConv2DTranspose(hidden, hidden)
        self.conv2 = conv_silu(hidden, hidden, kernel_size=3)
        self.conv3 = conv_silu(hidden, count, kernel_size=1)

    def forward(self, feature: Tensor) -> Tensor:
        return self.conv3(self.conv2(self.upsample(self.conv1(feature))))


def _predictor(in_channels: int, out_channels: int, *, bias: float | None = None) -> Conv2D:
    """Return a 3x3 convolution; with `bias` it starts from that value everywhere."""
    attrs = {} if bias is None else {"weight_attr": constant(0.0), "bias_attr": constant(bias)}
    return Conv2D(in_channels, out_channels, 3, padding=1, **attrs)


class PPYOLOESegHead(nn.Layer):
    """Predicts at every cell of three levels; cells vote for the objects whose boxes they lie in.

    Args:
        in_channels: channels of the levels, coarse to fine.
        strides: their strides.
        num_classes: classes.
        num_bins: support of a side's distribution: 0 to `num_bins` - 1 strides.
        num_prototypes: prototype masks.
        prototype_hidden: channels inside the prototype branch.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        strides: Sequence[int],
        num_classes: int,
        num_bins: int,
        num_prototypes: int,
        prototype_hidden: int,
    ) -> None:
        super().__init__()
        self.num_classes, self.num_bins, self.strides = num_classes, num_bins, tuple(strides)
        prior = -math.log((1.0 - _PRIOR_PROBABILITY) / _PRIOR_PROBABILITY)
        self.stem_cls = nn.LayerList(_AttentionStem(channels) for channels in in_channels)
        self.stem_reg = nn.LayerList(_AttentionStem(channels) for channels in in_channels)
        self.stem_ins = nn.LayerList(_AttentionStem(channels) for channels in in_channels)
        self.pred_cls = nn.LayerList(_predictor(n, num_classes, bias=prior) for n in in_channels)
        self.pred_reg = nn.LayerList(_predictor(n, 4 * num_bins, bias=1.0) for n in in_channels)
        self.pred_ins = nn.LayerList(_predictor(n, num_prototypes) for n in in_channels)
        # The bins' distances as a 1x1 convolution that never learns: part of the published weights.
        bins = initializer.Assign(np.arange(num_bins, dtype=np.float32).reshape(1, num_bins, 1, 1))
        self.proj_conv = Conv2D(
            num_bins, 1, 1, weight_attr=ParamAttr(initializer=bins, trainable=False), bias_attr=False
        )
        self.proto = _Prototypes(in_channels[-1], hidden=prototype_hidden, count=num_prototypes)
        self.cells = SizeTables(lambda sizes: cell_tables(sizes, strides=self.strides))

    def fix_image_size(self, image_size: tuple[int, int]) -> None:
        """Keep the cells of images of (height, width) `image_size` as buffers."""
        height, width = image_size
        self.cells.fix(tuple((height // stride, width // stride) for stride in self.strides))

    def forward(self, levels: Sequence[Tensor]) -> CellPredictions:
        """Predict from levels (B, in_channels[i], H / s, W / s), coarse to fine."""
        means = [F.adaptive_avg_pool2d(level, 1) for level in levels]
        logits, sides, coefficients = [], [], []
        for i, (level, mean) in enumerate(zip(levels, means, strict=True)):
            logits.append(_cells(self.pred_cls[i](self.stem_cls[i](level, mean) + level)))
            sides.append(_cells(self.pred_reg[i](self.stem_reg[i](level, mean))))
            coefficients.append(_cells(self.pred_ins[i](self.stem_ins[i](level, mean) + level)))
        side_logits = paddle.concat(sides, axis=1)
        side_logits = side_logits.reshape([0, 0, 4, self.num_bins])
        sizes = tuple((level.shape[2], level.shape[3]) for level in levels)
        points, strides = self.cells(sizes)
        return CellPredictions(
            logits=paddle.concat(logits, axis=1),
            side_logits=side_logits,
            distances=self.mean_distances(side_logits),
            coefficients=paddle.concat(coefficients, axis=1),
            prototypes=self.proto(levels[-1]),
            points=points,
            strides=strides,
        )

    def mean_distances(self, side_logits: Tensor) -> Tensor:
        """Return the means (..., 4) of the distributions side_logits (..., 4, bins)."""
        return paddle.matmul(F.softmax(side_logits, axis=-1), self.proj_conv.weight.flatten())


def _cells(x: Tensor) -> Tensor:
    """Lay (B, C, H, W) out as (B, H * W, C)."""
    return x.flatten(2).transpose([0, 2, 1])
