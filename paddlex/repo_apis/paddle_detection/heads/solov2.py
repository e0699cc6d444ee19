"""Heads of SOLOv2 (arXiv:2003.10152): what is in each cell of a grid, and the kernel that draws its mask."""

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import ParamAttr, Tensor, nn
from paddle.nn.initializer import Constant, Normal

from paddlex.nn.conv_gn import ConvGN
from paddlex.nn.convolution import Conv2D
from paddlex.nn.coordinates import coordinate_maps, spatial_size
from paddlex.nn.resize import resize_bilinear

__all__ = ["SOLOv2Head", "SOLOv2MaskHead", "keep_local_maxima", "list_cells"]

# Scores start at 1 %: most cells are background (arXiv:1708.02002).
_PRIOR_LOGIT = -4.59512


class SOLOv2Head(nn.Layer):
    """Category logits and mask kernels of the cells of one grid per level, by weights that all levels share.

    The published weights name the two last layers twice; both names lead to one layer here.

    Args:
        in_channels: channels of a level.
        num_classes: classes, without background.
        grid_sizes: cells along each side of a level's grid, finest level first.
        width: channels of the convolutions before the predictions.
        num_convs: their number, in each branch.
        kernel_channels: numbers of a mask kernel.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        num_classes: int,
        grid_sizes: Sequence[int] = (40, 36, 24, 16, 12),
        width: int = 512,
        num_convs: int = 4,
        kernel_channels: int = 256,
    ) -> None:
        super().__init__()
        self.grid_sizes = tuple(grid_sizes)
        self._num_convs = num_convs
        for i in range(num_convs):
            inputs = (in_channels + 2, in_channels) if i == 0 else (width, width)
            self.add_sublayer(f"bbox_head.kernel_convs.{i}", ConvGN(inputs[0], width))
            self.add_sublayer(f"bbox_head.cate_convs.{i}", ConvGN(inputs[1], width))
        self.solo_kernel = self.add_sublayer(
            "bbox_head.solo_kernel", _prediction(width, kernel_channels, bias=0.0)
        )
        self.solo_cate = self.add_sublayer(
            "bbox_head.solo_cate", _prediction(width, num_classes, bias=_PRIOR_LOGIT)
        )

    def forward(self, levels: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Predict from pyramid levels (B, C, H_i, W_i), as many as there are grids.

        The finest level is halved and the coarsest takes the size of the one before it.

        Returns:
            Kernels (B, kernel_channels, g, g) and category logits (B, num_classes, g, g) of each level.
        """
        finest, *middle, coarsest = levels
        resized = [
            F.avg_pool2d(finest, kernel_size=2, stride=2),
            *middle,
            resize_bilinear(coarsest, spatial_size(middle[-1])),
        ]
        kernels, logits = [], []
        for level, grid in zip(resized, self.grid_sizes, strict=True):
            features = resize_bilinear(level, [grid, grid])
            places = resize_bilinear(coordinate_maps(level), [grid, grid])
            kernels.append(self.solo_kernel(self._convolve("kernel", paddle.concat([features, places], 1))))
            logits.append(self.solo_cate(self._convolve("cate", features)))
        return kernels, logits

    def _convolve(self, branch: str, x: Tensor) -> Tensor:
        for i in range(self._num_convs):
            x = self._sub_layers[f"bbox_head.{branch}_convs.{i}"](x)
        return x


class SOLOv2MaskHead(nn.Layer):
    """One feature map at stride 4, out of the four finest levels of the pyramid, that kernels draw masks on.

    Args:
        in_channels: channels of a level.
        width: channels inside.
        out_channels: channels of the feature map, the numbers of a mask kernel.
        num_levels: levels taken; the coarsest also sees its coordinates.
    """

    def __init__(
        self, in_channels: int, *, width: int = 128, out_channels: int = 256, num_levels: int = 4
    ) -> None:
        super().__init__()
        self._num_levels = num_levels
        for level in range(num_levels):
            convs = nn.Sequential()
            channels = in_channels + 2 if level == num_levels - 1 else in_channels
            for i in range(max(level, 1)):
                name = f"mask_feat_head.convs_all_levels.{level}.conv{i}"
                convs.add_sublayer(name, ConvGN(channels, width))
                channels = width
            self.add_sublayer(f"conv_pre_feat{level}", convs)
        # The published weights list this layer under two names.
        last = ConvGN(width, out_channels, kernel_size=1)
        self.conv_pred = self.add_sublayer("mask_feat_head.conv_pred.0", last)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Fuse levels (B, C, H_i, W_i), the finest first, to (B, out_channels, H_0, W_0); all are >= 0."""
        coarsest = levels[self._num_levels - 1]
        taken = [*levels[: self._num_levels - 1], paddle.concat([coarsest, coordinate_maps(coarsest)], 1)]
        total = self._enlarge(0, taken[0])
        for level in range(1, self._num_levels):
            total = total + self._enlarge(level, taken[level])
        return self.conv_pred(total)

    def _enlarge(self, level: int, x: Tensor) -> Tensor:
        """Convolve a level, doubling its size after each convolution but for the finest."""
        for conv in self._sub_layers[f"conv_pre_feat{level}"].children():
            x = conv(x)
            if level > 0:
                height, width = spatial_size(x)
                x = resize_bilinear(x, [2 * height, 2 * width])
        return x


def keep_local_maxima(scores: Tensor) -> Tensor:
    """Return scores (B, C, g, g) with 0 where the cell above, to the left, or above left scores more."""
    maxima = F.max_pool2d(scores, kernel_size=2, stride=1, padding=1)[:, :, :-1, :-1]
    return scores * (maxima == scores).astype(scores.dtype)


def list_cells(maps: Sequence[Tensor]) -> Tensor:
    """Join maps (B, C, g, g) of the levels to rows (B, S, C), cell by cell; S is the sum of g * g."""
    return paddle.concat([x.flatten(2) for x in maps], axis=2).transpose([0, 2, 1])


def _prediction(in_channels: int, out_channels: int, *, bias: float) -> nn.Conv2D:
    return Conv2D(
        in_channels,
        out_channels,
        3,
        padding=1,
        weight_attr=ParamAttr(initializer=Normal(0.0, 0.01)),
        bias_attr=ParamAttr(initializer=Constant(bias)),
    )
