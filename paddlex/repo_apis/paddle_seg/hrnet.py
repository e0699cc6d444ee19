"""FCN on HRNet (arXiv:1908.07919)."""

from collections.abc import Sequence
from typing import Any, Literal

from paddle import Tensor
from paddle.nn.initializer import Normal

from paddlex.nn.initializers import redraw_kernels
from paddlex.repo_apis.paddle_seg.backbones.hrnet import HRNet
from paddlex.repo_apis.paddle_seg.heads.fcn import FCNHead
from paddlex.repo_apis.paddle_seg.losses.mixed import Loss, choose_loss
from paddlex.repo_apis.paddle_seg.network import SemanticNetwork
from paddlex.utils.errors import ConfigError

__all__ = ["HRNetFCN", "build_hrnet", "build_hrnet_w18", "build_hrnet_w48"]

_WIDTHS = (18, 48)


class HRNetFCN(SemanticNetwork):
    """HRNet with two 1x1 convolutions on its joined branches.

    Args:
        num_classes: classes.
        loss: of the logits.
        backbone: image to one feature.
        align_corners: see `resize_bilinear`.
    """

    def __init__(self, *, num_classes: int, loss: Loss, backbone: HRNet, align_corners: bool) -> None:
        super().__init__(num_classes=num_classes, loss=loss, align_corners=align_corners)
        self.backbone = backbone
        self.head = FCNHead(backbone.out_channels[0], num_classes=num_classes)
        redraw_kernels(self, Normal(0.0, 0.001))

    def heads(self, image: Tensor) -> list[Tensor]:
        """Return the logits at stride 4."""
        return [self.head(self.backbone(image)[0])]


def build_hrnet(
    *,
    num_classes: int = 2,
    width: Literal[18, 48] = 48,
    use_mixed_loss: bool | Sequence[tuple[str, float]] = False,
    align_corners: bool = False,
) -> HRNetFCN:
    """Compose an HRNet with FCN head from all its parameters.

    Args:
        num_classes: classes.
        width: channels of the finest branch.
        use_mixed_loss: see `choose_loss`.
        align_corners: see `resize_bilinear`.

    Raises:
        ConfigError: for another width.
    """
    if width not in _WIDTHS:
        raise ConfigError(f"HRNet.width: found {width!r}, expected one of {_WIDTHS}")
    return HRNetFCN(
        num_classes=num_classes,
        loss=choose_loss(use_mixed_loss),
        backbone=HRNet(width, align_corners=align_corners),
        align_corners=align_corners,
    )


def build_hrnet_w18(*, num_classes: int, **options: Any) -> HRNetFCN:  # noqa: ANN401
    """Build HRNet-W18; `options` are further arguments of `build_hrnet`."""
    return build_hrnet(num_classes=num_classes, **({"width": 18} | options))


def build_hrnet_w48(*, num_classes: int, **options: Any) -> HRNetFCN:  # noqa: ANN401
    """Build HRNet-W48; `options` are further arguments of `build_hrnet`."""
    return build_hrnet(num_classes=num_classes, **({"width": 48} | options))
