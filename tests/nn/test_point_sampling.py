"""Bilinear sampling: pixel centres at half-integers, zero outside."""

import numpy as np
import paddle
import pytest

from paddlex.nn.point_sampling import BinaryMaskSampler, bilinear_matrix, sample_binary_masks, sample_maps


def _bordered(maps: np.ndarray) -> np.ndarray:
    """Flatten (C, H, W) maps with their border of zeros to (pixels, C)."""
    return np.pad(maps, ((0, 0), (1, 1), (1, 1))).reshape(len(maps), -1).T


# A map of 2 rows and 4 columns, sampled at (x, y) fractions.
MAP = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)
POINTS = {
    "pixel_centre": ((0.375, 0.75), 6.0),
    "between_two_columns": ((0.5, 0.25), 2.5),
    "between_four_pixels": ((0.5, 0.5), 4.5),
    "left_edge_is_half_outside": ((0.0, 0.25), 0.5),
    "corner_is_three_quarters_outside": ((0.0, 0.0), 0.25),
    "far_corner": ((1.0, 1.0), 2.0),
}


@pytest.mark.parametrize(("point", "expected"), POINTS.values(), ids=POINTS.keys())
def test_samples_are_the_hand_computed_ones(point: tuple[float, float], expected: float) -> None:
    points = np.array([point], np.float32)
    by_grid = sample_maps(paddle.to_tensor(MAP[None, None]), paddle.to_tensor(points[None]))

    assert by_grid.item() == pytest.approx(expected, abs=1e-6)
    assert bilinear_matrix(points, size=MAP.shape) @ _bordered(MAP[None]) == pytest.approx(
        np.array([[expected]]), abs=1e-6
    )


def test_matrix_equals_grid_sample_on_any_points() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(1, 3, 7, 5)).astype(np.float32)
    points = rng.random((200, 2), dtype=np.float32)
    by_matrix = (bilinear_matrix(points, size=(7, 5)) @ _bordered(maps[0])).T

    by_grid = sample_maps(paddle.to_tensor(maps), paddle.to_tensor(points[None]))[0].numpy()
    np.testing.assert_allclose(by_matrix, by_grid, atol=1e-5)


def test_transposed_matrix_is_the_gradient() -> None:
    rng = np.random.default_rng(1)
    maps = paddle.to_tensor(rng.normal(size=(1, 1, 4, 6)).astype(np.float32), stop_gradient=False)
    points, weights = rng.random((30, 2), dtype=np.float32), rng.random(30, dtype=np.float32)
    (sample_maps(maps, paddle.to_tensor(points[None])) * paddle.to_tensor(weights)).sum().backward()

    by_matrix = bilinear_matrix(points, size=(4, 6)).T @ weights
    inside = by_matrix.reshape(6, 8)[1:-1, 1:-1]
    np.testing.assert_allclose(maps.grad.numpy()[0, 0], inside, atol=1e-5)


@pytest.fixture
def masks() -> np.ndarray:
    rng = np.random.default_rng(2)
    return (rng.random((3, 6, 9)) < 0.5).astype(np.uint8)


def test_binary_masks_are_sampled_as_float_maps_are(masks: np.ndarray) -> None:
    points = np.random.default_rng(3).random((500, 2), dtype=np.float32)
    points[:4] = [[0, 0], [0.99999994, 0.99999994], [0, 0.99999994], [0.5, 0]]
    expected = bilinear_matrix(points, size=(6, 9)) @ _bordered(masks.astype(np.float32))
    index = np.array([2, 0, 2])

    np.testing.assert_allclose(BinaryMaskSampler(masks).sample(index, points), expected.T[index], atol=1e-5)
    shared = paddle.to_tensor(np.broadcast_to(points, (3, 500, 2)).copy())
    sampled = sample_binary_masks(paddle.to_tensor(masks), index=paddle.to_tensor(index), points=shared)
    np.testing.assert_allclose(sampled.numpy(), expected.T[index], atol=1e-5)


def test_full_mask_is_one_inside_and_fades_across_its_border() -> None:
    sampler = BinaryMaskSampler(np.ones((1, 4, 4), np.uint8))
    points = np.array([[0.5, 0.5], [0.125, 0.125], [0.0, 0.5]], np.float32)

    assert sampler.sample(np.array([0]), points).tolist() == [[1.0, 1.0, 0.5]]
