"""Boxes told relative to other boxes."""

import math

import numpy as np
import paddle
import pytest

from paddlex.nn.box_coding import decode_boxes, encode_boxes

# Centre (4, 5), sides 4 and 2; moved by a quarter width and half a height, and twice as wide.
BOX = paddle.to_tensor([[2.0, 4.0, 6.0, 6.0]])
GT_BOX = paddle.to_tensor([[1.0, 5.0, 9.0, 7.0]])


def test_deltas_are_the_hand_computed_ones() -> None:
    assert encode_boxes(BOX, GT_BOX)[0].tolist() == pytest.approx([0.25, 0.5, math.log(2), 0.0])
    weighted = encode_boxes(BOX, GT_BOX, weights=(10.0, 10.0, 5.0, 5.0))
    assert weighted[0].tolist() == pytest.approx([2.5, 5.0, 5 * math.log(2), 0.0])


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (30.0, 30.0, 15.0, 15.0)])
def test_decoding_undoes_encoding(weights: tuple[float, float, float, float]) -> None:
    corners = np.sort(np.random.default_rng(0).uniform(0, 500, [2, 20, 2, 2]), axis=2)
    corners[:, :, 1] += 9.0
    boxes, gt_boxes = paddle.to_tensor(corners.reshape(2, 20, 4).astype(np.float32))
    decoded = decode_boxes(encode_boxes(boxes, gt_boxes, weights=weights), boxes, weights=weights)

    np.testing.assert_allclose(decoded.numpy(), gt_boxes.numpy(), atol=1e-2)


def test_decoding_each_class_of_a_box_is_decoding_each() -> None:
    deltas = paddle.to_tensor(np.random.default_rng(1).normal(size=(3, 5, 4)).astype(np.float32))
    boxes = paddle.to_tensor([[0.0, 0.0, 4.0, 2.0], [1.0, 1.0, 2.0, 2.0], [5.0, 0.0, 9.0, 9.0]])
    together = decode_boxes(deltas, boxes.unsqueeze(1))

    for index in range(5):
        alone = decode_boxes(deltas[:, index], boxes)
        np.testing.assert_allclose(together[:, index].numpy(), alone.numpy(), rtol=1e-5)


def test_a_side_grows_at_most_62_and_a_half_times_and_shrinks_freely() -> None:
    deltas = paddle.to_tensor([[0.0, 0.0, 80.0, math.log(1e-3)]])
    x1, y1, x2, y2 = decode_boxes(deltas, BOX)[0].tolist()

    assert x2 - x1 == pytest.approx(4 * 62.5, rel=1e-5)
    assert y2 - y1 == pytest.approx(2e-3, rel=1e-2)
