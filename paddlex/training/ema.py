"""Exponential moving average of a network's weights."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import paddle
from paddle import Tensor, nn

from paddlex.training.tensors import assign, snapshot

__all__ = ["Ema", "EmaType"]

EmaType = Literal["exponential", "threshold", "normal"]

_RUNNING_STATISTICS = ("._mean", "._variance")
_RAMP_STEPS = 2000.0


class Ema:
    """Average s <- d s + (1 - d) w over the steps t = 0, 1, ..., from s = 0.

    Parameters that learn and running statistics of BatchNorm are averaged in float32; everything else of the
    state dict is taken as it is.

    Args:
        network: the network that is trained.
        decay: final decay D.
        kind: `exponential`: d = D (1 - exp(-(t + 1) / 2000)), used without correction;
            `threshold`: d = min(D, (1 + t) / (10 + t)), and `normal`: d = D, both used as
            s / (1 - d ** steps) with the last d.
        skip: name endings that are taken as they are.
    """

    def __init__(
        self, network: nn.Layer, *, decay: float, kind: EmaType = "exponential", skip: Sequence[str] = ()
    ) -> None:
        self.step = 0
        self._decay, self._kind = decay, kind
        learning = {name for name, value in network.named_parameters() if not value.stop_gradient}
        self._values: dict[str, Tensor] = dict(network.state_dict())
        self._shadow: dict[str, Tensor] = {
            name: paddle.zeros(value.shape, dtype="float32")
            for name, value in self._values.items()
            if (name in learning or name.endswith(_RUNNING_STATISTICS)) and not name.endswith(tuple(skip))
        }

    def decay_at(self, step: int) -> float:
        """D of step `step`, counted from 0."""
        if self._kind == "exponential":
            return self._decay * (1.0 - math.exp(-(step + 1) / _RAMP_STEPS))
        if self._kind == "threshold":
            return min(self._decay, (1.0 + step) / (10.0 + step))
        return self._decay

    def update(self) -> None:
        """Take in the weights after an optimiser step."""
        decay = self.decay_at(self.step)
        with paddle.no_grad():
            for name, shadow in self._shadow.items():
                shadow.scale_(decay).add_(self._values[name].astype("float32").scale(1.0 - decay))
        self.step += 1

    def averaged(self) -> dict[str, np.ndarray]:
        """The whole state dict with averages in place of what is averaged; the weights before any step."""
        return {**snapshot(self._values), **self._averages()}

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averages into the network for the time of a `with` block."""
        values = {name: self._values[name] for name in self._shadow}
        raw = snapshot(values)
        assign(values, {**raw, **self._averages()})
        try:
            yield
        finally:
            assign(values, raw)

    def state_beside_averages(self) -> dict[str, np.ndarray]:
        """What a checkpoint needs beside `averaged`: the sums s, unless they are the averages themselves."""
        return {} if self._kind == "exponential" else snapshot(self._shadow)

    def load_state(self, arrays: Mapping[str, np.ndarray], *, step: int) -> None:
        """Put back the sums s as they were after `step` updates."""
        assign(self._shadow, arrays)
        self.step = step

    def _averages(self) -> dict[str, np.ndarray]:
        if self.step == 0:
            return {}
        if self._kind == "exponential":
            return snapshot(self._shadow)
        total = np.float32(1.0 - self.decay_at(self.step - 1) ** self.step)
        return {name: shadow / total for name, shadow in snapshot(self._shadow).items()}
