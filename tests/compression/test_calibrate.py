"""Ranges of activations seen on photos: each method by hand."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle import nn

from paddlex.compression.calibrate import calibrate, entropy_threshold, percentile_threshold
from paddlex.nn.quantization import QuantizationConfig, input_scales, quantize_network


def network() -> nn.Layer:
    paddle.seed(0)
    made = nn.Sequential(nn.Conv2D(1, 2, 1), nn.ReLU(), nn.Conv2D(2, 1, 1))
    quantize_network(made, QuantizationConfig())
    made.eval()
    return made


def test_minmax_takes_the_largest_magnitude_of_all_photos() -> None:
    made = network()
    photos = [paddle.full([1, 1, 4, 4], value) for value in (2.0, -3.0, 1.0)]
    with paddle.no_grad():
        hidden = max(
            float(nn.functional.relu(nn.functional.conv2d(x, made[0].weight, made[0].bias)).max().item())
            for x in photos
        )
    calibrate(made, made, photos, method="minmax")
    assert input_scales(made) == {"0": pytest.approx(3.0), "2": pytest.approx(hidden)}


def test_calibration_sees_the_float_network() -> None:
    """What the second layer is shown must not be rounded by the first one's unknown scale."""
    made = network()
    calibrate(made, made, [paddle.full([1, 1, 4, 4], 0.3)], method="minmax")
    first = input_scales(made)["2"]
    calibrate(made, made, [paddle.full([1, 1, 4, 4], 0.3)], method="minmax")
    assert input_scales(made)["2"] == first


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_a_single_outlier_is_clipped(method: str) -> None:
    made = network()
    values = np.abs(np.random.default_rng(0).normal(size=(1, 1, 200, 250))).astype(np.float32)
    values[0, 0, 0, 0] = 100.0
    calibrate(made, made, [paddle.to_tensor(values)], method=method)
    assert 2.0 < input_scales(made)["0"] < 10.0


def test_the_percentile_is_that_of_the_counts() -> None:
    """Of 100000 values 99990 must lie below: 99900 and 90 in the first two bins do."""
    counts = np.zeros(10, np.int64)
    counts[:3] = 99900, 90, 10
    assert percentile_threshold(counts, 5.0) == pytest.approx(1.0)


def test_entropy_keeps_a_uniform_distribution_whole() -> None:
    counts = np.full(2048, 7, np.int64)
    assert entropy_threshold(counts, 4.0) == pytest.approx(4.0)


def test_a_range_that_grows_keeps_what_was_counted() -> None:
    made = network()
    small, large = paddle.full([1, 1, 100, 100], 1.0), paddle.full([1, 1, 100, 100], 7.0)
    calibrate(made, made, [small, large], method="percentile")
    assert input_scales(made)["0"] == pytest.approx(7.0, rel=1e-3)
