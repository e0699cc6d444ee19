"""The average follows its formulas to the letter."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest
from paddle import nn

from paddlex.training.ema import Ema


class Network(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.learns = self.create_parameter([1])
        self.frozen = self.create_parameter([1])
        self.frozen.stop_gradient = True
        self.norm = nn.BatchNorm2D(1)
        self.register_buffer("counter", paddle.to_tensor([0], dtype="int64"))

    def fill(self, value: float) -> None:
        for entry in self.state_dict().values():
            entry.set_value(paddle.full(entry.shape, value).astype(entry.dtype))


def test_exponential_average_starts_from_zero_without_correction() -> None:
    network = Network()
    ema = Ema(network, decay=0.9999)
    shadow = 0.0
    for step, value in enumerate((1.0, 2.0, 3.0)):
        network.fill(value)
        ema.update()
        decay = 0.9999 * (1 - math.exp(-(step + 1) / 2000))
        shadow = decay * shadow + (1 - decay) * value
    averages = ema.averaged()
    for name in ("learns", "norm.weight", "norm._mean", "norm._variance"):
        assert averages[name] == pytest.approx(shadow, rel=1e-6)
    assert shadow < 3.0
    assert averages["frozen"] == 3.0, "what does not learn is taken as it is"
    assert averages["counter"] == 3


def test_threshold_average_is_corrected_with_the_last_decay() -> None:
    """Weights 1, 2, 3 give used values 1, 1.861538, 2.742857 (the published form of this average)."""
    network = Network()
    ema = Ema(network, decay=0.9998, kind="threshold")
    used = []
    for value in (1.0, 2.0, 3.0):
        network.fill(value)
        ema.update()
        used.append(float(ema.averaged()["learns"][0]))
    assert used == pytest.approx([1.0, 1.861538, 2.742857], abs=1e-6)


def test_skipped_names_are_taken_as_they_are() -> None:
    network = Network()
    ema = Ema(network, decay=0.9, skip=("norm.weight",))
    network.fill(1.0)
    ema.update()
    network.fill(5.0)
    assert ema.averaged()["norm.weight"] == 5.0


def test_applied_puts_averages_in_and_the_weights_back() -> None:
    network = Network()
    ema = Ema(network, decay=0.9999)
    for value in (1.0, 3.0):
        network.fill(value)
        ema.update()
    with ema.applied():
        assert network.learns.numpy() == ema.averaged()["learns"] < 3.0
    assert all((entry.numpy() == 3.0).all() for entry in network.state_dict().values())


def test_before_any_step_the_average_is_the_network() -> None:
    network = Network()
    network.fill(2.0)
    np.testing.assert_array_equal(Ema(network, decay=0.9).averaged()["learns"], [2.0])
