"""Sums of softplus."""

import numpy as np
import pytest

from paddlex.nn.softplus import softplus_sums


@pytest.mark.parametrize("count", [1, 31, 32, 1000])
@pytest.mark.parametrize("scale", [0.1, 3.0, 1e5], ids=["near_zero", "usual", "huge"])
def test_sums_equal_the_logarithms_taken_one_by_one(count: int, scale: float) -> None:
    logits = (scale * np.random.default_rng(0).normal(size=(count, 3))).astype(np.float32)
    expected = np.logaddexp(0, logits.astype(np.float64)).sum(0)
    tanh = np.tanh(logits / 2)

    np.testing.assert_allclose(softplus_sums(logits, tanh), expected, rtol=1e-5, atol=1e-5 * count)
