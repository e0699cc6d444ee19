"""Which parameters the optimiser's weight decay leaves alone."""

from paddle import nn
from paddle.regularizer import L2Decay

__all__ = ["exempt_norms_from_decay"]


def exempt_norms_from_decay(network: nn.Layer) -> None:
    """Keep the L2 decay of Momentum from scales and shifts of batch normalisation.

    A regulariser of the parameter itself takes precedence over that of the optimiser.
    """
    for layer in network.sublayers():
        if isinstance(layer, nn.BatchNorm2D):
            layer.weight.regularizer = L2Decay(0.0)
            layer.bias.regularizer = L2Decay(0.0)
