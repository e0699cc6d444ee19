"""U-Net (arXiv:1505.04597) with padded convolutions, so that the logits have the size of the image."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import paddle
from paddle import Tensor, nn

from paddlex.nn.convolution import Conv2D
from paddlex.nn.coordinates import spatial_size
from paddlex.nn.input_size import require_multiples
from paddlex.nn.resize import resize_bilinear
from paddlex.repo_apis.paddle_seg.conv_units import conv_bn_relu
from paddlex.repo_apis.paddle_seg.losses.mixed import Loss, choose_loss
from paddlex.repo_apis.paddle_seg.network import SemanticNetwork

__all__ = ["UNet", "build_unet", "build_unet_deconv"]

_WIDTHS = (64, 128, 256, 512, 512)
_LARGEST_STRIDE = 16


def _double_conv(in_channels: int, out_channels: int) -> list[nn.Layer]:
    return [
        conv_bn_relu(in_channels, out_channels, kernel_size=3),
        conv_bn_relu(out_channels, out_channels, kernel_size=3),
    ]


class _Encoder(nn.Layer):
    """Two convolutions, then four times pooling and two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(*_double_conv(3, _WIDTHS[0]))
        self.down_sample_list = nn.LayerList(
            [
                nn.Sequential(nn.MaxPool2D(kernel_size=2, stride=2), *_double_conv(before, after))
                for before, after in pairwise(_WIDTHS)
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features of strides 1 to 16."""
        features = [self.double_conv(x)]
        for step in self.down_sample_list:
            features.append(step(features[-1]))
        return features


class _UpSample(nn.Layer):
    """Enlarge, join the shortcut, convolve twice."""

    def __init__(self, in_channels: int, out_channels: int, *, use_deconv: bool, align_corners: bool) -> None:
        super().__init__()
        self.deconv: nn.Layer | None = None
        enlarged = in_channels
        if use_deconv:
            enlarged = out_channels // 2
            self.deconv = nn.Conv2DTranspose(in_channels, enlarged, 2, stride=2)
        self.double_conv = nn.Sequential(*_double_conv(enlarged + in_channels, out_channels))
        self._align_corners = align_corners

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        if self.deconv is None:
            x = resize_bilinear(x, spatial_size(shortcut), align_corners=self._align_corners)
        else:
            x = self.deconv(x)
        return self.double_conv(paddle.concat([x, shortcut], axis=1))


class _Decoder(nn.Layer):
    """Four enlargements, back to the size of the image."""

    def __init__(self, *, use_deconv: bool, align_corners: bool) -> None:
        super().__init__()
        widths = [*reversed(_WIDTHS[:-1]), _WIDTHS[0]]
        self.up_sample_list = nn.LayerList(
            [
                _UpSample(before, after, use_deconv=use_deconv, align_corners=align_corners)
                for before, after in pairwise(widths)
            ]
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Join the features (fine to coarse) into one map of the finest size."""
        *shortcuts, x = features
        for step, shortcut in zip(self.up_sample_list, reversed(shortcuts), strict=True):
            x = step(x, shortcut)
        return x


class UNet(SemanticNetwork):
    """Contracting and expanding path with shortcuts between equal sizes.

    Args:
        num_classes: classes.
        loss: of the logits.
        use_deconv: enlarge by transposed convolutions instead of interpolation; height and width of images
            are then multiples of 16.
        align_corners: see `resize_bilinear`.
    """

    def __init__(self, *, num_classes: int, loss: Loss, use_deconv: bool, align_corners: bool) -> None:
        super().__init__(num_classes=num_classes, loss=loss, align_corners=align_corners)
        self.encode = _Encoder()
        self.decode = _Decoder(use_deconv=use_deconv, align_corners=align_corners)
        # One layer under two names, both of which published weights hold.
        self.cls = self.conv = Conv2D(_WIDTHS[0], num_classes, 3, padding=1)
        self._use_deconv = use_deconv

    def heads(self, image: Tensor) -> list[Tensor]:
        """Return the logits, at the size of the image.

        Raises:
            ShapeError: with transposed convolutions, if a side is not a multiple of 16.
        """
        height, width = image.shape[2:]
        if self._use_deconv and -1 not in (height, width):  # a traced graph leaves them free
            require_multiples((height, width), stride=_LARGEST_STRIDE)
        return [self.conv(self.decode(self.encode(image)))]

    def _enlarge(self, logits: Tensor, image: Tensor) -> Tensor:
        return logits


def build_unet(
    *,
    num_classes: int = 2,
    use_mixed_loss: bool | Sequence[tuple[str, float]] = False,
    use_deconv: bool = False,
    align_corners: bool = False,
) -> UNet:
    """Build UNet.

    Args:
        num_classes: classes.
        use_mixed_loss: see `choose_loss`.
        use_deconv: enlarge by transposed convolutions.
        align_corners: see `resize_bilinear`.
    """
    return UNet(
        num_classes=num_classes,
        loss=choose_loss(use_mixed_loss),
        use_deconv=use_deconv,
        align_corners=align_corners,
    )


def build_unet_deconv(*, num_classes: int, **options: Any) -> UNet:  # noqa: ANN401
    """Build UNet-deconv; `options` are further arguments of `build_unet`, above these."""
    return build_unet(num_classes=num_classes, **({"use_deconv": True} | options))
