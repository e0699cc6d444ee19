"""Parameter attributes that name an initial distribution, so that constructors stay short."""

import math

from paddle import ParamAttr, nn
from paddle.nn import initializer

__all__ = [
    "constant",
    "fan_in_uniform",
    "kaiming_normal",
    "normal",
    "redraw_kernels",
    "xavier_uniform",
]


def constant(value: float, *, trainable: bool = True) -> ParamAttr:
    """Return the attribute of a parameter filled with `value`."""
    return ParamAttr(initializer=initializer.Constant(value), trainable=trainable)


def fan_in_uniform(fan_in: int) -> ParamAttr:
    """Return the attribute of a parameter drawn from +-1 / sqrt(fan_in)."""
    bound = 1.0 / math.sqrt(fan_in)
    return ParamAttr(initializer=initializer.Uniform(-bound, bound))


def kaiming_normal(fan_in: int, *, learning_rate: float = 1.0, trainable: bool = True) -> ParamAttr:
    """Return the attribute of a convolution kernel drawn with deviation sqrt(2 / fan_in) (arXiv:1502.01852).

    Args:
        fan_in: input channels of a group times the kernel area.
        learning_rate: factor on the learning rate of the optimiser.
        trainable: False freezes the kernel.
    """
    init = initializer.Normal(0.0, math.sqrt(2.0 / fan_in))
    return ParamAttr(initializer=init, learning_rate=learning_rate, trainable=trainable)


def normal(std: float) -> ParamAttr:
    """Return the attribute of a parameter drawn from a normal distribution of mean 0 and deviation `std`."""
    return ParamAttr(initializer=initializer.Normal(0.0, std))


def xavier_uniform(*, fan_in: int | None = None, fan_out: int | None = None) -> ParamAttr:
    """Return the attribute of a parameter drawn from +-sqrt(6 / (fan_in + fan_out)) (Glorot, Bengio 2010).

    Args:
        fan_in: number of inputs of an output; by default the rows of a matrix.
        fan_out: number of outputs of an input; by default the columns of a matrix.
    """
    return ParamAttr(initializer=initializer.XavierUniform(fan_in=fan_in, fan_out=fan_out))


def redraw_kernels(root: nn.Layer, distribution: initializer.Initializer) -> None:
    """Draw the kernel of every convolution inside `root` anew."""
    for layer in root.sublayers(include_self=True):
        if isinstance(layer, nn.Conv2D):
            distribution(layer.weight)
