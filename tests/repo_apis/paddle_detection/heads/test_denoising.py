"""Denoising queries: layout, noise and what may see what."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from paddlex.nn.draws import UniformDraws
from paddlex.repo_apis.paddle_detection.heads.denoising import DenoisingQueries, make_denoising_queries

NUM_CLASSES = 5
# Two objects on the first photo, one on the second.
CLASS_IDS = [paddle.to_tensor([1, 2]), paddle.to_tensor([4])]
BOXES = [
    paddle.to_tensor([[0.5, 0.5, 0.2, 0.4], [0.3, 0.3, 0.1, 0.1]]),
    paddle.to_tensor([[0.6, 0.4, 0.2, 0.2]]),
]


def make(**options: object) -> DenoisingQueries | None:
    defaults = {
        "num_classes": NUM_CLASSES,
        "num_denoising": 7,
        "label_noise_ratio": 0.0,
        "box_noise_scale": 0.0,
        "draws": UniformDraws(seed=0),
    }
    return make_denoising_queries(CLASS_IDS, BOXES, **{**defaults, **options})


def test_groups_repeat_the_objects_of_the_fullest_photo() -> None:
    queries = make()

    # Three groups of two fit into seven; the second photo pads its second slot.
    assert (queries.meta.num_groups, queries.meta.group_size) == (3, 2)
    assert queries.class_ids.tolist() == [[1, 2] * 3, [4, NUM_CLASSES] * 3]
    np.testing.assert_array_equal(queries.boxes[0, 2:4].numpy(), BOXES[0].numpy())
    assert not queries.boxes[1, 1::2].numpy().any()


def test_a_crowded_photo_still_gets_one_group() -> None:
    assert make(num_denoising=1).meta.num_groups == 1


def test_there_are_none_without_objects_or_when_unwanted() -> None:
    nothing = [paddle.zeros([0], dtype="int64")], [paddle.zeros([0, 4])]
    options = {"label_noise_ratio": 0.5, "box_noise_scale": 1.0, "draws": UniformDraws()}

    assert make_denoising_queries(*nothing, num_classes=5, num_denoising=100, **options) is None
    assert make(num_denoising=0) is None


def test_box_noise_stays_within_half_a_side_and_one_length() -> None:
    queries = make(num_denoising=2000, box_noise_scale=1.0)
    clean = np.tile(BOXES[0].numpy(), (1000, 1))
    sides = clean[:, 2:]
    moved = queries.boxes[0].numpy() - clean

    assert (np.abs(moved[:, :2]) <= sides / 2 + 1e-6).all()
    assert (np.abs(moved[:, 2:]) <= sides + 1e-6).all()
    # Uniform noise: a mean of 0, with a standard error of a hundredth of the reach.
    assert np.abs((moved / np.concatenate([sides / 2, sides], axis=1)).mean(axis=0)) == pytest.approx(
        0, abs=0.1
    )
    assert not queries.boxes[1, 1::2].numpy().any()


def test_label_noise_redraws_a_quarter_and_leaves_padding_alone() -> None:
    queries = make(num_denoising=4000, label_noise_ratio=0.5)
    class_ids = queries.class_ids.numpy()

    assert (class_ids[1, 1::2] == NUM_CLASSES).all()
    assert set(np.unique(class_ids[0])) == set(range(NUM_CLASSES))
    # A quarter is redrawn, and a fifth of those draws gives the old class again.
    changed = (class_ids[0] != np.tile([1, 2], 2000)).mean()
    assert changed == pytest.approx(0.25 * 0.8, abs=0.02)


def test_nobody_sees_the_copies_of_another_group_and_ordinary_queries_see_none() -> None:
    queries = make(num_denoising=4)
    hidden = np.isneginf(queries.attention_mask(2).numpy()).astype(int)

    assert hidden.tolist() == [
        [0, 0, 1, 1, 0, 0],
        [0, 0, 1, 1, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0, 0],
    ]
