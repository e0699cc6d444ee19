"""Label maps drawn with the names and arguments of PaddleX 2; its numbers are in tests/parity."""

from __future__ import annotations

import numpy as np
import pytest

import paddlex
from paddlex.seg import visualize
from paddlex.utils.errors import ImageReadError, InputError
from paddlex.utils.images import read_image, write_image

PHOTO = np.full((2, 3, 3), 100, np.uint8)
RESULT = {"label_map": np.array([[0, 1, 2], [3, 255, 256]], np.int32), "score_map": None}


def test_colours_are_the_table_of_pascal_voc_applied_to_bgr() -> None:
    drawn = visualize(PHOTO, RESULT, weight=0.0, save_dir=None)
    assert drawn[0].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    # 255 is all bits; 256 colours start over.
    assert drawn[1].tolist() == [[128, 128, 0], [224, 224, 192], [0, 0, 0]]


def test_weight_is_that_of_the_photo() -> None:
    # 0.75 * 100 + 0.25 * 128 = 107; 0.75 * 100 = 75.
    assert visualize(PHOTO, RESULT, weight=0.75, save_dir=None)[0, 1].tolist() == [107, 75, 75]
    assert np.array_equal(visualize(PHOTO, RESULT, weight=1, save_dir=None), PHOTO)


def test_given_colours_replace_the_first_ones() -> None:
    drawn = visualize(PHOTO, RESULT, weight=0.0, save_dir=None, color=[1, 2, 3, 255, 0, 7])
    assert drawn[0].tolist() == [[1, 2, 3], [255, 0, 7], [0, 128, 0]]


def test_drawings_are_named_after_the_photo(tmp_path) -> None:
    write_image(tmp_path / "a.png", PHOTO)
    assert visualize(tmp_path / "a.png", RESULT, weight=0.0, save_dir=tmp_path / "out") is None
    visualize(PHOTO, RESULT, save_dir=tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(names) == 2 and names[0].endswith(".jpg") and names[1] == "visualize_a.png"
    # Read as RGB.
    assert read_image(tmp_path / "out" / "visualize_a.png")[0, 1].tolist() == [0, 0, 128]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": PHOTO.astype(float)}, r"image \(2, 3, 3\) float64; expected \(height, width, 3\) uint8"),
        ({"result": [RESULT]}, "result is a list: the results of several photos; draw them one by one"),
        ({"result": 3}, "result is int; expected a dict with label_map"),
        ({"result": {"label": 1}}, "result has no label_map; its keys: label"),
        ({"result": {"label_map": np.zeros((3, 2), int)}}, r"label_map \(3, 2\) on a photo \(2, 3\)"),
        ({"result": {"label_map": np.zeros((2, 3))}}, "label_map of float64; expected whole numbers"),
        ({"weight": 60}, "weight 60; expected a number from 0 to 1"),
        ({"color": [1, 2]}, "color: 2 values; expected B, G, R for each class"),
        ({"color": [0] * 771}, "color: 771 values; expected B, G, R for each class"),
        ({"color": [0, 0, -1]}, "color: values outside 0 to 255"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_drawn_is_told_in_one_line(change, message) -> None:
    with pytest.raises(InputError, match=message) as caught:
        visualize(**{"image": PHOTO, "result": RESULT, "save_dir": None, **change})
    assert "\n" not in str(caught.value)


def test_a_photo_that_is_not_there_is_told_in_one_line(tmp_path) -> None:
    with pytest.raises(ImageReadError, match=r"none\.jpg: cannot be read"):
        visualize(tmp_path / "none.jpg", RESULT)


def test_the_package_has_the_function_too() -> None:
    assert paddlex.visualize_seg is visualize is paddlex.seg.visualize
