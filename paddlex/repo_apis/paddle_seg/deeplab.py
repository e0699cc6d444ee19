"""DeepLabV3+ on ResNet-vd (arXiv:1802.02611)."""

from collections.abc import Sequence
from typing import Any, Literal

from paddle import Tensor

from paddlex.repo_apis.paddle_seg.backbones.resnet_vd import ResNetVd
from paddlex.repo_apis.paddle_seg.heads.deeplab import DeepLabHead
from paddlex.repo_apis.paddle_seg.losses.mixed import Loss, choose_loss
from paddlex.repo_apis.paddle_seg.network import SemanticNetwork

__all__ = ["DeepLabV3P", "build_deeplab_v3p", "build_deeplab_v3p_r50", "build_deeplab_v3p_r101"]


class DeepLabV3P(SemanticNetwork):
    """Encoder with dilated convolutions, decoder that recovers the borders of objects.

    Args:
        num_classes: classes.
        loss: of the logits.
        backbone: image to features.
        backbone_indices: numbers of the fine and the coarse features among the backbone's.
        aspp_ratios: dilation of each branch of the pyramid; 1 is a 1x1 convolution.
        aspp_out_channels: channels of the pyramid.
        align_corners: see `resize_bilinear`.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        loss: Loss,
        backbone: ResNetVd,
        backbone_indices: Sequence[int],
        aspp_ratios: Sequence[int],
        aspp_out_channels: int,
        align_corners: bool,
    ) -> None:
        super().__init__(num_classes=num_classes, loss=loss, align_corners=align_corners)
        self.backbone = backbone
        self._fine, self._coarse = backbone_indices
        self.head = DeepLabHead(
            backbone.out_channels[self._fine],
            backbone.out_channels[self._coarse],
            num_classes=num_classes,
            aspp_ratios=aspp_ratios,
            aspp_out_channels=aspp_out_channels,
            align_corners=align_corners,
        )

    def heads(self, image: Tensor) -> list[Tensor]:
        """Return the logits at a quarter of the image's size, with the default `backbone_indices`."""
        features = self.backbone(image)
        return [self.head(features[self._fine], features[self._coarse])]


def build_deeplab_v3p(
    *,
    num_classes: int = 2,
    depth: Literal[50, 101] = 50,
    use_mixed_loss: bool | Sequence[tuple[str, float]] = False,
    output_stride: Literal[8, 16, 32] = 8,
    backbone_indices: Sequence[int] = (0, 3),
    aspp_ratios: Sequence[int] = (1, 12, 24, 36),
    aspp_out_channels: int = 256,
    align_corners: bool = False,
    multi_grid: Sequence[int] = (1, 1, 1),
) -> DeepLabV3P:
    """Compose a DeepLabV3+ from all its parameters.

    Args:
        num_classes: classes.
        depth: layers of the ResNet-vd.
        use_mixed_loss: see `choose_loss`.
        output_stride: stride of the coarse features.
        backbone_indices: stages, 0 to 3, of the fine and the coarse features.
        aspp_ratios: dilation of each branch of the pyramid; 1 is a 1x1 convolution.
        aspp_out_channels: channels of the pyramid.
        align_corners: see `resize_bilinear`.
        multi_grid: factors of the dilation in the last stage. No weight tells them: official Cityscapes and
            Pascal VOC weights need (1, 2, 4).
    """
    return DeepLabV3P(
        num_classes=num_classes,
        loss=choose_loss(use_mixed_loss),
        backbone=ResNetVd(depth, output_stride=output_stride, multi_grid=multi_grid),
        backbone_indices=backbone_indices,
        aspp_ratios=aspp_ratios,
        aspp_out_channels=aspp_out_channels,
        align_corners=align_corners,
    )


def build_deeplab_v3p_r50(*, num_classes: int, **options: Any) -> DeepLabV3P:  # noqa: ANN401
    """Build DeepLabV3P-ResNet50_vd; `options` are further arguments of `build_deeplab_v3p`."""
    return build_deeplab_v3p(num_classes=num_classes, **({"depth": 50} | options))


def build_deeplab_v3p_r101(*, num_classes: int, **options: Any) -> DeepLabV3P:  # noqa: ANN401
    """Build DeepLabV3P-ResNet101_vd; `options` are further arguments of `build_deeplab_v3p`."""
    return build_deeplab_v3p(num_classes=num_classes, **({"depth": 101} | options))
