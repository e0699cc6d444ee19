"""Colours of class indices are those of PASCAL VOC."""

from __future__ import annotations

from paddlex.utils.palette import mask_palette, voc_colors


def test_first_colours_are_the_published_ones() -> None:
    assert voc_colors()[:4].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert voc_colors()[8].tolist() == [64, 0, 0]


def test_every_index_has_its_own_colour() -> None:
    assert len({tuple(color) for color in voc_colors().tolist()}) == 256


def test_masks_begin_with_the_second_colour_and_ignored_pixels_are_black() -> None:
    assert mask_palette()[:2].tolist() == [[128, 0, 0], [0, 128, 0]]
    assert mask_palette()[255].tolist() == [0, 0, 0]
