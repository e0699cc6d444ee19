"""Deformable attention on maps whose values can be read off."""

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.heads.deformable_attention import DeformableAttention

WIDTH, HEADS = 8, 4


def make_attention(*, num_levels: int) -> DeformableAttention:
    """Untrained attention (equal weights, initial offsets) that passes values through unchanged."""
    attention = DeformableAttention(WIDTH, num_heads=HEADS, num_levels=num_levels, num_points=2)
    for projection in (attention.value_proj, attention.output_proj):
        projection.weight.set_value(paddle.eye(WIDTH))
    return attention


def ramp(height: int, width: int) -> np.ndarray:
    """Tokens of a map whose value is the x coordinate of the cell's centre, in fractions of the image."""
    x = np.broadcast_to((np.arange(width) + 0.5) / width, (height, width)).reshape(-1, 1)
    return np.broadcast_to(x, (height * width, WIDTH)).astype(np.float32)


def test_points_spread_over_the_reference_box_in_the_direction_of_their_head() -> None:
    attention = make_attention(num_levels=1)
    box = paddle.to_tensor([[[0.5, 0.5, 0.4, 0.2]]])
    out = attention(
        paddle.zeros([1, 1, WIDTH]),
        boxes=box,
        memory=paddle.to_tensor(ramp(8, 8)[None]),
        level_sizes=[(8, 8)],
    )

    # Heads look right, down, left, up; points reach half the way to the box's edge and all the way:
    # on average 3/4 of half its width.
    reach = 0.75 * 0.2
    heads = out.numpy().reshape(HEADS, -1)
    np.testing.assert_allclose(heads[:, 0], [0.5 + reach, 0.5, 0.5 - reach, 0.5], atol=1e-5)
    np.testing.assert_array_equal(heads[:, 0], heads[:, 1])


def test_levels_are_read_at_the_same_place_of_the_image() -> None:
    attention = make_attention(num_levels=2)
    memory = paddle.to_tensor(np.concatenate([ramp(8, 8), ramp(4, 4)])[None])
    out = attention(
        paddle.zeros([1, 1, WIDTH]),
        boxes=paddle.to_tensor([[[0.4, 0.5, 0.0, 0.0]]]),
        memory=memory,
        level_sizes=[(8, 8), (4, 4)],
    )

    np.testing.assert_allclose(out.numpy().ravel(), np.full(WIDTH, 0.4), atol=1e-5)


def test_outside_the_map_there_is_nothing() -> None:
    attention = make_attention(num_levels=1)
    out = attention(
        paddle.zeros([1, 1, WIDTH]),
        boxes=paddle.to_tensor([[[3.0, 0.5, 0.0, 0.0]]]),
        memory=paddle.ones([1, 16, WIDTH]),
        level_sizes=[(4, 4)],
    )

    assert out.abs().sum().item() == pytest.approx(0.0)
