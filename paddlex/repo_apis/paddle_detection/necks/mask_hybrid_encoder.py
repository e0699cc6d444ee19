"""Hybrid encoder of RT-DETR (arXiv:2304.08069) with a branch of mask prototypes."""

from collections.abc import Sequence

import paddle
from paddle import Tensor, nn

from paddlex.nn.conv_bn import ConvBN
from paddlex.nn.convolution import Conv2D
from paddlex.nn.initializers import constant, kaiming_normal
from paddlex.nn.resize import resize_bilinear, resize_nearest
from paddlex.repo_apis.paddle_detection.necks.attention_encoder import AttentionEncoder
from paddlex.repo_apis.paddle_detection.necks.csp import CSPRepBlock, conv_silu

__all__ = ["MaskHybridEncoder"]


class _Upsampled(nn.Sequential):
    """Layers whose result is resized to twice the input's side."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        return resize_bilinear(super().forward(x), [2 * height, 2 * width])


class _MaskFeaturePyramid(nn.Layer):
    """Sum the three levels at stride 8 (panoptic FPN, arXiv:1901.02446)."""

    def __init__(self, in_channels: int, *, mid_channels: int, out_channels: int) -> None:
        super().__init__()

        def unit(channels: int) -> ConvBN:
            return conv_silu(channels, mid_channels, kernel_size=3)

        self.scale_heads = nn.LayerList(
            [
                nn.Sequential(nn.Sequential(unit(in_channels))),
                nn.Sequential(_Upsampled(unit(in_channels))),
                # The empty step keeps the second convolution at the name `2.0` of published weights.
                nn.Sequential(_Upsampled(unit(in_channels)), nn.Identity(), _Upsampled(unit(mid_channels))),
            ]
        )
        self.output_conv = conv_silu(mid_channels, out_channels, kernel_size=3)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        total = self.scale_heads[0](levels[0])
        for head, level in zip(self.scale_heads[1:], levels[1:], strict=True):
            total = total + head(level)
        return self.output_conv(total)


class MaskHybridEncoder(nn.Layer):
    """Fuse three levels in both directions and make mask prototypes at stride 4.

    Args:
        in_channels: channels of the inputs at strides 4, 8, 16 and 32.
        width: channels of every level inside.
        attention_level: level with self attention: 0, 1 or 2 for stride 8, 16 or 32.
        num_attention_layers: layers of the self attention.
        num_heads: its heads.
        attention_hidden_width: its feed-forward width.
        expansion: width of the fusion blocks relative to `width`.
        mask_channels: channels of the mask features inside and after the pyramid.
        num_prototypes: prototypes made.

    Attributes:
        out_channels: channels of the three fused levels.
        strides: their strides.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        width: int,
        attention_level: int,
        num_attention_layers: int,
        num_heads: int,
        attention_hidden_width: int,
        expansion: float,
        mask_channels: tuple[int, int],
        num_prototypes: int,
    ) -> None:
        super().__init__()
        self._attention_level = attention_level
        self.out_channels = [width] * 3
        self.strides = [8, 16, 32]
        self.input_proj = nn.LayerList(_project(channels, width) for channels in in_channels[1:])
        self.encoder = nn.LayerList(
            [
                AttentionEncoder(
                    width,
                    num_layers=num_attention_layers,
                    num_heads=num_heads,
                    hidden_width=attention_hidden_width,
                )
            ]
        )
        self.lateral_convs = nn.LayerList(conv_silu(width, width, kernel_size=1) for _ in range(2))
        self.fpn_blocks = nn.LayerList(CSPRepBlock(2 * width, width, expansion=expansion) for _ in range(2))
        self.downsample_convs = nn.LayerList(
            conv_silu(width, width, kernel_size=3, stride=2) for _ in range(2)
        )
        self.pan_blocks = nn.LayerList(CSPRepBlock(2 * width, width, expansion=expansion) for _ in range(2))
        mid, out = mask_channels
        self.mask_feat_head = _MaskFeaturePyramid(width, mid_channels=mid, out_channels=out)
        self.enc_mask_lateral = conv_silu(in_channels[0], out, kernel_size=3)
        self.enc_mask_output = nn.Sequential(
            conv_silu(out, out, kernel_size=3),
            Conv2D(out, num_prototypes, 1, weight_attr=kaiming_normal(out), bias_attr=constant(0.0)),
        )

    def fix_image_size(self, image_size: tuple[int, int]) -> None:
        """Keep the position table of images of (height, width) `image_size` as a buffer."""
        stride = self.strides[self._attention_level]
        self.encoder[0].position.fix(((image_size[0] // stride, image_size[1] // stride),))

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Fuse the backbone's features.

        Args:
            features: four maps (B, in_channels[i], H / s, W / s) of strides s = 4, 8, 16, 32.

        Returns:
            Three levels (B, width, H / s, W / s) of strides 8, 16, 32, and the prototypes
            (B, num_prototypes, H / 4, W / 4).
        """
        stem, *rest = features
        levels = [project(feature) for project, feature in zip(self.input_proj, rest, strict=True)]
        levels[self._attention_level] = self.encoder[0](levels[self._attention_level])
        levels = self._fuse_upwards(self._fuse_downwards(levels))
        mask_feature = resize_bilinear(self.mask_feat_head(levels), stem.shape[2:])
        return levels, self.enc_mask_output(mask_feature + self.enc_mask_lateral(stem))

    def _fuse_downwards(self, levels: list[Tensor]) -> list[Tensor]:
        """Carry coarse features to fine ones; coarse levels leave as their lateral projections."""
        top = levels[-1]
        fused: list[Tensor] = []
        for lateral, block, lower in zip(self.lateral_convs, self.fpn_blocks, levels[-2::-1], strict=True):
            top = lateral(top)
            fused.insert(0, top)
            top = block(paddle.concat([resize_nearest(top, lower.shape[2:]), lower], axis=1))
        return [top, *fused]

    def _fuse_upwards(self, levels: list[Tensor]) -> list[Tensor]:
        """Carry fine features to coarse ones."""
        fused = levels[:1]
        for downsample, block, upper in zip(self.downsample_convs, self.pan_blocks, levels[1:], strict=True):
            fused.append(block(paddle.concat([downsample(fused[-1]), upper], axis=1)))
        return fused


def _project(in_channels: int, out_channels: int) -> nn.Sequential:
    conv = Conv2D(in_channels, out_channels, 1, weight_attr=kaiming_normal(in_channels), bias_attr=False)
    return nn.Sequential(conv, nn.BatchNorm2D(out_channels))
