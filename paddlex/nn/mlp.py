"""Perceptron with one activation between its linear layers."""

from collections.abc import Sequence
from itertools import pairwise

import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.initializers import fan_in_uniform

__all__ = ["MLP"]


class MLP(nn.Layer):
    """Linear layers with ReLU between them, none after the last.

    Args:
        widths: features of the input, of every hidden layer and of the output, in order.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.LayerList(
            nn.Linear(n, m, weight_attr=fan_in_uniform(n), bias_attr=fan_in_uniform(n))
            for n, m in pairwise(widths)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map x (..., widths[0]) to (..., widths[-1])."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)
