"""Means over a grid of bins."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from paddlex.nn.adaptive_pool import average_bins


def test_bins_that_do_not_divide_the_side_share_pixels() -> None:
    row = paddle.to_tensor([[[[1.0, 2.0, 3.0, 4.0, 5.0]]]])

    # Two bins on five pixels: [0, 3) and [2, 5).
    np.testing.assert_allclose(average_bins(row, 2)[0, 0, 0].numpy(), [2.0, 4.0])


@pytest.mark.parametrize("size", [(12, 18), (7, 11), (4, 2)], ids=["even", "odd", "fewer_pixels_than_bins"])
@pytest.mark.parametrize("bins", [1, 2, 3, 6])
def test_bins_are_those_of_adaptive_pooling(size: tuple[int, int], bins: int) -> None:
    x = paddle.randn([2, 3, *size])

    np.testing.assert_allclose(
        average_bins(x, bins).numpy(), F.adaptive_avg_pool2d(x, bins).numpy(), atol=1e-6
    )
