"""Claims of cells and reduced masks, with numbers computed by hand."""

import cv2
import numpy as np
import pytest

from paddlex.repo_apis.paddle_detection.heads.solov2_targets import assign_cells, reduce_masks
from paddlex.structures.masks import MaskCrops
from paddlex.structures.shapes import InstanceShapes

CANVAS = (64, 64)


def rectangles(*boxes: tuple[int, int, int, int]) -> tuple[np.ndarray, MaskCrops]:
    """Boxes xyxy and the masks that fill them."""
    masks = np.zeros((len(boxes), *CANVAS), bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    return np.array(boxes, np.float32).reshape(-1, 4), MaskCrops.from_dense(masks, size=CANVAS)


def assign(boxes, masks, *, classes=(0,), grids=(8,), ranges=((1, 100),)):
    class_ids = np.array(classes, np.int64)
    return assign_cells(boxes, class_ids, masks, grid_sizes=grids, scale_ranges=ranges)


def claimed(targets, *, grid: int = 8) -> list[tuple[int, int]]:
    return [divmod(int(cell), grid) for cell in targets.cells]


def test_a_small_object_claims_the_cell_of_its_centre_of_mass() -> None:
    # Mean column 18.5, mean row 42.5 on cells of 8 pixels; a tenth of the sides reaches no other cell.
    assert claimed(assign(*rectangles((16, 40, 22, 46)))) == [(5, 2)]


def test_a_large_object_claims_at_most_the_neighbours_of_its_cell() -> None:
    # Centre 31.5, a tenth of 64 is 6.4: 25.1 to 37.9, cells 3 to 4. On a grid of 32 that is 12 to 18, and the
    # centre's own cell is 15.
    assert claimed(assign(*rectangles((0, 0, 64, 64)))) == [(3, 3), (3, 4), (4, 3), (4, 4)]
    cells = claimed(assign(*rectangles((0, 0, 64, 64)), grids=(32,)), grid=32)
    assert cells == [(y, x) for y in (14, 15, 16) for x in (14, 15, 16)]


def test_the_centre_is_that_of_the_mask_and_not_of_the_box() -> None:
    boxes, _ = rectangles((0, 0, 32, 32))
    _, corner = rectangles((0, 0, 4, 4))

    assert claimed(assign(boxes, corner)) == [(0, 0)]


def test_an_object_may_be_learnt_at_two_levels_and_ends_of_ranges_count() -> None:
    boxes, masks = rectangles((16, 16, 32, 32))  # size 16
    targets = assign(boxes, masks, grids=(4, 2, 1), ranges=((1, 16), (16, 32), (17, 64)))

    # Centre 23.5, reach 1.6. Cells are numbered on: 16 of the first grid come before the second.
    assert targets.cells.tolist() == [1 * 4 + 1, 16 + 0]
    assert targets.objects.tolist() == [0, 0]


def test_the_later_object_names_the_category_and_both_claim_the_cell() -> None:
    boxes, masks = rectangles((16, 40, 22, 46), (17, 41, 23, 47))
    targets = assign(boxes, masks, classes=(4, 6))

    assert targets.cells.tolist() == [42, 42]
    assert targets.objects.tolist() == [0, 1]
    assert np.flatnonzero(targets.categories).tolist() == [42]
    assert targets.categories[42] == 7


def test_empty_masks_and_sizes_out_of_range_claim_nothing() -> None:
    boxes, masks = rectangles((0, 0, 0, 0), (8, 8, 10, 10), (20, 20, 40, 40))
    boxes[0] = [0, 0, 20, 20]
    targets = assign(boxes, masks, classes=(0, 1, 2), ranges=((4, 100),))

    assert set(targets.objects.tolist()) == {0}
    assert set(targets.categories.tolist()) == {0, 3}
    assert targets.masks.shape == (1, 16, 16)


def test_a_photo_without_objects_is_all_background() -> None:
    targets = assign(*rectangles(), classes=())

    assert not targets.categories.any()
    assert (targets.cells.shape, targets.objects.shape, targets.masks.shape) == ((0,), (0,), (0, 16, 16))


def test_polygons_give_what_their_bitmaps_give() -> None:
    boxes, crops = rectangles((8, 12, 40, 36))
    polygon = InstanceShapes.from_polygons([[[8, 12, 40, 12, 40, 36, 8, 36]]], size=CANVAS)
    drawn, expected = assign(boxes, polygon), assign(boxes, crops)

    np.testing.assert_array_equal(drawn.cells, expected.cells)
    np.testing.assert_array_equal(drawn.masks, expected.masks)


@pytest.mark.parametrize("density", [0.2, 0.5, 0.8])
def test_reduced_masks_are_those_of_opencv(density: float) -> None:
    masks = np.random.default_rng(0).random((6, 24, 40)) < density
    masks[1, :, :5] = masks[2, :7] = masks[3] = False  # crops that start and end within a cell
    masks[4, 9:, :] = masks[5, :, 33:] = False
    expected = [
        cv2.resize(mask.astype(np.uint8), None, fx=0.25, fy=0.25, interpolation=cv2.INTER_LINEAR)
        for mask in masks
    ]

    np.testing.assert_array_equal(reduce_masks(MaskCrops.from_dense(masks)), expected)
