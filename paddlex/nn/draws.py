"""The one source of random numbers of a network in training.

A network and its losses draw everything from one `UniformDraws`. Replacing that object replaces all
randomness of a training step, which is how results are compared between implementations.
"""

from collections.abc import Sequence

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor
from paddle.utils.dlpack import from_dlpack

from paddlex.nn.host_threads import share_among_threads

__all__ = ["UniformDraws"]

_PORTION = 2**18


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
        values = np.empty(tuple(shape), np.float32)
        _fill(values.reshape(-1), self._cpu_generator())
        return from_dlpack(values)

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


def _fill(values: NDArray[np.float32], generator: np.random.Generator) -> None:
    """Fill (K,) `values` with the generator's next numbers, large arrays by several threads to the same bits.

    PCG64 can skip ahead, and one 64-bit output gives two float32 numbers.
    """
    bits, whole = generator.bit_generator, len(values) // _PORTION
    # Half an output may be left over from an odd number of draws.
    if whole < 2 or not isinstance(bits, np.random.PCG64) or bits.state["has_uint32"]:
        generator.random(out=values, dtype=np.float32)
        return
    state = bits.state

    def fill(portions: range) -> None:
        for portion in portions:
            source = np.random.PCG64()
            source.state = state
            source.advance(portion * _PORTION // 2)
            part = values[portion * _PORTION : (portion + 1) * _PORTION]
            np.random.Generator(source).random(out=part, dtype=np.float32)

    share_among_threads(fill, whole)
    bits.advance(whole * _PORTION // 2)
    generator.random(out=values[whole * _PORTION :], dtype=np.float32)
