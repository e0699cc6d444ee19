"""The head of DeepLabV3+ (arXiv:1802.02611): atrous spatial pyramid, then a decoder on fine features."""

from collections.abc import Sequence

import paddle
from paddle import Tensor, nn

from paddlex.nn.convolution import Conv2D
from paddlex.nn.coordinates import spatial_size
from paddlex.nn.dropout import Dropout
from paddlex.nn.resize import resize_bilinear
from paddlex.repo_apis.paddle_seg.conv_units import SeparableConv, conv_bn_relu

__all__ = ["ASPP", "DeepLabHead"]

_DECODER_CHANNELS = 256
_FINE_CHANNELS = 48


class ASPP(nn.Layer):
    """Convolutions of several dilations and the mean of the whole image, side by side.

    Args:
        in_channels: channels of the input.
        out_channels: channels of every branch and of the output.
        ratios: dilation of each branch; 1 is a 1x1 convolution.
        align_corners: see `resize_bilinear`.
    """

    def __init__(
        self, in_channels: int, *, out_channels: int, ratios: Sequence[int], align_corners: bool
    ) -> None:
        super().__init__()
        self.aspp_blocks = nn.LayerList(
            [
                conv_bn_relu(in_channels, out_channels, kernel_size=1)
                if ratio == 1
                else SeparableConv(in_channels, out_channels, dilation=ratio)
                for ratio in ratios
            ]
        )
        self.global_avg_pool = nn.Sequential(
            nn.AdaptiveAvgPool2D(1), conv_bn_relu(in_channels, out_channels, kernel_size=1, bias=False)
        )
        self.conv_bn_relu = conv_bn_relu(out_channels * (len(ratios) + 1), out_channels, kernel_size=1)
        self.dropout = Dropout(0.1)
        self._align_corners = align_corners

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, in_channels, H, W) to (B, out_channels, H, W)."""
        branches = [block(x) for block in self.aspp_blocks]
        mean = self.global_avg_pool(x)
        branches.append(resize_bilinear(mean, spatial_size(x), align_corners=self._align_corners))
        return self.dropout(self.conv_bn_relu(paddle.concat(branches, axis=1)))


class _Decoder(nn.Layer):
    """Fine features narrowed, joined to the pyramid's and convolved to logits."""

    def __init__(
        self, fine_channels: int, *, coarse_channels: int, num_classes: int, align_corners: bool
    ) -> None:
        super().__init__()
        self.conv_bn_relu1 = conv_bn_relu(fine_channels, _FINE_CHANNELS, kernel_size=1)
        self.conv_bn_relu2 = SeparableConv(coarse_channels + _FINE_CHANNELS, _DECODER_CHANNELS)
        self.conv_bn_relu3 = SeparableConv(_DECODER_CHANNELS, _DECODER_CHANNELS)
        self.conv = Conv2D(_DECODER_CHANNELS, num_classes, 1)
        self._align_corners = align_corners

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        coarse = resize_bilinear(coarse, spatial_size(fine), align_corners=self._align_corners)
        x = paddle.concat([coarse, self.conv_bn_relu1(fine)], axis=1)
        return self.conv(self.conv_bn_relu3(self.conv_bn_relu2(x)))


class DeepLabHead(nn.Layer):
    """Spatial pyramid on coarse features, decoder on fine ones.

    Args:
        fine_channels: channels of the fine features.
        coarse_channels: channels of the coarse features.
        num_classes: classes.
        aspp_ratios: dilation of each branch of the pyramid; 1 is a 1x1 convolution.
        aspp_out_channels: channels of the pyramid's branches and output.
        align_corners: see `resize_bilinear`.
    """

    def __init__(
        self,
        fine_channels: int,
        coarse_channels: int,
        *,
        num_classes: int,
        aspp_ratios: Sequence[int],
        aspp_out_channels: int,
        align_corners: bool,
    ) -> None:
        super().__init__()
        self.aspp = ASPP(
            coarse_channels,
            out_channels=aspp_out_channels,
            ratios=aspp_ratios,
            align_corners=align_corners,
        )
        self.decoder = _Decoder(
            fine_channels,
            coarse_channels=aspp_out_channels,
            num_classes=num_classes,
            align_corners=align_corners,
        )

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return logits (B, num_classes, h, w) at the size of `fine` (B, fine_channels, h, w)."""
        return self.decoder(self.aspp(coarse), fine)
