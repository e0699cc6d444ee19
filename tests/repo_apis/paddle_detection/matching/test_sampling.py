"""Random samples of positive and negative boxes."""

import numpy as np
import paddle
import pytest

from paddlex.nn.draws import UniformDraws
from paddlex.repo_apis.paddle_detection.matching.sampling import sample_positives_and_negatives


def _sample(num_positives: int, num_negatives: int, *, seed: int = 0, **settings: float) -> list[list[int]]:
    """Sample from so many positives, as many boxes that are neither, and then the negatives."""
    index = paddle.arange(2 * num_positives + num_negatives)
    samples = sample_positives_and_negatives(
        index < num_positives, index >= 2 * num_positives, draws=UniformDraws(seed), **settings
    )
    return [sample.tolist() for sample in samples]


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        ((200, 900), (64, 192)),
        ((10, 900), (10, 246)),
        ((200, 20), (64, 20)),
        ((0, 900), (0, 256)),
        ((0, 0), (0, 0)),
    ],
    ids=["plenty", "few positives", "few negatives", "no positives", "nothing"],
)
def test_negatives_take_the_places_that_positives_leave(
    available: tuple[int, int], expected: tuple[int, int]
) -> None:
    positives, negatives = _sample(*available, count=256, positive_fraction=0.25)

    assert (len(set(positives)), len(set(negatives))) == (len(positives), len(negatives)) == expected
    assert all(index < available[0] for index in positives)
    assert all(index >= 2 * available[0] for index in negatives)


def test_choice_is_random_and_repeats_with_its_seed() -> None:
    settings = {"count": 20, "positive_fraction": 0.5}
    first = _sample(500, 500, **settings)

    assert _sample(500, 500, **settings) == first
    assert _sample(500, 500, seed=1, **settings) != first


def test_every_box_is_chosen_equally_often() -> None:
    draws = UniformDraws(0)
    flags = paddle.ones([10], dtype="bool")
    counts = np.zeros(10)
    for _ in range(300):
        chosen, _ = sample_positives_and_negatives(flags, ~flags, count=3, positive_fraction=1.0, draws=draws)
        counts[chosen.numpy()] += 1

    # 90 on average with a deviation of 8.
    assert (abs(counts - 90) < 32).all()
