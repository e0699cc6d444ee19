"""What a network predicts comes back to the photo's pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from paddlex.data.transforms.base import build_transforms
from paddlex.structures.moves import Move, predicted_classes, restore_labels, restore_logits
from paddlex.structures.sample import Sample
from paddlex.utils.errors import ShapeError

SIZE = (30, 45)
CHAINS = {
    "none": [],
    "resize": [{"Resize": {"target_size": [60, 90], "interp": 1}}],
    "centred": [{"Padding": {"target_size": [41, 60], "pad_mode": 1, "im_padding_value": [0, 0, 0]}}],
    "short side, then corner": [
        {"ResizeByShort": {"short_size": 60}},
        {"Padding": {"pad_mode": 2, "im_padding_value": [0, 0, 0]}},
    ],
    "stride": [{"PadStride": {"stride": 32}}],
    "twice": [
        {"Resize": {"target_size": [60, 45]}},
        {"Pad": {"size": [70, 50]}},
        {"Resize": {"target_size": [140, 100]}},
    ],
}
every_chain = pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)


def labelled_photo() -> Sample:
    label_map = np.zeros(SIZE, np.uint8)
    label_map[5:20, 10:40] = 1
    label_map[20:, :15] = 2
    image = np.zeros((*SIZE, 3), np.uint8)
    return Sample(image=image, image_id=0, path=Path(), original_size=SIZE, label_map=label_map)


def moved_by(chain) -> Sample:
    return build_transforms(chain)(labelled_photo(), np.random.default_rng(0))


@every_chain
def test_labels_moved_there_and_back_are_the_same(chain) -> None:
    moved = moved_by(chain)
    np.testing.assert_array_equal(restore_labels(moved.label_map, moved.moves), labelled_photo().label_map)


@every_chain
def test_classes_are_the_argmax_of_restored_logits(chain) -> None:
    moved = moved_by(chain)
    logits = np.random.default_rng(1).normal(size=(4, *moved.size)).astype(np.float32)
    expected = restore_logits(logits, moved.moves)
    assert expected.shape == (4, *SIZE) and expected.dtype == np.float32
    classes = predicted_classes(logits, moved.moves)
    assert classes.dtype == np.int32
    np.testing.assert_array_equal(classes, expected.argmax(axis=0))


def test_first_of_equal_classes_wins_and_logits_stay() -> None:
    logits = np.zeros((3, 4, 5), np.float32)
    logits[1:, 0] = 1
    before = logits.copy()
    assert predicted_classes(logits).tolist() == [[1] * 5, *[[0] * 5] * 3]
    np.testing.assert_array_equal(logits, before)


def test_a_map_of_another_size_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"map of \(9, 9\) .* on an input of \(8, 8\)"):
        restore_labels(np.zeros((9, 9), np.uint8), [Move((4, 4), (8, 8))])


def test_moves_are_not_shared_between_samples() -> None:
    sample = labelled_photo()
    moved_by(CHAINS["resize"])
    assert sample.moves == () and replace(sample).moves == ()
