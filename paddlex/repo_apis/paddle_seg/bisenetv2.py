"""BiSeNetV2 (arXiv:2004.02147): a wide shallow branch for details, a narrow deep one for meaning."""

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.initializer import KaimingNormal

from paddlex.nn.convolution import Conv2D
from paddlex.nn.coordinates import spatial_size
from paddlex.nn.dropout import Dropout
from paddlex.nn.initializers import redraw_kernels
from paddlex.nn.resize import resize_bilinear
from paddlex.repo_apis.paddle_seg.conv_units import DepthwiseConvBN, conv_bn, conv_bn_relu
from paddlex.repo_apis.paddle_seg.losses.mixed import Loss, choose_loss
from paddlex.repo_apis.paddle_seg.network import SemanticNetwork

__all__ = ["BiSeNetV2", "build_bisenetv2"]

_SEMANTIC_CHANNELS = (16, 32, 64, 128)
_CHANNELS = 128
_EXPANSION = 6


class _DetailBranch(nn.Layer):
    """Eight wide convolutions down to stride 8 (table 1 of the paper)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (64, 64, 64, 64, 64, _CHANNELS, _CHANNELS, _CHANNELS)
        strides = (2, 1, 2, 1, 1, 2, 1, 1)
        self.convs = nn.Sequential(
            *(
                conv_bn_relu(before, width, kernel_size=3, stride=stride)
                for before, width, stride in zip((3, *widths), widths, strides, strict=False)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.convs(x)


class _Stem(nn.Layer):
    """A convolutional and a pooling path down to stride 4, joined."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.conv = conv_bn_relu(3, out_channels, kernel_size=3, stride=2)
        self.left = nn.Sequential(
            conv_bn_relu(out_channels, out_channels // 2, kernel_size=1),
            conv_bn_relu(out_channels // 2, out_channels, kernel_size=3, stride=2),
        )
        self.fuse = conv_bn_relu(2 * out_channels, out_channels, kernel_size=3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        pooled = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        return self.fuse(paddle.concat([self.left(x), pooled], axis=1))


class _GatherExpand(nn.Layer):
    """Gather-and-expansion layer: widen depthwise, narrow, add the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = channels * _EXPANSION
        self.conv = nn.Sequential(
            conv_bn_relu(channels, channels, kernel_size=3),
            DepthwiseConvBN(channels, wide),
            conv_bn(wide, channels, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x) + x)


class _GatherExpandDown(nn.Layer):
    """The same with stride 2 and a shortcut that strides, too."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        wide = in_channels * _EXPANSION
        self.branch_1 = nn.Sequential(
            conv_bn_relu(in_channels, in_channels, kernel_size=3),
            DepthwiseConvBN(in_channels, wide, stride=2),
            DepthwiseConvBN(wide, wide),
            conv_bn(wide, out_channels, kernel_size=1),
        )
        self.branch_2 = nn.Sequential(
            DepthwiseConvBN(in_channels, in_channels, stride=2),
            conv_bn(in_channels, out_channels, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.branch_1(x) + self.branch_2(x))


class _ContextEmbedding(nn.Layer):
    """Add the mean of the whole image to every pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2D(channels)
        self.conv_1x1 = conv_bn_relu(channels, channels, kernel_size=1)
        self.conv_3x3 = Conv2D(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.bn(F.adaptive_avg_pool2d(x, 1))
        return self.conv_3x3(self.conv_1x1(mean) + x)


class _SemanticBranch(nn.Layer):
    """A narrow branch down to stride 32."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        stem, third, fourth, fifth = channels
        self.stem = _Stem(stem)
        self.stage3 = nn.Sequential(_GatherExpandDown(stem, third), _GatherExpand(third))
        self.stage4 = nn.Sequential(_GatherExpandDown(third, fourth), _GatherExpand(fourth))
        self.stage5_4 = nn.Sequential(
            _GatherExpandDown(fourth, fifth), *(_GatherExpand(fifth) for _ in range(3))
        )
        self.ce = _ContextEmbedding(fifth)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the outputs of the four stages and the context embedding."""
        outputs = []
        for stage in (self.stem, self.stage3, self.stage4, self.stage5_4, self.ce):
            x = stage(x)
            outputs.append(x)
        return outputs


class _Aggregation(nn.Layer):
    """Bilateral guided aggregation: each branch gates the other, at both resolutions."""

    def __init__(self, channels: int, *, align_corners: bool) -> None:
        super().__init__()
        self.db_branch_keep = nn.Sequential(
            DepthwiseConvBN(channels, channels), Conv2D(channels, channels, 1)
        )
        self.db_branch_down = nn.Sequential(
            conv_bn(channels, channels, kernel_size=3, stride=2),
            nn.AvgPool2D(kernel_size=3, stride=2, padding=1),
        )
        self.sb_branch_keep = nn.Sequential(
            DepthwiseConvBN(channels, channels), Conv2D(channels, channels, 1), nn.Sigmoid()
        )
        self.sb_branch_up = conv_bn(channels, channels, kernel_size=3)
        self.conv = conv_bn(channels, channels, kernel_size=3)
        self._align_corners = align_corners

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        fine = self.db_branch_keep(detail)
        gate = F.sigmoid(self._enlarge(self.sb_branch_up(semantic), fine))
        coarse = self.db_branch_down(detail) * self.sb_branch_keep(semantic)
        return self.conv(fine * gate + self._enlarge(coarse, fine))

    def _enlarge(self, x: Tensor, like: Tensor) -> Tensor:
        return resize_bilinear(x, spatial_size(like), align_corners=self._align_corners)


class _Head(nn.Layer):
    """Features to logits."""

    def __init__(self, channels: int, *, num_classes: int) -> None:
        super().__init__()
        self.conv_3x3 = nn.Sequential(conv_bn_relu(channels, channels, kernel_size=3), Dropout(0.1))
        self.conv_1x1 = Conv2D(channels, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_1x1(self.conv_3x3(x))


class BiSeNetV2(SemanticNetwork):
    """Two branches, aggregated; in training the stages of the semantic branch have heads of their own.

    Args:
        num_classes: classes.
        loss: of each head's logits; all five count alike.
        align_corners: see `resize_bilinear`.
    """

    def __init__(self, *, num_classes: int, loss: Loss, align_corners: bool) -> None:
        super().__init__(
            num_classes=num_classes, loss=loss, align_corners=align_corners, loss_weights=(1.0,) * 5
        )
        self.db = _DetailBranch()
        self.sb = _SemanticBranch(_SEMANTIC_CHANNELS)
        self.bga = _Aggregation(_CHANNELS, align_corners=align_corners)
        self._aux_heads = [_Head(channels, num_classes=num_classes) for channels in _SEMANTIC_CHANNELS]
        for i, head in enumerate(self._aux_heads, start=1):
            self.add_sublayer(f"aux_head{i}", head)
        self.head = _Head(_CHANNELS, num_classes=num_classes)
        redraw_kernels(self, KaimingNormal())

    def heads(self, image: Tensor) -> list[Tensor]:
        """Return the logits at stride 8; in training then those at strides 4, 8, 16 and 32."""
        *stages, semantic = self.sb(image)
        logits = [self.head(self.bga(self.db(image), semantic))]
        if self.training:
            logits += [head(stage) for head, stage in zip(self._aux_heads, stages, strict=True)]
        return logits


def build_bisenetv2(
    *,
    num_classes: int = 2,
    use_mixed_loss: bool | Sequence[tuple[str, float]] = False,
    align_corners: bool = False,
) -> BiSeNetV2:
    """Build BiSeNetV2.

    Args:
        num_classes: classes.
        use_mixed_loss: see `choose_loss`.
        align_corners: see `resize_bilinear`.
    """
    return BiSeNetV2(num_classes=num_classes, loss=choose_loss(use_mixed_loss), align_corners=align_corners)
