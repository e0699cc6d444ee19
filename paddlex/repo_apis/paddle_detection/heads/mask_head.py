"""Mask head of Mask R-CNN (arXiv:1703.06870): RoI features to a mask for each class."""

from __future__ import annotations

from paddle import Tensor, nn

from paddlex.nn.convolution import Conv2D, DoublingConv2DTranspose
from paddlex.nn.initializers import constant, kaiming_normal, normal

__all__ = ["MaskHead"]


class MaskHead(nn.Layer):
    """Convolutions, one transposed convolution that doubles the side, and logits for each class.

    Args:
        in_channels: channels of the RoI features.
        num_classes: classes without the background.
        num_convs: 3x3 convolutions before the transposed one.
        width: their channels.
    """

    def __init__(self, in_channels: int, *, num_classes: int, num_convs: int, width: int = 256) -> None:
        super().__init__()
        layers: list[tuple[str, nn.Layer]] = []
        channels = in_channels
        for index in range(1, num_convs + 1):
            attr = kaiming_normal(channels * 9)
            conv = Conv2D(channels, width, 3, padding=1, weight_attr=attr, bias_attr=constant(0.0))
            layers += [(f"mask_inter_feat_{index}", conv), (f"relu_{index}", nn.ReLU())]
            channels = width
        attr = kaiming_normal(width * 4)
        doubling = DoublingConv2DTranspose(channels, width, weight_attr=attr, bias_attr=constant(0.0))
        layers += [("conv5_mask", doubling), ("relu", nn.ReLU())]
        self.head = nn.Sequential(("upsample", nn.Sequential(*layers)))
        # Upstream takes the number of classes for the fan: with three classes the logits then start so wide
        # that the first losses are above 9 and a training diverges. A small deviation starts at log 2.
        attr = normal(0.001)
        self.mask_fcn_logits = Conv2D(width, num_classes, 1, weight_attr=attr, bias_attr=constant(0.0))

    def forward(self, roi_features: Tensor) -> Tensor:
        """Map roi_features (R, in_channels, S, S) to mask logits (R, num_classes, 2 S, 2 S)."""
        return self.mask_fcn_logits(self.head(roi_features))
