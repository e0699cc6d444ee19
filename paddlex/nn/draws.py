"""The one source of random numbers of a network in training.

A network and its losses draw everything from one `UniformDraws`. Replacing that object replaces all
randomness of a training step, which is how results are compared between implementations.
"""

from collections.abc import Sequence

import numpy as np
import paddle
from paddle import Tensor
from paddle.utils.dlpack import from_dlpack

__all__ = ["UniformDraws"]


class UniformDraws:
    """Independent uniform numbers on the current device.

    On the CPU they come from a NumPy generator, which is several times faster than Paddle's; elsewhere Paddle
    draws them on the device. Both follow `paddle.seed` unless a seed is given.

    Args:
        seed: seed of the CPU generator; None takes one from Paddle's own generator at the first draw.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._generator = None if seed is None else np.random.default_rng(seed)

    def uniform(self, shape: Sequence[int]) -> Tensor:
        """Return a float32 tensor of `shape` with numbers in [0, 1), in C order."""
        if paddle.get_device() != "cpu":
            return paddle.rand(list(shape), dtype="float32")
        # DLPack hands the memory over; `to_tensor` would copy tens of megabytes per step.
        return from_dlpack(self._cpu_generator().random(tuple(shape), dtype=np.float32))

    def integers(self, high: int, count: int) -> Tensor:
        """Return `count` int64 numbers in [0, high)."""
        scaled = paddle.floor(self.uniform([count]) * float(high)).astype("int64")
        # float32 rounding may carry the largest u * high up to `high` itself.
        return scaled.clip(max=high - 1)

    def choose(self, high: int, count: int) -> Tensor:
        """Return `count` different int64 numbers of [0, high), in random order."""
        if paddle.get_device() != "cpu":
            return paddle.randperm(high)[:count]
        return from_dlpack(self._cpu_generator().choice(high, count, replace=False))

    def _cpu_generator(self) -> np.random.Generator:
        if self._generator is None:
            self._generator = np.random.default_rng(int(paddle.randint(0, 2**31 - 1, [1]).item()))
        return self._generator
