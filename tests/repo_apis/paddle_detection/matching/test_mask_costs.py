"""Mask costs of every query with every object, on random points."""

import math

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.matching.mask_costs import mask_costs, mask_costs_by_operators
from paddlex.repo_apis.paddle_detection.matching.mask_costs_cpu import mask_costs_cpu

COMPUTE = pytest.mark.parametrize("compute", [mask_costs_by_operators, mask_costs_cpu])
NUM_POINTS = 300


@COMPUTE
def test_costs_of_a_constant_mask_are_the_hand_computed_ones(compute) -> None:
    # Logits ln 3, probability 3/4; all points lie where neither map fades out. One object is full, one empty.
    embeds = paddle.full([1, 1, 1], math.log(3))
    masks = paddle.stack([paddle.ones([8, 8], dtype="uint8"), paddle.zeros([8, 8], dtype="uint8")])
    points = paddle.full([4, 2], 0.5)
    bce, dice = compute(embeds, paddle.ones([1, 4, 4]), masks, points=points)

    assert bce.flatten().tolist() == pytest.approx([math.log(4 / 3), math.log(4)], rel=1e-5)
    assert dice.flatten().tolist() == pytest.approx(
        [1 - (2 * 3 + 1) / (3 + 4 + 1), 1 - 1 / (3 + 1)], rel=1e-5
    )


@pytest.mark.parametrize("factor", [1.0, 1e3], ids=["usual_logits", "huge_logits"])
@pytest.mark.parametrize("side", [5, 24], ids=["fewer_pixels_than_points", "more_pixels_than_points"])
def test_cpu_formulation_equals_the_operators(side: int, factor: float) -> None:
    rng = np.random.default_rng(0)
    embeds = paddle.to_tensor((factor * rng.normal(size=(3, 50, 6))).astype(np.float32))
    prototypes = paddle.to_tensor(rng.normal(size=(6, side, side + 1)).astype(np.float32))
    masks = paddle.to_tensor((rng.random((4, 32, 32)) < 0.5).astype(np.uint8))
    points = paddle.to_tensor(rng.random((NUM_POINTS, 2), dtype=np.float32))
    ours, expected = (
        f(embeds, prototypes, masks, points=points) for f in (mask_costs, mask_costs_by_operators)
    )

    for value, reference in zip(ours, expected, strict=True):
        assert value.shape == [3, 50, 4]
        np.testing.assert_allclose(value.numpy(), reference.numpy(), rtol=2e-4, atol=1e-5)
