"""Mask losses on uncertain points."""

import math

import numpy as np
import paddle
import pytest

from paddlex.nn.draws import UniformDraws
from paddlex.repo_apis.paddle_detection.losses import point_mask
from paddlex.repo_apis.paddle_detection.losses.point_mask import PointCounts, PointMaskLoss, point_mask_losses
from paddlex.repo_apis.paddle_detection.losses.point_mask_cpu import nearest_points, point_mask_losses_cpu

COMPUTE = pytest.mark.parametrize("compute", [point_mask_losses, point_mask_losses_cpu])


@COMPUTE
def test_undecided_logits_cost_ln_2(compute) -> None:
    total, bce, dice = compute(
        paddle.zeros([1, 1, 2, 2]),
        paddle.ones([1, 8, 8], dtype="uint8"),
        indices=paddle.zeros([1, 1], dtype="int64"),
        candidates=paddle.full([1, 4, 2], 0.5),
        random_points=paddle.full([1, 2, 2], 0.5),
        num_uncertain=2,
        weights=(3.0, 7.0),
    )

    # Four points of probability 1/2 against 1: dice = 1 - (2 * 2 + 1) / (2 + 4 + 1).
    assert bce.item() == pytest.approx(math.log(2))
    assert dice.item() == pytest.approx(2 / 7)
    assert total.item() == pytest.approx(3 * math.log(2) + 7 * 2 / 7)


@COMPUTE
def test_most_uncertain_candidates_and_all_random_points_count(compute) -> None:
    # Logits 4, 1, -1, -6 from left to right; the target is the left half.
    logits = paddle.to_tensor([[[[4.0, 1.0, -1.0, -6.0]]]])
    masks = paddle.to_tensor([[[1, 1, 0, 0]] * 4], dtype="uint8")
    x = paddle.to_tensor([0.125, 0.375, 0.625, 0.875, 0.875])  # the last one is the random point
    points = paddle.stack([x, paddle.full([5], 0.5)], axis=-1).unsqueeze(0)
    _, bce, _ = compute(
        logits,
        masks,
        indices=paddle.zeros([1, 1], dtype="int64"),
        candidates=points[:, :4],
        random_points=points[:, 4:],
        num_uncertain=2,
        weights=(1.0, 1.0),
    )

    expected = (2 * math.log1p(math.exp(-1)) + math.log1p(math.exp(-6))) / 3
    assert bce.item() == pytest.approx(expected, rel=1e-5)


@pytest.fixture
def pairs() -> dict[str, object]:
    rng = np.random.default_rng(0)
    return {
        "pair_logits": (5 * rng.normal(size=(3, 2, 5, 5))).astype(np.float32),
        "masks": paddle.to_tensor((rng.random((4, 20, 20)) < 0.4).astype(np.uint8)),
        "indices": paddle.to_tensor(np.array([[0, 2], [3, 3], [1, 0]])),
        "candidates": paddle.to_tensor(rng.random((3, 80, 2), dtype=np.float32)),
        "random_points": paddle.to_tensor(rng.random((3, 10, 2), dtype=np.float32)),
    }


def _losses_and_gradients(compute, pairs: dict[str, object]) -> list[np.ndarray]:
    values = []
    for weights in ((1.0, 0.0), (0.0, 1.0), (2.0, 3.0)):
        logits = paddle.to_tensor(pairs["pair_logits"], stop_gradient=False)
        shared = {name: pairs[name] for name in ("indices", "candidates", "random_points")}
        loss, bce, dice = compute(logits, pairs["masks"], **shared, num_uncertain=20, weights=weights)
        assert bce.stop_gradient and dice.stop_gradient
        # Factors that differ by pair and layer show whose gradient went where.
        (loss * paddle.arange(1, loss.size + 1, dtype="float32").reshape(loss.shape)).sum().backward()
        values += [loss.numpy(), bce.numpy(), dice.numpy(), logits.grad.numpy()]
    return values


def test_cpu_formulation_equals_the_operators(pairs: dict[str, object]) -> None:
    ours = _losses_and_gradients(point_mask_losses_cpu, pairs)
    expected = _losses_and_gradients(point_mask_losses, pairs)

    for value, reference in zip(ours, expected, strict=True):
        np.testing.assert_allclose(value, reference, rtol=1e-4, atol=1e-5)


def test_operators_give_the_same_in_several_portions(
    pairs: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _losses_and_gradients(point_mask_losses, pairs)
    monkeypatch.setattr(point_mask, "_PAIRS_AT_ONCE", 2)

    for value, reference in zip(_losses_and_gradients(point_mask_losses, pairs), expected, strict=True):
        np.testing.assert_allclose(value, reference, rtol=1e-6)


@COMPUTE
def test_huge_logits_stay_finite(compute, pairs: dict[str, object]) -> None:
    pairs["pair_logits"] = pairs["pair_logits"] * np.float32(1e4)

    assert all(np.isfinite(values).all() for values in _losses_and_gradients(compute, pairs))


def test_layers_share_points_and_draws_count_as_documented() -> None:
    class Counting(UniformDraws):
        def __init__(self) -> None:
            super().__init__(0)
            self.shapes: list[list[int]] = []

        def uniform(self, shape):
            self.shapes.append(list(shape))
            return super().uniform(shape)

    draws = Counting()
    logits = paddle.randn([3, 1, 6, 6]).expand([3, 2, 6, 6])
    loss = PointMaskLoss(PointCounts(candidates=30, uncertain=8, random=4))
    masks, indices = paddle.ones([1, 24, 24], dtype="uint8"), paddle.zeros([3, 2], dtype="int64")
    _, bce, _ = loss(logits, masks, indices, draws, weights=(1.0, 1.0))

    assert draws.shapes == [[3, 1, 30, 2], [3, 4, 2]]
    np.testing.assert_array_equal(bce[:, 0].numpy(), bce[:, 1].numpy())


@pytest.mark.parametrize("count", [1, 700, 9_999, 10_000])
@pytest.mark.parametrize("kind", ["random", "few_values", "ascending", "mostly_equal"])
def test_nearest_points_are_those_of_a_full_sort(kind: str, count: int) -> None:
    rng = np.random.default_rng(0)
    distances = {
        "random": rng.random(10_000),
        "few_values": rng.integers(0, 4, 10_000),
        "ascending": np.arange(10_000),
        # Every value of the sample is the same, so that it says nothing about the others.
        "mostly_equal": np.where(np.arange(10_000) % 32 == 0, 5, rng.random(10_000)),
    }[kind].astype(np.float32)
    nearest = nearest_points(distances, count)

    assert len(np.unique(nearest)) == count
    assert sorted(distances[nearest]) == sorted(distances)[:count]
