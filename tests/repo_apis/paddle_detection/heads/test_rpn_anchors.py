"""Anchors of region proposals."""

import numpy as np
import pytest

from paddlex.repo_apis.paddle_detection.heads.rpn_anchors import AnchorGrid
from paddlex.utils.errors import ShapeError


def test_cell_anchors_are_the_hand_computed_ones() -> None:
    grid = AnchorGrid([[4, 8]], ratios=(1.0, 4.0), strides=(16,))

    # A ratio of 4 halves the width and doubles the height.
    expected = [[-2, -2, 2, 2], [-1, -4, 1, 4], [-4, -4, 4, 4], [-2, -8, 2, 8]]
    np.testing.assert_allclose(grid.cell_anchors[0], expected)
    assert grid.num_anchors == 4


def test_grid_goes_row_by_row_from_the_corners_of_cells_past_the_border() -> None:
    grid = AnchorGrid([[2], [4]], ratios=(1.0,), strides=(4, 8))

    assert grid.grid(0, 2, 3).tolist() == [
        [x - 1.0, y - 1.0, x + 1.0, y + 1.0] for y in (0, 4) for x in (0, 4, 8)
    ]
    assert grid.grid(1, 1, 2).tolist() == [[-2.0, -2.0, 2.0, 2.0], [6.0, -2.0, 10.0, 2.0]]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([[32], [64]], "2 lists for the 3 strides"),
        ([[32], [64], [128, 256]], "give each level as many sizes"),
    ],
)
def test_sizes_that_do_not_fit_the_levels_are_refused(sizes: list[list[int]], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        AnchorGrid(sizes, ratios=(1.0,), strides=(4, 8, 16))
