"""Learning rates over a run."""

from __future__ import annotations

import math

import pytest

from paddlex.training.schedules import LearningRate, scaled_learning_rate, warmup_length


def test_warmup_is_linear_from_its_first_factor() -> None:
    """rate_i = base (0.001 (1 - a) + a), a = i / 2000."""
    rate = LearningRate(base=1e-4, total_steps=10_000, warmup_steps=2000, warmup_start=0.001)
    assert rate(0) == pytest.approx(1e-7)
    assert rate(1000) == pytest.approx(1e-4 * (0.001 * 0.5 + 0.5))
    assert rate(2000) == rate(9999) == 1e-4


def test_piecewise_milestones_follow_the_length_of_the_run() -> None:
    """Milestones 8 and 11 of 12 epochs, in a run of 24 steps."""
    rate = LearningRate(base=1.0, total_steps=24, decay="piecewise", milestones=(8 / 12, 11 / 12))
    assert [rate(step) for step in (0, 15, 16, 21, 22, 23)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_cosine_over_more_than_the_run_does_not_reach_zero() -> None:
    rate = LearningRate(base=2.0, total_steps=100, decay="cosine", length=1.2)
    assert rate(0) == 2.0
    assert rate(60) == pytest.approx(1.0)
    assert rate(100) == pytest.approx(1 + math.cos(math.pi / 1.2))


def test_decay_after_the_warmup_begins_at_the_full_rate_and_ends_where_it_would_have() -> None:
    rate = LearningRate(
        base=2.0,
        total_steps=100,
        decay="cosine",
        length=1.2,
        decay_after_warmup=True,
        warmup_steps=20,
        warmup_start=0.0,
    )
    assert [rate(0), rate(10), rate(20)] == [0.0, 1.0, 2.0]
    # Half of the 100 steps between the end of the warm-up and 120 % of the run.
    assert rate(70) == pytest.approx(1.0)
    assert rate(120) == pytest.approx(0.0)


def test_polynomial_ends_at_its_end() -> None:
    rate = LearningRate(base=0.01, total_steps=10, decay="polynomial", power=0.9, end=0.001)
    assert rate(5) == pytest.approx(0.001 + 0.009 * 0.5**0.9)
    assert rate(10) == pytest.approx(0.001)


@pytest.mark.parametrize(("scaling", "expected"), [("linear", 0.25), ("sqrt", 0.5), ("none", 1.0)])
def test_scaled_learning_rate(scaling: str, expected: float) -> None:
    assert scaled_learning_rate(1.0, batch=2, reference_batch=8, scaling=scaling) == pytest.approx(expected)


def test_warmup_takes_at_most_a_quarter_of_the_run() -> None:
    assert warmup_length(100, total_steps=4000) == 100
    assert warmup_length(2000, total_steps=4000) == 1000
    assert warmup_length(100, total_steps=3) == 0
