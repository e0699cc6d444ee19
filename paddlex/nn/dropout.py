"""Dropout whose randomness can be replaced."""

from paddle import Tensor, nn

from paddlex.nn.draws import UniformDraws

__all__ = ["Dropout"]


class Dropout(nn.Layer):
    """Set a random share of the values to zero in training and scale the rest up (Srivastava et al. 2014).

    Args:
        rate: share of the values, in [0, 1).

    Attributes:
        draws: source of the random numbers; replace it to control them.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.draws = UniformDraws()

    def forward(self, x: Tensor) -> Tensor:
        """Return x, of any shape, unchanged in evaluation mode."""
        if not self.training or self.rate == 0.0:
            return x
        kept = self.draws.uniform(x.shape) >= self.rate
        return x * (kept.astype(x.dtype) / (1.0 - self.rate))
