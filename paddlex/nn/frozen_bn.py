"""Batch normalisation that never learns."""

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.initializers import constant

__all__ = ["FrozenBatchNorm2D"]


class FrozenBatchNorm2D(nn.Layer):
    """Batch normalisation with fixed statistics, scale and shift, in training mode too.

    It has the entries of `nn.BatchNorm2D` (`weight, bias, _mean, _variance`) without being one: a conversion
    of the network to synchronised normalisation leaves it alone, so a backbone frozen on one device is frozen
    on eight.

    Args:
        num_features: channels.
        epsilon: added to the variance.
    """

    def __init__(self, num_features: int, *, epsilon: float = 1e-5) -> None:
        super().__init__()
        self._epsilon = epsilon
        self.weight = self.create_parameter([num_features], attr=constant(1.0, trainable=False))
        self.bias = self.create_parameter([num_features], attr=constant(0.0, trainable=False), is_bias=True)
        self.register_buffer("_mean", paddle.zeros([num_features]))
        self.register_buffer("_variance", paddle.ones([num_features]))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (B, C, H, W) with the stored statistics."""
        return F.batch_norm(
            x, self._mean, self._variance, self.weight, self.bias, training=False, epsilon=self._epsilon
        )

    def learn_affine(self) -> None:
        """Let scale and shift learn; the statistics stay fixed."""
        for parameter in (self.weight, self.bias):
            parameter.stop_gradient = False
            parameter.trainable = True

    def to_trainable(self) -> nn.BatchNorm2D:
        """Return an ordinary normalisation that starts from the values of this one."""
        norm = nn.BatchNorm2D(self.weight.shape[0], epsilon=self._epsilon)
        norm.set_state_dict(self.state_dict())
        return norm
