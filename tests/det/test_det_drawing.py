"""Detected objects drawn with the names, arguments and colours of PaddleX 2."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import paddlex
from paddlex.det import visualize
from paddlex.utils.errors import ImageReadError, InputError
from paddlex.utils.images import read_image, write_image


def _grey(height: int = 60, width: int = 80) -> np.ndarray:
    return np.full((height, width, 3), 100, np.uint8)


def _found(category: str, box: list[int], *, score: float = 0.9, size: tuple[int, int] = (60, 80)) -> dict:
    x, y, w, h = box
    mask = np.zeros(size, np.uint8)
    mask[y : y + h, x : x + w] = 1
    return {"category": category, "category_id": 0, "bbox": box, "score": score, "mask": mask}


LEFT, RIGHT = [5, 20, 20, 30], [45, 20, 20, 30]


def test_masks_are_tinted_in_the_published_colours() -> None:
    drawn = visualize(_grey(), [_found("a", LEFT), _found("b", RIGHT)], save_dir=None)
    # The third and fourth colour of the table, as B, G, R: (0, 128, 0) and (128, 128, 0), mixed 6 : 4 with
    # white, 7 : 3 over the photo: 0.3 * 100 + 0.7 * (0.6 * 128 + 0.4 * 255) = 155.16; without colour 101.4.
    assert drawn[40, 15].tolist() == [101, 155, 101]
    assert drawn[40, 55].tolist() == [155, 155, 101]
    # Boxes are in the colour itself.
    assert drawn[49, 15].tolist() == [0, 128, 0]


def test_colours_go_by_appearance_among_all_results() -> None:
    result = [_found("weak", LEFT, score=0.2), _found("b", RIGHT)]
    drawn = visualize(_grey(), result, save_dir=None)
    assert drawn[40, 15].tolist() == [100, 100, 100]
    assert drawn[40, 55].tolist() == [155, 155, 101]
    assert visualize(_grey(), result, threshold=0.1, save_dir=None)[40, 15].tolist() == [101, 155, 101]


def test_given_colours_are_bgr() -> None:
    drawn = visualize(
        _grey(), [_found("a", LEFT), _found("b", RIGHT)], save_dir=None, color=[[255, 0, 0], [0, 0, 255]]
    )
    assert drawn[49, 15].tolist() == [255, 0, 0]
    assert drawn[49, 55].tolist() == [0, 0, 255]


def test_boxes_without_masks_are_drawn() -> None:
    box = {"category_id": 4, "bbox": np.array(LEFT), "score": np.float32(0.6)}
    drawn = visualize(_grey(), [box], save_dir=None)
    assert drawn[50, 15].tolist() == [0, 128, 0]
    assert drawn[40, 15].tolist() == [100, 100, 100]


def test_nothing_found_leaves_the_photo_as_it_is() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert np.array_equal(visualize(photo, [], save_dir=None), photo)
    assert np.array_equal(visualize(photo, [], save_dir=None, color=np.zeros((0, 3))), photo)


def test_drawings_are_named_after_the_photo(tmp_path) -> None:
    for name in ("照片 1.png", "b.gif"):
        write_image(tmp_path / "photo.png", _grey())
        (tmp_path / "photo.png").rename(tmp_path / name)
        assert visualize(str(tmp_path / name), [_found("a", LEFT)], save_dir=tmp_path / "out") is None
    # GIF is not written.
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "visualize_b.gif.png",
        "visualize_照片 1.png",
    ]
    drawn = read_image(tmp_path / "out" / "visualize_照片 1.png")
    assert drawn[40, 15].tolist() == [101, 155, 101]


def test_drawings_of_arrays_do_not_replace_one_another(tmp_path) -> None:
    for _ in range(5):
        visualize(_grey(), [], save_dir=tmp_path)
    names = [path.name for path in tmp_path.iterdir()]
    assert len(names) == 5
    assert all(name.startswith("visualize_1") and name.endswith(".jpg") for name in names)


def test_masks_are_not_copied_whole() -> None:
    height, width = 1500, 2000
    result = [_found("a", [100 * i, 50 * i, 60, 60], size=(height, width)) for i in range(19)]
    photo = _grey(height, width)
    tracemalloc.start()
    try:
        visualize(photo, result, save_dir=None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A few copies of the photo (9 MB); copies of the 19 masks would be 57 MB more.
    assert peak < 5 * photo.nbytes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": _grey()[:, :, 0]}, r"image \(60, 80\) uint8; expected \(height, width, 3\) uint8, BGR"),
        ({"image": 3}, "image is int; expected a path or a BGR array"),
        ({"result": None}, "result is NoneType; expected the list that predict returns"),
        ({"result": [[]]}, r"result\[0\] is a list: the result of several photos; draw them one by one"),
        ({"result": [{"boxes": 1}]}, r"result\[0\] has no bbox, no score, no category; its keys: boxes"),
        ({"result": [{"category": "a", "bbox": [1, 2, 3], "score": 1}]}, r"result\[0\], bbox is \[1, 2, 3\]"),
        ({"result": [{"category": "a", "bbox": LEFT, "score": "x"}]}, r"result\[0\], score is \['x'\]"),
        (
            {"result": [_found("a", LEFT, size=(60, 60))]},
            r"result\[0\], mask \(60, 60\) on a photo \(60, 80\)",
        ),
        ({"threshold": 50}, "threshold 50; expected a score from 0 to 1"),
        ({"color": [[0, 0, 0]] * 2}, "color: 2 colours for the 1 categories of the result; give 1"),
        ({"color": [0, 0, 0]}, "color: expected a row of B, G, R for each category"),
        ({"color": [[0, 0, 256]]}, "color: values outside 0 to 255"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_drawn_is_told_in_one_line(change, message) -> None:
    arguments = {"image": _grey(), "result": [_found("a", LEFT)], "save_dir": None, **change}
    with pytest.raises(InputError, match=message) as caught:
        visualize(**arguments)
    assert "\n" not in str(caught.value)


def test_a_photo_that_is_not_there_is_told_in_one_line(tmp_path) -> None:
    with pytest.raises(ImageReadError, match=r"none\.jpg: cannot be read"):
        visualize(tmp_path / "none.jpg", [])


def test_the_package_has_the_function_too() -> None:
    assert paddlex.visualize_det is visualize is paddlex.det.visualize
