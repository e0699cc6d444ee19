"""RoIAlign: from which level, in which order, at which place."""

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.heads.roi_align import RoIAlign

STRIDES = (4, 8, 16, 32)


def _numbered_levels(batch: int = 1) -> list[paddle.Tensor]:
    """Levels 2 to 5 of 1024 x 1024 pixels, filled with their number, plus 10 for each photo before."""
    photos = paddle.arange(batch, dtype="float32").reshape([-1, 1, 1, 1]) * 10
    return [photos + paddle.full([batch, 1, 1024 // s, 1024 // s], float(np.log2(s))) for s in STRIDES]


@pytest.mark.parametrize(
    ("side", "level"),
    [(10, 2), (111.9, 2), (112.1, 3), (223.9, 3), (224.1, 4), (447.9, 4), (448.1, 5), (1000, 5)],
)
def test_boxes_come_from_the_level_of_their_size(side: float, level: int) -> None:
    boxes = [paddle.to_tensor([[5.0, 5.0, 5.0 + side, 5.0 + side]])]
    pooled = RoIAlign(STRIDES, resolution=2)(_numbered_levels(), boxes)

    np.testing.assert_allclose(pooled.numpy(), np.full((1, 1, 2, 2), level), rtol=1e-6)


def test_pooled_boxes_keep_their_order_and_their_photo() -> None:
    sides = [[500.0, 20.0, 300.0], [], [150.0, 900.0]]
    boxes = [paddle.to_tensor([[0.0, 0.0, s, s] for s in photo]).reshape([-1, 4]) for photo in sides]
    pooled = RoIAlign(STRIDES, resolution=1)(_numbered_levels(batch=3), boxes)

    assert pooled.flatten().tolist() == [5.0, 2.0, 4.0, 23.0, 25.0]


@pytest.mark.parametrize("strides", [STRIDES, (16,)], ids=["pyramid", "one level"])
def test_without_boxes_nothing_is_pooled_and_gradients_are_zero(strides: tuple[int, ...]) -> None:
    levels = [paddle.ones([2, 3, 64 // stride, 64 // stride]) for stride in strides]
    for level in levels:
        level.stop_gradient = False
    pooled = RoIAlign(strides, resolution=7)(levels, [paddle.zeros([0, 4])] * 2)
    (pooled.sum() + sum(level.sum() for level in levels)).backward()

    assert list(pooled.shape) == [0, 3, 7, 7]
    assert all((level.grad == 1.0).all() for level in levels)


def test_alignment_shifts_by_half_a_cell() -> None:
    # On a ramp the pooled value is the place of the sample.
    ramp = paddle.arange(16, dtype="float32").expand([1, 1, 16, 16])
    boxes = [paddle.to_tensor([[16.0, 16.0, 32.0, 32.0]])]
    pooled = [
        RoIAlign((4,), resolution=1, aligned=aligned)([ramp], boxes).item() for aligned in (False, True)
    ]

    assert pooled == pytest.approx([6.0, 5.5])


def test_a_fixed_number_of_samples_is_honoured() -> None:
    # One sample per cell reads the ramp's square at the middle, (8 / 4)^2; four read it at 1 and 3.
    square = (paddle.arange(16, dtype="float32") ** 2).expand([1, 1, 16, 16])
    boxes = [paddle.to_tensor([[0.0, 0.0, 16.0, 16.0]])]
    pooled = [RoIAlign((4,), resolution=1, sampling_ratio=ratio)([square], boxes).item() for ratio in (1, 2)]

    assert pooled == pytest.approx([4.0, (1.0 + 9.0) / 2])
