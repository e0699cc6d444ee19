"""Resizing of feature maps."""

import numpy as np
import paddle

from paddlex.nn.resize import double_nearest, resize_bilinear, resize_nearest


def test_doubling_repeats_every_value_in_a_square() -> None:
    doubled = double_nearest(paddle.to_tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))

    assert doubled.tolist() == [[[[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]]]


def test_doubling_equals_the_interpolation() -> None:
    x = paddle.randn([2, 3, 4, 5])

    np.testing.assert_array_equal(double_nearest(x).numpy(), resize_nearest(x, [8, 10]).numpy())


def test_bilinear_resizing_aligns_edges_or_corners() -> None:
    row = paddle.to_tensor([[[[0.0, 4.0]]]])

    np.testing.assert_allclose(resize_bilinear(row, [1, 4])[0, 0, 0].numpy(), [0.0, 1.0, 3.0, 4.0])
    aligned = resize_bilinear(row, [1, 5], align_corners=True)
    np.testing.assert_allclose(aligned[0, 0, 0].numpy(), [0.0, 1.0, 2.0, 3.0, 4.0])
