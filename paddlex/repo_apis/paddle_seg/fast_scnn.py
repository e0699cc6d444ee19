"""Fast-SCNN (arXiv:1902.04502): two branches that share their first layers."""

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.adaptive_pool import average_bins
from paddlex.nn.convolution import Conv2D
from paddlex.nn.coordinates import spatial_size
from paddlex.nn.dropout import Dropout
from paddlex.nn.resize import resize_bilinear
from paddlex.repo_apis.paddle_seg.conv_units import SeparableConv, conv_bn, conv_bn_relu
from paddlex.repo_apis.paddle_seg.losses.mixed import Loss, choose_loss
from paddlex.repo_apis.paddle_seg.network import SemanticNetwork

__all__ = ["FastSCNN", "build_fast_scnn"]

_FINE_CHANNELS = 64
_CHANNELS = 128
_EXPANSION = 6
_BINS = (1, 2, 3, 6)


class _LearningToDownsample(nn.Layer):
    """The shared layers, down to stride 8."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_bn_relu = conv_bn_relu(3, 32, kernel_size=3, stride=2)
        self.dsconv_bn_relu1 = SeparableConv(32, 48, stride=2)
        self.dsconv_bn_relu2 = SeparableConv(48, _FINE_CHANNELS, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.dsconv_bn_relu2(self.dsconv_bn_relu1(self.conv_bn_relu(x)))


class _InvertedBottleneck(nn.Layer):
    """Widen, convolve each channel, narrow (arXiv:1801.04381); equal shapes add the input."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        wide = in_channels * _EXPANSION
        self.block = nn.Sequential(
            conv_bn_relu(in_channels, wide, kernel_size=1, bias=False),
            conv_bn_relu(wide, wide, kernel_size=3, stride=stride, padding=1, groups=wide, bias=False),
            conv_bn(wide, out_channels, kernel_size=1, bias=False),
        )
        self._adds_input = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.block(x)
        return x + y if self._adds_input else y


class _BinMean(nn.Layer):
    """Means over a grid of bins."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        self._bins = bins

    def forward(self, x: Tensor) -> Tensor:
        return average_bins(x, self._bins)


class _PyramidPooling(nn.Layer):
    """Means over grids from coarse to fine, joined to the features (arXiv:1612.01105)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = channels // len(_BINS)
        self.stages = nn.LayerList(
            [nn.Sequential(_BinMean(bins), conv_bn_relu(channels, width, kernel_size=1)) for bins in _BINS]
        )
        self.conv_bn_relu2 = conv_bn_relu(2 * channels, channels, kernel_size=3)

    def forward(self, x: Tensor) -> Tensor:
        # The published network aligns corners here, whatever it does elsewhere.
        means = [resize_bilinear(stage(x), spatial_size(x), align_corners=True) for stage in self.stages]
        return self.conv_bn_relu2(paddle.concat([x, *reversed(means)], axis=1))


class _GlobalFeatureExtractor(nn.Layer):
    """The coarse branch, down to stride 32."""

    def __init__(self) -> None:
        super().__init__()
        self.bottleneck1 = _bottlenecks(_FINE_CHANNELS, 64, stride=2)
        self.bottleneck2 = _bottlenecks(64, 96, stride=2)
        self.bottleneck3 = _bottlenecks(96, _CHANNELS, stride=1)
        self.ppm = _PyramidPooling(_CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        return self.ppm(self.bottleneck3(self.bottleneck2(self.bottleneck1(x))))


def _bottlenecks(in_channels: int, out_channels: int, *, stride: int, count: int = 3) -> nn.Sequential:
    """`count` bottlenecks, of which the first strides."""
    return nn.Sequential(
        _InvertedBottleneck(in_channels, out_channels, stride=stride),
        *(_InvertedBottleneck(out_channels, out_channels, stride=1) for _ in range(count - 1)),
    )


class _FeatureFusion(nn.Layer):
    """Sum of both branches at the fine one's size."""

    def __init__(self, *, align_corners: bool) -> None:
        super().__init__()
        self.dwconv = conv_bn_relu(_CHANNELS, _CHANNELS, kernel_size=3, groups=_CHANNELS, bias=False)
        self.conv_low_res = conv_bn(_CHANNELS, _CHANNELS, kernel_size=1)
        self.conv_high_res = conv_bn(_FINE_CHANNELS, _CHANNELS, kernel_size=1)
        self._align_corners = align_corners

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        coarse = resize_bilinear(coarse, spatial_size(fine), align_corners=self._align_corners)
        return F.relu(self.conv_high_res(fine) + self.conv_low_res(self.dwconv(coarse)))


class _Classifier(nn.Layer):
    """Fused features to logits."""

    def __init__(self, *, num_classes: int) -> None:
        super().__init__()
        self.dsconv1 = SeparableConv(_CHANNELS, _CHANNELS)
        self.dsconv2 = SeparableConv(_CHANNELS, _CHANNELS)
        self.dropout = Dropout(0.1)
        self.conv = Conv2D(_CHANNELS, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.dropout(self.dsconv2(self.dsconv1(x))))


class _AuxiliaryHead(nn.Layer):
    """Fine features to logits."""

    def __init__(self, *, num_classes: int) -> None:
        super().__init__()
        self.conv_bn_relu = conv_bn_relu(_FINE_CHANNELS, 32, kernel_size=3)
        self.dropout = Dropout(0.1)
        self.conv = Conv2D(32, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.dropout(self.conv_bn_relu(x)))


class FastSCNN(SemanticNetwork):
    """Shared layers, a coarse branch, their fusion; in training a second head on the shared layers.

    Args:
        num_classes: classes.
        loss: of each head's logits; the second counts 0.4.
        align_corners: see `resize_bilinear`.
    """

    def __init__(self, *, num_classes: int, loss: Loss, align_corners: bool) -> None:
        super().__init__(
            num_classes=num_classes, loss=loss, align_corners=align_corners, loss_weights=(1.0, 0.4)
        )
        self.learning_to_downsample = _LearningToDownsample()
        self.global_feature_extractor = _GlobalFeatureExtractor()
        self.feature_fusion = _FeatureFusion(align_corners=align_corners)
        self.classifier = _Classifier(num_classes=num_classes)
        self.auxlayer = _AuxiliaryHead(num_classes=num_classes)

    def heads(self, image: Tensor) -> list[Tensor]:
        """Return the logits at stride 8; in training then the auxiliary ones, too."""
        fine = self.learning_to_downsample(image)
        logits = [self.classifier(self.feature_fusion(fine, self.global_feature_extractor(fine)))]
        if self.training:
            logits.append(self.auxlayer(fine))
        return logits


def build_fast_scnn(
    *,
    num_classes: int = 2,
    use_mixed_loss: bool | Sequence[tuple[str, float]] = False,
    align_corners: bool = False,
) -> FastSCNN:
    """Build Fast-SCNN.

    Args:
        num_classes: classes.
        use_mixed_loss: see `choose_loss`.
        align_corners: see `resize_bilinear`.
    """
    return FastSCNN(num_classes=num_classes, loss=choose_loss(use_mixed_loss), align_corners=align_corners)
