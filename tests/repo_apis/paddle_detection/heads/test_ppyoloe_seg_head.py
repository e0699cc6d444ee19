"""Cells of the levels, and what an untrained head says of them."""

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.heads.ppyoloe_seg import PPYOLOESegHead, cell_tables


def make_head() -> PPYOLOESegHead:
    paddle.seed(0)
    return PPYOLOESegHead(
        (8, 6), strides=(16, 8), num_classes=3, num_bins=5, num_prototypes=4, prototype_hidden=8
    )


def test_cells_are_centred_row_by_row_and_level_by_level() -> None:
    points, strides = cell_tables(((1, 2), (2, 1)), strides=(16, 8))

    assert points.tolist() == [[0.5, 0.5], [1.5, 0.5], [0.5, 0.5], [0.5, 1.5]]
    assert strides.tolist() == [[16], [16], [8], [8]]


def test_untrained_cells_expect_one_percent_and_even_distances() -> None:
    head = make_head()
    head.eval()
    pred = head([paddle.randn([2, 8, 2, 3]), paddle.randn([2, 6, 4, 6])])

    np.testing.assert_allclose(paddle.nn.functional.sigmoid(pred.logits).numpy(), 0.01, rtol=1e-5)
    # The mean of 0 to 4.
    np.testing.assert_allclose(pred.distances.numpy(), 2.0, rtol=1e-5)
    assert pred.boxes[0, 0].numpy() == pytest.approx([16 * (0.5 - 2)] * 2 + [16 * (0.5 + 2)] * 2)
    assert pred.coefficients.shape == [2, 30, 4]
    assert pred.prototypes.shape == [2, 4, 8, 12]


def test_bins_of_the_distances_do_not_learn() -> None:
    head = make_head()
    pred = head([paddle.randn([1, 8, 2, 2]), paddle.randn([1, 6, 4, 4])])
    pred.distances.sum().backward()

    assert head.proj_conv.weight.flatten().tolist() == [0, 1, 2, 3, 4]
    assert head.proj_conv.weight.grad is None
    assert head.proj_conv.weight.stop_gradient


def test_a_sharp_distribution_is_a_distance() -> None:
    logits = paddle.full([4, 5], -50.0)
    for side, bin_index in enumerate((0, 3, 4, 1)):
        logits[side, bin_index] = 50.0

    assert make_head().mean_distances(logits).numpy() == pytest.approx([0, 3, 4, 1])
