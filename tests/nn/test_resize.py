"""Resizing of feature maps."""

import numpy as np
import paddle

from paddlex.nn.resize import double_nearest, resize_nearest


def test_doubling_repeats_every_value_in_a_square() -> None:
    doubled = double_nearest(paddle.to_tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))

    assert doubled.tolist() == [[[[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]]]


def test_doubling_equals_the_interpolation() -> None:
    x = paddle.randn([2, 3, 4, 5])

    np.testing.assert_array_equal(double_nearest(x).numpy(), resize_nearest(x, [8, 10]).numpy())
