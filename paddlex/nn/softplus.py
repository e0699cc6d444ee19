"""Sums of softplus over many points, on the CPU."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["softplus_sums"]

Array = NDArray[np.float32]

_HALVINGS = 5


def softplus_sums(logits: Array, tanh: Array) -> NDArray[Any]:
    """Return the sums of log(1 + exp(z)) over the first axis.

    With t = tanh(z / 2), softplus(z) = (z + |z|) / 2 + log(2) - log(1 + |t|). Nothing overflows, and as
    1 + |t| lies between 1 and 2, up to 127 of them may be multiplied before one logarithm is taken.

    Args:
        logits: (K, ...) float32; overwritten, because fresh memory costs more than the arithmetic.
        tanh: (K, ...), the hyperbolic tangent of half the logits; overwritten.

    Returns:
        (...) float32.
    """
    count = len(logits)
    positive = (logits.sum(0) + np.abs(logits, out=logits).sum(0)) * np.float32(0.5)
    factors = np.abs(tanh, out=tanh)
    factors += 1
    logarithms = np.float32(0)
    for _ in range(_HALVINGS):
        half, rest = divmod(len(factors), 2)
        if rest:
            logarithms = logarithms + np.log(factors[-1])
        factors = np.multiply(factors[:half], factors[half : 2 * half], out=factors[:half])
    logarithms = logarithms + np.log(factors, out=factors).sum(0)
    sums: NDArray[Any] = positive + np.float32(count * math.log(2)) - logarithms
    return sums
