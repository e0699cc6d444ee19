"""The head of FCN (arXiv:1411.4038) on features of one resolution."""

from paddle import Tensor, nn

from paddlex.nn.convolution import Conv2D
from paddlex.repo_apis.paddle_seg.conv_units import conv_bn_relu

__all__ = ["FCNHead"]


class FCNHead(nn.Layer):
    """Two 1x1 convolutions.

    Args:
        in_channels: channels of the features, and between the convolutions.
        num_classes: classes.
    """

    def __init__(self, in_channels: int, *, num_classes: int) -> None:
        super().__init__()
        self.conv_1 = conv_bn_relu(in_channels, in_channels, kernel_size=1)
        self.cls = Conv2D(in_channels, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, in_channels, H, W) to logits (B, num_classes, H, W)."""
        return self.cls(self.conv_1(x))
