"""The segmenters of PaddleX 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from paddlex.modules.zoo import find_model
from paddlex.utils.errors import UsageError
from paddlex.v2.segmenter import Segmenter

__all__ = ["BiSeNetV2", "DeepLabV3P", "FastSCNN", "HRNet", "UNet"]

MixedLoss = bool | Sequence[tuple[str, float]]

_BACKBONES = ("ResNet50_vd", "ResNet101_vd")
_WIDTHS = (18, 48)


class DeepLabV3P(Segmenter):
    """DeepLabV3+ (arXiv:1802.02611).

    Args:
        num_classes: classes, background included.
        backbone: ResNet50_vd or ResNet101_vd.
        use_mixed_loss: True for 0.8 cross entropy and 0.2 Lovász-softmax, False for cross entropy, or
            (name, weight) pairs of CrossEntropyLoss, DiceLoss and LovaszSoftmaxLoss.
        output_stride: stride of the coarse features, 8 or 16.
        backbone_indices: stages, 0 to 3, of the fine and the coarse features.
        aspp_ratios: dilation of each branch of the pyramid; 1 is a 1x1 convolution.
        aspp_out_channels: channels of the pyramid.
        align_corners: how feature maps are resized.

    Raises:
        UsageError: for a backbone or loss that is none.
    """

    def __init__(
        self,
        num_classes: int = 2,
        backbone: str = "ResNet50_vd",
        use_mixed_loss: MixedLoss = False,
        output_stride: int = 8,
        backbone_indices: Sequence[int] = (0, 3),
        aspp_ratios: Sequence[int] = (1, 12, 24, 36),
        aspp_out_channels: int = 256,
        align_corners: bool = False,
    ) -> None:
        if backbone not in _BACKBONES:
            raise UsageError(f"backbone: found {backbone!r}, expected one of {', '.join(_BACKBONES)}")
        options = {
            "use_mixed_loss": _plain_loss(use_mixed_loss),
            "output_stride": output_stride,
            "backbone_indices": list(backbone_indices),
            "aspp_ratios": list(aspp_ratios),
            "aspp_out_channels": aspp_out_channels,
            "align_corners": align_corners,
        }
        super().__init__(
            find_model(f"DeepLabV3P-{backbone}"),
            num_classes=num_classes,
            options=options,
            init_params={"num_classes": num_classes, "backbone": backbone, **options},
        )


class _PlainSegmenter(Segmenter):
    """One whose network is chosen by its name alone."""

    def __init__(
        self,
        name: str,
        *,
        num_classes: int,
        options: Mapping[str, Any],
        further: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            find_model(name),
            num_classes=num_classes,
            options=options,
            init_params={"num_classes": num_classes, **(further or {}), **options},
        )


class BiSeNetV2(_PlainSegmenter):
    """BiSeNetV2 (arXiv:2004.02147).

    Args:
        num_classes: classes, background included.
        use_mixed_loss: as `DeepLabV3P`.
        align_corners: how feature maps are resized.
    """

    def __init__(
        self, num_classes: int = 2, use_mixed_loss: MixedLoss = False, align_corners: bool = False
    ) -> None:
        super().__init__(
            "BiSeNetV2", num_classes=num_classes, options=_shared_options(use_mixed_loss, align_corners)
        )


class UNet(_PlainSegmenter):
    """UNet (arXiv:1505.04597).

    Args:
        num_classes: classes, background included.
        use_mixed_loss: as `DeepLabV3P`.
        use_deconv: enlarge by transposed convolutions, not by bilinear interpolation.
        align_corners: how feature maps are resized.
    """

    def __init__(
        self,
        num_classes: int = 2,
        use_mixed_loss: MixedLoss = False,
        use_deconv: bool = False,
        align_corners: bool = False,
    ) -> None:
        super().__init__(
            "UNet-deconv" if use_deconv else "UNet",
            num_classes=num_classes,
            options=_shared_options(use_mixed_loss, align_corners),
            further={"use_deconv": use_deconv},
        )


class HRNet(_PlainSegmenter):
    """HRNet with an FCN head (arXiv:1908.07919).

    Args:
        num_classes: classes, background included.
        width: channels of the finest branch, 18 or 48.
        use_mixed_loss: as `DeepLabV3P`.
        align_corners: how feature maps are resized.

    Raises:
        UsageError: for another width.
    """

    def __init__(
        self,
        num_classes: int = 2,
        width: Literal[18, 48, "18", "48"] = 48,
        use_mixed_loss: MixedLoss = False,
        align_corners: bool = False,
    ) -> None:
        if str(width) not in map(str, _WIDTHS):
            raise UsageError(f"width: found {width!r}, expected one of {', '.join(map(str, _WIDTHS))}")
        super().__init__(
            f"HRNet-W{width}",
            num_classes=num_classes,
            options=_shared_options(use_mixed_loss, align_corners),
            further={"width": int(width)},
        )


class FastSCNN(_PlainSegmenter):
    """Fast-SCNN (arXiv:1902.04502).

    Args:
        num_classes: classes, background included.
        use_mixed_loss: as `DeepLabV3P`.
        align_corners: how feature maps are resized.
    """

    def __init__(
        self, num_classes: int = 2, use_mixed_loss: MixedLoss = False, align_corners: bool = False
    ) -> None:
        super().__init__(
            "FastSCNN", num_classes=num_classes, options=_shared_options(use_mixed_loss, align_corners)
        )


def _shared_options(use_mixed_loss: MixedLoss, align_corners: bool) -> dict[str, Any]:
    return {"use_mixed_loss": _plain_loss(use_mixed_loss), "align_corners": align_corners}


def _plain_loss(use_mixed_loss: MixedLoss) -> bool | list[list[Any]]:
    """The argument in types that YAML and JSON know."""
    if not isinstance(use_mixed_loss, (list, tuple)):
        return use_mixed_loss  # type: ignore[return-value]  # the builder refuses what is neither
    return [list(pair) if isinstance(pair, (list, tuple)) else pair for pair in use_mixed_loss]
