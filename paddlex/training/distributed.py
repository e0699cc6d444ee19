"""Which of several processes this is, and what they agree on."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import distributed

__all__ = ["average_over_ranks", "is_main_rank", "rank", "world_size"]


def rank() -> int:
    """Number of this process, from 0."""
    return int(distributed.get_rank())


def world_size() -> int:
    """Number of processes that train together."""
    return int(distributed.get_world_size())


def is_main_rank() -> bool:
    """Whether this process logs, evaluates and saves."""
    return rank() == 0


def average_over_ranks(values: np.ndarray) -> np.ndarray:
    """Mean over all processes of an array of the same shape in each."""
    if world_size() == 1:
        return values
    total = paddle.to_tensor(values)
    distributed.all_reduce(total)
    return total.numpy() / world_size()
