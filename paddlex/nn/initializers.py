"""Parameter attributes that name an initial distribution, so that constructors stay short."""

import math

from paddle import ParamAttr
from paddle.nn import initializer

__all__ = ["constant", "fan_in_uniform", "kaiming_normal", "xavier_uniform"]


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


def xavier_uniform() -> ParamAttr:
    """Return the attribute of a matrix drawn from +-sqrt(6 / (rows + columns)) (Glorot and Bengio, 2010)."""
    return ParamAttr(initializer=initializer.XavierUniform())
