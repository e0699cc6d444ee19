"""Learning rates as pure functions of the step: nothing to save, nothing to restore wrongly."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["LearningRate", "scaled_learning_rate", "warmup_length"]

# Warm-up is there to settle the optimiser; more than this share of a run would leave no run.
_MAX_WARMUP_SHARE = 0.25


@dataclass(frozen=True, kw_only=True)
class LearningRate:
    """A decay over the whole run, or over what follows the warm-up, times a linear warm-up at its beginning.

    Attributes:
        base: rate after warm-up, before any decay.
        total_steps: optimiser steps of the run.
        decay: `constant`, `piecewise`, `cosine` or `polynomial`.
        milestones: fractions of the run after which the rate is multiplied by `gamma` (piecewise).
        gamma: factor at each milestone.
        length: length of a cosine or polynomial decay over the run's length.
        power: exponent of the polynomial.
        end: last rate of the polynomial.
        decay_after_warmup: a cosine or polynomial decay begins where the warm-up ends; it ends where it would
            have ended.
        warmup_steps: steps of warm-up.
        warmup_start: first factor of the warm-up.
    """

    base: float
    total_steps: int
    decay: Literal["constant", "piecewise", "cosine", "polynomial"] = "constant"
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    length: float = 1.0
    power: float = 0.9
    end: float = 0.0
    decay_after_warmup: bool = False
    warmup_steps: int = 0
    warmup_start: float = 0.001

    def __call__(self, step: int) -> float:
        """The rate of optimiser step `step`, counted from 0."""
        rate = self._decayed(step)
        if step >= self.warmup_steps:
            return rate
        progress = step / self.warmup_steps
        return rate * (self.warmup_start * (1.0 - progress) + progress)

    def _decayed(self, step: int) -> float:
        if self.decay == "constant":
            return self.base
        if self.decay == "piecewise":
            steps = [round(fraction * self.total_steps) for fraction in self.milestones]
            return self.base * self.gamma ** bisect.bisect_right(steps, step)
        start = self.warmup_steps if self.decay_after_warmup else 0
        progress = min(max(step - start, 0) / (self.length * self.total_steps - start), 1.0)
        if self.decay == "cosine":
            return self.base * 0.5 * (1.0 + math.cos(math.pi * progress))
        return self.end + (self.base - self.end) * float((1.0 - progress) ** self.power)


def scaled_learning_rate(
    rate: float, *, batch: int, reference_batch: int, scaling: Literal["linear", "sqrt", "none"]
) -> float:
    """The rate for `batch` photos per step, given the one for `reference_batch` (arXiv:1706.02677)."""
    exponent = {"linear": 1.0, "sqrt": 0.5, "none": 0.0}[scaling]
    return rate * float((batch / reference_batch) ** exponent)


def warmup_length(wanted: int, *, total_steps: int) -> int:
    """`wanted` steps of warm-up, but at most a quarter of the run."""
    return min(wanted, int(total_steps * _MAX_WARMUP_SHARE))
