"""Instances drawn on a photo."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageFont

from paddlex.structures.masks import MaskCrops
from paddlex.utils import fonts
from paddlex.utils.draw import PALETTE, class_color, draw_instances, text_color
from paddlex.utils.errors import FileFormatError, ShapeError


def _square(size: tuple[int, int], *, y: int, x: int, side: int) -> MaskCrops:
    return MaskCrops.from_crops([np.ones((side, side), bool)], [(y, x)], size=size)


def _grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 100, np.uint8)


def test_palette_is_the_reference_one() -> None:
    # Fixture draw.json: colours and the classes with light letters.
    assert PALETTE[:3] == ((255, 0, 0), (204, 255, 0), (0, 255, 102))
    assert PALETTE[-1] == (255, 0, 77)
    assert [i for i in range(20) if text_color(i) == (255, 255, 255)] == [0, 3, 4, 8, 9, 13, 14, 18, 19]
    assert text_color(1) == (20, 14, 53)


def test_classes_beyond_the_palette_start_over() -> None:
    assert class_color(23) == class_color(3)


def test_mask_is_tinted_in_its_class_colour_as_rgb() -> None:
    masks = _square((60, 80), y=20, x=20, side=30)
    drawn = draw_instances(_grey(60, 80), boxes=masks.boxes(), labels=["a"], class_ids=[0], masks=masks)
    # Half of (100, 100, 100), half of red; the middle of the square is away from outline and label.
    assert drawn[40, 35].tolist() == [177, 50, 50]


def test_instances_of_a_class_keep_their_colour() -> None:
    masks = MaskCrops.from_crops(
        [np.ones((20, 20), bool)] * 3, [(40, 10), (40, 60), (40, 110)], size=(80, 200)
    )
    drawn = draw_instances(
        _grey(80, 200), boxes=masks.boxes(), labels=list("aaa"), class_ids=[1] * 3, masks=masks
    )
    assert drawn[50, 20].tolist() == drawn[50, 70].tolist() == drawn[50, 120].tolist()


def test_pixels_away_from_instances_are_untouched() -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    masks = _square((90, 120), y=40, x=30, side=20)
    drawn = draw_instances(image, boxes=masks.boxes(), labels=["a"], class_ids=[2], masks=masks, scores=[0.5])
    assert np.array_equal(drawn[:, 90:], image[:, 90:])
    assert np.array_equal(drawn[62:], image[62:])


def test_small_mask_is_not_buried_under_a_large_one() -> None:
    masks = MaskCrops.from_crops(
        [np.ones((10, 10), bool), np.ones((60, 60), bool)], [(40, 40), (20, 20)], size=(100, 100)
    )
    drawn = draw_instances(
        _grey(100, 100), boxes=masks.boxes(), labels=["s", "l"], class_ids=[3, 0], masks=masks
    )
    assert drawn[45, 45, 2] > drawn[75, 75, 2]


@pytest.mark.parametrize("size", [(20, 30), (75, 100), (600, 800), (400, 6000)], ids=str)
def test_label_of_a_box_in_the_corner_is_readable(size: tuple[int, int]) -> None:
    _, width = size
    box = np.array([[width - 12, 0, width, 10]], np.float32)
    drawn = draw_instances(_grey(*size), boxes=box, labels=["H"], class_ids=[0])
    white = np.argwhere((drawn > 180).all(axis=2))
    # Both stems of the letter, as tall as half the smallest font.
    assert np.ptp(white[:, 0]) >= 4
    assert np.ptp(white[:, 1]) >= 3


def test_labels_do_not_cover_one_another() -> None:
    boxes = np.array([[10, 30, 60, 60], [12, 32, 62, 62]], np.float32)
    first = draw_instances(_grey(120, 160), boxes=boxes[:1], labels=["first"], class_ids=[0], scores=[0.9])
    both = draw_instances(
        _grey(120, 160), boxes=boxes, labels=["first", "other"], class_ids=[0, 3], scores=[0.9, 0.8]
    )
    letters = (first == 255).all(axis=2)
    assert letters.any()
    assert (both[letters] == 255).all()


def test_label_without_room_is_left_out() -> None:
    # A label would hide most of the twelve 8-pixel neighbours.
    boxes = np.array([[x, y, x + 8, y + 8] for x in range(0, 40, 10) for y in range(0, 30, 10)], np.float32)
    drawn = draw_instances(_grey(30, 40), boxes=boxes, labels=["long name"] * 12, class_ids=[0] * 12)
    assert not (drawn == 255).all(axis=2).any()


def test_empty_result_is_the_photo_itself() -> None:
    image = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    drawn = draw_instances(
        image, boxes=np.zeros((0, 4)), labels=[], class_ids=[], masks=MaskCrops.empty((20, 30)), scores=[]
    )
    assert np.array_equal(drawn, image)
    assert drawn is not image


def test_empty_mask_draws_only_its_box() -> None:
    masks = MaskCrops.from_dense(np.zeros((1, 50, 50)))
    drawn = draw_instances(
        _grey(50, 50), boxes=np.array([[10, 25, 40, 45]]), labels=[""], class_ids=[0], masks=masks
    )
    assert drawn[35, 25].tolist() == [100, 100, 100]
    assert drawn[45, 25].tolist() == [255, 0, 0]


def test_grey_image_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected \(height, width, 3\) uint8"):
        draw_instances(np.zeros((5, 5), np.uint8), boxes=np.zeros((0, 4)), labels=[], class_ids=[])


def test_masks_of_another_canvas_are_refused() -> None:
    with pytest.raises(ShapeError, match="1 masks of size"):
        draw_instances(
            _grey(50, 50),
            boxes=np.zeros((1, 4)),
            labels=["a"],
            class_ids=[0],
            masks=_square((40, 50), y=0, x=0, side=5),
        )


def test_named_font_is_used_and_a_broken_one_refused(tmp_path, monkeypatch) -> None:
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    monkeypatch.setenv("PADDLE_PDX_LOCAL_FONT_FILE_PATH", str(broken))
    fonts._font.cache_clear()
    try:
        with pytest.raises(FileFormatError, match=r"broken\.ttf: not a usable font file"):
            draw_instances(_grey(50, 50), boxes=np.array([[10, 25, 40, 45]]), labels=["a"], class_ids=[0])
    finally:
        fonts._font.cache_clear()


def test_bundled_font_has_latin_and_cyrillic_letters() -> None:
    font = ImageFont.truetype(str(fonts._latin_font_file()), 20)
    assert font.getbbox("Ж") != font.getbbox("\uffff")
