"""Label maps tint photos by class."""

from __future__ import annotations

import numpy as np
import pytest

from paddlex.utils.draw_labels import blend_label_map
from paddlex.utils.errors import ShapeError

COLORS = np.array([[0, 0, 0], [200, 100, 0]], np.uint8)


def test_each_pixel_is_the_weighted_sum_of_photo_and_colour() -> None:
    image = np.full((1, 2, 3), 100, np.uint8)
    blended = blend_label_map(image, np.array([[0, 1]]), colors=COLORS, weight=0.75)
    assert blended.tolist() == [[[75, 75, 75], [125, 100, 75]]]
    assert (image == 100).all()


def test_sizes_must_agree() -> None:
    with pytest.raises(ShapeError, match=r"label map \(2, 2\) on an image \(3, 2, 3\)"):
        blend_label_map(np.zeros((3, 2, 3), np.uint8), np.zeros((2, 2), int), colors=COLORS)
