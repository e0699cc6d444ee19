"""Random numbers of a training step."""

import numpy as np
import paddle
import pytest

from paddlex.nn.draws import UniformDraws


def test_uniform_fills_the_unit_interval() -> None:
    numbers = UniformDraws(0).uniform([50, 1, 40, 2])

    assert numbers.shape == [50, 1, 40, 2]
    assert numbers.dtype == paddle.float32
    assert 0.0 <= numbers.numpy().min() < 0.01
    assert 0.99 < numbers.numpy().max() < 1.0
    assert abs(float(numbers.mean()) - 0.5) < 0.03


def test_seed_repeats_the_sequence_and_each_draw_is_fresh() -> None:
    draws, again = UniformDraws(7), UniformDraws(7)
    first, second = draws.uniform([5]).numpy(), draws.uniform([5]).numpy()

    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(again.uniform([5]).numpy(), first)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_large_draws_are_the_sequence_of_one_generator(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    draws, generator = UniformDraws(5), np.random.default_rng(5)

    # The odd lengths leave half an output of the generator over, which the next draw begins with.
    for shape in ([3], [600_001, 1], [2, 300_000], [7]):
        expected = generator.random(shape, dtype=np.float32)
        np.testing.assert_array_equal(draws.uniform(shape).numpy(), expected)


def test_without_seed_the_sequence_follows_paddle_seed() -> None:
    paddle.seed(3)
    first = UniformDraws().uniform([5]).numpy()
    other = UniformDraws().uniform([5]).numpy()
    paddle.seed(3)

    np.testing.assert_array_equal(UniformDraws().uniform([5]).numpy(), first)
    assert not np.array_equal(first, other)


def test_integers_are_the_scaled_uniform_numbers() -> None:
    numbers = UniformDraws(1).integers(3, 300)

    assert numbers.dtype == paddle.int64
    expected = np.floor(UniformDraws(1).uniform([300]).numpy() * np.float32(3)).astype(np.int64)
    np.testing.assert_array_equal(numbers.numpy(), expected)
    assert set(numbers.tolist()) == {0, 1, 2}


def test_integers_never_reach_high_by_rounding() -> None:
    class Largest(UniformDraws):
        def uniform(self, shape: list[int]) -> paddle.Tensor:
            return paddle.full(shape, float(np.nextafter(np.float32(1), np.float32(0))))

    # (1 - 2**-24) * 2**24 is exact, 3 * (1 - 2**-24) rounds up to 3.
    assert Largest().integers(3, 1).tolist() == [2]


def test_chosen_numbers_are_different_and_in_random_order() -> None:
    draws = UniformDraws(2)
    numbers = draws.choose(1000, 50)

    assert numbers.dtype == paddle.int64
    assert len(set(numbers.tolist())) == 50
    assert 0 <= min(numbers.tolist()) and max(numbers.tolist()) < 1000
    assert numbers.tolist() != sorted(numbers.tolist())
    assert sorted(draws.choose(5, 5).tolist()) == [0, 1, 2, 3, 4]
    assert draws.choose(0, 0).tolist() == []
