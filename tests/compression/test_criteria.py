"""Both criteria on weights whose order is seen by eye."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle import nn
from toys import SIZE, Plain, Residual, randomised, unit

from paddlex.compression.criteria import CRITERIA, rank_channels
from paddlex.compression.dependencies import find_dependencies


def test_l1_norm_is_the_mean_size_of_a_filter() -> None:
    filters = np.array([[1.0, -3.0], [0.5, 0.5], [0.0, -1.0]])
    np.testing.assert_allclose(CRITERIA["l1_norm"](filters), [2.0, 0.5, 0.5])


def test_fpgm_is_the_sum_of_distances_to_the_other_filters() -> None:
    filters = np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    np.testing.assert_allclose(CRITERIA["fpgm"](filters), [15.0, 10.0, 15.0])


@pytest.mark.parametrize(
    ("criterion", "first"),
    # Filters of one value each, 0, 1, 4, 9, ... 36. Sums of distances: of 9 it is 72, of 4 77, of 16 79.
    [("l1_norm", [0, 1, 2]), ("fpgm", [3, 2, 4])],
)
def test_rank_channels_puts_the_least_important_first(criterion, first: list[int]) -> None:
    network = Plain()
    network.first, network.last = unit(3, 7), nn.Conv2D(7, 2, 1)
    values = np.arange(7, dtype=np.float32)[:, None, None, None] ** 2 * np.ones((7, 3, 3, 3), np.float32)
    network.first.conv.weight.set_value(paddle.to_tensor(values))
    found = find_dependencies(network, inputs=SIZE)
    order = rank_channels(network, found, criterion)["first.conv.weight"][:3]
    positions = found.axes["first.conv.weight"][0]
    assert [int(np.flatnonzero(positions == number)[0]) for number in order] == first


def test_rank_channels_asks_all_weights_that_make_a_channel() -> None:
    network: nn.Layer = randomised(Residual())
    for name, factor in (("stem", 1.0), ("outer", 10.0)):
        weight = getattr(network, name).conv.weight
        size = np.arange(8) if name == "stem" else np.arange(8)[::-1]
        ones = np.ones(weight.shape, np.float32)
        weight.set_value(paddle.to_tensor((factor * size[:, None, None, None] * ones).astype(np.float32)))
    found = find_dependencies(network, inputs=SIZE)
    order = rank_channels(network, found, "l1_norm")["stem.conv.weight"]
    # The larger weights, of `outer`, decide: its filters fall from the first to the last.
    np.testing.assert_array_equal(order, found.axes["stem.conv.weight"][0][::-1])
