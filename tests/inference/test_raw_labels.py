"""From logits or classes of a network's input to classes of the photo."""

from __future__ import annotations

import numpy as np
import pytest

from paddlex.inference.raw_labels import RawLabels
from paddlex.structures.moves import Move
from paddlex.utils.errors import UsageError

# Two classes in a row of two cells; the second cell is three times as sure as the first.
COARSE = np.array([[[1.0, 0.0]], [[0.0, 3.0]]], np.float32)


def test_coarse_logits_are_enlarged_before_the_largest_is_taken() -> None:
    raw = RawLabels(input_size=(1, 8), logits=COARSE)
    # Half-pixel rule: the difference of the logits, 1 to -3, is 1, 1, .5, -.5, -1.5, -2.5, -3, -3.
    assert raw.to_label_map().tolist() == [[0, 0, 0, 1, 1, 1, 1, 1]]
    # With aligned corners it falls by 4/7 a pixel: 1, .43, -.14, ...
    aligned = RawLabels(input_size=(1, 8), logits=COARSE, align_corners=True)
    assert aligned.to_label_map().tolist() == [[0, 0, 1, 1, 1, 1, 1, 1]]


def test_classes_first_differ_where_logits_say_more() -> None:
    raw = RawLabels(input_size=(1, 2), logits=COARSE)
    moves = (Move((1, 8), (1, 2)),)
    assert raw.to_label_map(moves).tolist() == [[0, 0, 0, 1, 1, 1, 1, 1]]
    assert raw.to_label_map(moves, argmax_first=True).tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]


def test_padding_is_cut_off() -> None:
    raw = RawLabels(input_size=(1, 8), logits=COARSE)
    assert raw.to_label_map((Move((1, 5), (1, 8), offset=(0, 0)),)).tolist() == [[0, 0, 0, 1, 1]]


def test_scores_are_the_softmax_of_enlarged_logits() -> None:
    scores = RawLabels(input_size=(1, 2), logits=COARSE).to_score_map()
    assert scores.shape == (1, 2, 2) and scores.dtype == np.float32
    e, e3 = np.exp(1), np.exp(3)
    np.testing.assert_allclose(
        scores[0], [[e / (e + 1), 1 / (e + 1)], [1 / (e3 + 1), e3 / (e3 + 1)]], rtol=1e-6
    )


def test_a_graph_that_decides_by_itself_has_classes_only() -> None:
    raw = RawLabels(input_size=(1, 2), label_map=np.array([[0, 4]], np.int64))
    assert raw.to_label_map((Move((2, 4), (1, 2)),)).tolist() == [[0, 0, 4, 4]] * 2
    with pytest.raises(UsageError, match="gives classes only; choose backend=onnx"):
        raw.to_score_map()
