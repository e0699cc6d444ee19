"""Randomness of a step as a function of (seed, rank, step): a resumed run draws what it would have drawn."""

from __future__ import annotations

import random

import numpy as np
import paddle

__all__ = ["seed_everything", "step_seed"]


def step_seed(seed: int, *, rank: int, step: int) -> int:
    """A 32-bit seed that no other step, card or run seed shares but by chance."""
    return int(np.random.SeedSequence([seed, rank, step]).generate_state(1)[0])


def seed_everything(seed: int) -> None:
    """Seed the generators of Python, NumPy and Paddle (all devices)."""
    random.seed(seed)
    np.random.seed(seed)
    paddle.seed(seed)
