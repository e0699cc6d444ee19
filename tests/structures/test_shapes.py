"""Polygons and bitmaps that move with the photo, and the grids that mask heads learn from them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from paddlex.structures.masks import MaskCrops
from paddlex.structures.shapes import InstanceShapes
from paddlex.utils.errors import ShapeError

SIZE = (40, 60)
SQUARE = [4, 6, 24, 6, 24, 26, 4, 26]
OTHER = [30, 10, 50, 10, 50, 30, 30, 30]
TRIANGLE = [8.5, 30.25, 40.0, 31.5, 20.75, 38.0]


def mixed() -> InstanceShapes:
    """Two squares as one instance, a bitmap of the second square, a triangle, and nothing at all."""
    drawn = InstanceShapes.from_polygons([[SQUARE, OTHER]], size=SIZE)
    bitmap = InstanceShapes.from_crops(MaskCrops.from_polygons([[OTHER]], size=SIZE))
    rest = InstanceShapes.from_polygons([[TRIANGLE], []], size=SIZE)
    return InstanceShapes.concatenate([drawn, bitmap, rest], size=SIZE)


def dense() -> np.ndarray:
    return MaskCrops.from_polygons([[SQUARE, OTHER], [OTHER], [TRIANGLE], []], size=SIZE).to_dense()


def test_rasterised_on_the_canvas_shapes_are_the_masks_of_pycocotools() -> None:
    shapes = mixed()
    np.testing.assert_array_equal(shapes.to_dense(), dense())
    np.testing.assert_array_equal(shapes.to_crops().to_dense(), dense())
    assert shapes.to_rles() == MaskCrops.from_dense(dense()).to_rles()
    assert shapes.area().tolist() == [800, 400, int(dense()[2].sum()), 0]
    assert shapes.boxes()[:2].tolist() == [[4, 6, 50, 30], [30, 10, 50, 30]]
    assert shapes.boxes()[3].tolist() == [0, 0, 0, 0]


def test_flips_mirror_the_dense_masks_where_edges_lie_on_pixels() -> None:
    squares = mixed()[:2]
    np.testing.assert_array_equal(squares.hflip().to_dense(), dense()[:2, :, ::-1])
    np.testing.assert_array_equal(squares.vflip().to_dense(), dense()[:2, ::-1])


def test_polygons_move_without_loss() -> None:
    shapes = mixed()
    there = shapes.resize((83, 47)).hflip().vflip().place(size=(200, 300), y=7, x=9)
    back = there.place(size=(83, 47), y=-7, x=-9).vflip().hflip().resize(SIZE)
    for parts, moved in zip(shapes.polygons, back.polygons, strict=True):
        for part, other in zip(parts, moved, strict=True):
            np.testing.assert_allclose(other, part, atol=1e-9)


def test_place_cuts_what_leaves_the_canvas() -> None:
    shapes = mixed().place(size=(16, 20), y=-10, x=-12)
    np.testing.assert_array_equal(shapes.to_dense()[:2], dense()[:2, 10:26, 12:32])
    np.testing.assert_array_equal(mixed().place(size=(50, 70)).to_dense()[:, :40, :60], dense())


def test_resize_by_a_whole_factor_enlarges_each_pixel() -> None:
    twice = mixed()[:2].resize((80, 120))
    np.testing.assert_array_equal(twice.to_dense(), dense()[:2].repeat(2, axis=1).repeat(2, axis=2))


def test_selection_by_slice_list_and_boolean() -> None:
    shapes = mixed()
    keep = np.array([False, True, True, False])
    for index in (slice(1, 3), [1, 2], keep):
        np.testing.assert_array_equal(shapes[index].to_dense(), dense()[[1, 2]])
    assert len(shapes[[]]) == 0


def test_no_instance_has_no_target_and_no_mask() -> None:
    nothing = InstanceShapes.from_polygons([], size=SIZE)
    assert nothing.area().shape == (0,) and nothing.boxes().shape == (0, 4)
    assert nothing.to_dense().shape == (0, *SIZE)
    assert nothing.hflip().resize((3, 4)).size == (3, 4)
    targets = nothing.roi_targets(np.zeros(0, np.int64), np.zeros((0, 4), np.float32), resolution=28)
    assert targets.shape == (0, 28, 28) and targets.dtype == np.uint8


# ---------------------------------------------------------------- targets of mask heads


def test_target_of_the_own_box_is_full() -> None:
    targets = mixed().roi_targets([0, 1], [[4, 6, 24, 26], [30, 10, 50, 30]], resolution=14)
    assert targets.shape == (2, 14, 14) and targets.dtype == np.uint8
    assert targets.all()


def test_target_shows_the_part_inside_the_box() -> None:
    # The box's left half covers the square's right half; of the second instance it sees nothing.
    shapes = mixed()
    left = shapes.roi_targets([0, 1], [[14, 6, 34, 26], [4, 6, 24, 26]], resolution=4)
    # Pixels from x = 24: the gap up to 30, then the other square from y = 10.
    assert left[0].tolist() == [[1, 1, 0, 0], [1, 1, 0, 1], [1, 1, 0, 1], [1, 1, 0, 1]]
    assert not left[1].any()


@pytest.mark.parametrize("resolution", [14, 28])
def test_polygon_and_bitmap_targets_agree_but_for_the_outline(resolution: int) -> None:
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radii = rng.uniform(60, 90, 24)
    blob = np.stack([150 + radii * np.cos(angles), 120 + radii * np.sin(angles)], axis=1)
    drawn = InstanceShapes.from_polygons([[blob.ravel()]], size=(240, 320))
    bitmap = InstanceShapes.from_crops(drawn.to_crops())
    boxes = np.array([[60, 30, 240, 210], [100.3, 40.7, 200.9, 290.0], [-30, -20, 160, 130]], np.float32)
    ours, theirs = (s.roi_targets(np.zeros(3, int), boxes, resolution=resolution) for s in (drawn, bitmap))
    assert ours.any(axis=(1, 2)).all()
    outline = 4 * resolution / resolution**2  # about as many cells as the outline crosses
    assert ((ours != theirs).mean(axis=(1, 2)) < outline / 2).all()


def test_bitmap_target_takes_the_pixel_under_each_cells_centre() -> None:
    pixels = np.array([[[1, 0, 0, 1], [0, 1, 0, 0], [1, 1, 0, 1]]], bool)
    shapes = InstanceShapes.from_crops(MaskCrops.from_dense(pixels))
    whole = shapes.roi_targets([0], [[0, 0, 4, 4]], resolution=4)
    assert whole[0].tolist() == [*pixels[0].astype(int).tolist(), [0, 0, 0, 0]]
    # Centres at 1 and 3 of each side: pixels (1, 1), (1, 3) and below the canvas.
    assert shapes.roi_targets([0], [[0, 0, 4, 4]], resolution=2)[0].tolist() == [[1, 0], [0, 0]]


def test_targets_of_boxes_beyond_the_canvas_and_without_extent_are_finite() -> None:
    boxes = [[-500, -500, -400, -400], [10, 10, 10, 10], [1e6, 1e6, 2e6, 2e6], [24, 26, 4, 6]]
    for index in range(4):
        targets = mixed().roi_targets([index] * 4, boxes, resolution=28)
        assert set(np.unique(targets)) <= {0, 1}
        assert not targets[0].any() and not targets[2].any()


def test_point_far_outside_costs_no_memory() -> None:
    far = InstanceShapes.from_polygons([[[0, 0, 1e5, 0, 0, 1e5]]], size=SIZE)
    # Enlarged 280 times to fit a box of a tenth of a pixel.
    assert far.roi_targets([0], [[5, 5, 5.05, 5.05]], resolution=28).all()
    assert far.resize((400, 600)).area().tolist() == [400 * 600]


def test_shapes_survive_pickling() -> None:
    again = pickle.loads(pickle.dumps(mixed(), protocol=5))
    np.testing.assert_array_equal(again.to_dense(), dense())


def test_shapes_say_in_a_line_what_they_are() -> None:
    assert repr(mixed()) == "2 polygon and 2 bitmap instances on 40 x 60 pixels"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InstanceShapes(SIZE, ((),), MaskCrops.empty(SIZE)), "1 lists of polygons .* for 0 bitmaps"),
        (lambda: InstanceShapes((5, 5), (), MaskCrops.empty(SIZE)), "on one of \\(40, 60\\)"),
        (lambda: InstanceShapes.from_polygons([[[0, 0, 1, 1]]], size=SIZE), "at least 3 points"),
        (lambda: mixed().roi_targets([0], np.zeros((2, 4)), resolution=7), "1 indices for 2 boxes"),
    ],
)
def test_what_does_not_fit_together_is_refused(make, message) -> None:
    with pytest.raises(ShapeError, match=message):
        make()
