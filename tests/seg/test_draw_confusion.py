"""The confusion matrix of a segmenter's evaluation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from paddlex.seg import draw_confusion_matrix
from paddlex.utils.errors import FileFormatError, InputError


def _dark(path) -> int:
    """Pixels of the darkest blue: cells that hold all of their row."""
    with Image.open(path) as image:
        return int((np.asarray(image.convert("RGB")) == (8, 48, 107)).all(axis=-1).sum())


def test_what_is_right_is_the_dark_diagonal(tmp_path) -> None:
    draw_confusion_matrix({"confusion_matrix": [[9, 0], [0, 4]]}, ["sky", "道路"], save_dir=tmp_path / "a")
    draw_confusion_matrix({"confusion_matrix": np.array([[5, 4], [2, 2]])}, save_dir=tmp_path / "b")
    right, confused = (_dark(tmp_path / folder / "confusion_matrix.png") for folder in "ab")
    assert right > 10_000 and confused < 1_000  # the colour bar ends in it


def test_the_file_of_a_saved_model_is_read(tmp_path) -> None:
    file = tmp_path / "eval_details.json"
    file.write_text(json.dumps({"confusion_matrix": [[3]]}))
    draw_confusion_matrix(file, ["all"], save_dir=tmp_path)
    assert _dark(tmp_path / "confusion_matrix.png") > 1000


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ({"miou": 1}, "no confusion_matrix; expected what a segmenter"),
        ([1], "no confusion_matrix"),
        ({"confusion_matrix": []}, "expected n rows of n numbers"),
        ({"confusion_matrix": [[1, 2]]}, "expected n rows of n numbers"),
        ({"confusion_matrix": [[1, 2], [3]]}, "expected n rows of n numbers"),
        ({"confusion_matrix": "x"}, "expected n rows of n numbers"),
        ({"confusion_matrix": [[-1]]}, "negative or not finite"),
        ({"confusion_matrix": [[float("nan")]]}, "negative or not finite"),
    ],
)
def test_what_is_no_confusion_matrix_is_told_in_one_line(details, message, tmp_path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        draw_confusion_matrix(details, save_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_labels_of_another_count_are_refused(tmp_path) -> None:
    for labels in (["a"], "ab"):
        with pytest.raises(
            InputError, match=r"labels for a confusion matrix of 2 classes; give one for each"
        ):
            draw_confusion_matrix({"confusion_matrix": [[1, 0], [0, 1]]}, labels, save_dir=tmp_path)
    with pytest.raises(FileFormatError, match="cannot be read"):
        draw_confusion_matrix(tmp_path / "none.json")
