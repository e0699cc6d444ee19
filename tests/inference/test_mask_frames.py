"""Mask grids over a box or over the padded input become masks on the photo."""

from __future__ import annotations

import numpy as np
import pytest

from paddlex.inference.postprocess import RawDetections, postprocess, raw_from_segments
from paddlex.structures.mask_form import MaskForm

SIZE = (45, 70)


def _raw(
    form: MaskForm, *, boxes: np.ndarray, masks: np.ndarray, content: tuple[float, float] = (1.0, 1.0)
) -> RawDetections:
    """Candidates with `boxes` in pixels of the photo."""
    return RawDetections(
        boxes=np.asarray(boxes, np.float32),
        box_frame=SIZE,
        scores=np.linspace(0.9, 0.5, len(boxes), dtype=np.float32),
        class_ids=np.arange(len(boxes)),
        masks=masks.astype(np.float32),
        mask_form=form,
        content=content,
    )


def _bilinear(grid: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Values of a grid at cell coordinates (centres at whole numbers), zeros beyond it."""
    grid = np.pad(grid.astype(np.float64), 2)
    y, x = np.clip(y + 2, 0.5, grid.shape[0] - 1.5), np.clip(x + 2, 0.5, grid.shape[1] - 1.5)
    low_y, low_x = np.floor(y).astype(int), np.floor(x).astype(int)
    dy, dx = (y - low_y)[:, None], (x - low_x)[None]
    corner = [grid[np.ix_(low_y + i, low_x + j)] for i in (0, 1) for j in (0, 1)]
    return (1 - dy) * ((1 - dx) * corner[0] + dx * corner[1]) + dy * ((1 - dx) * corner[2] + dx * corner[3])


def _pasted(box: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """A box grid on the whole photo, sampled at every pixel centre."""
    x1, y1, x2, y2 = box.astype(np.float64)
    y = (np.arange(SIZE[0]) + 0.5 - y1) / (y2 - y1) * grid.shape[0] - 0.5
    x = (np.arange(SIZE[1]) + 0.5 - x1) / (x2 - x1) * grid.shape[1] - 0.5
    return _bilinear(grid, y, x)


# ---------------------------------------------------------------- over each box

BOX = MaskForm("box", "probabilities")


def _random_boxes(count: int, *, seed: int) -> np.ndarray:
    """Boxes of all sizes, some beyond the photo."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-0.2, 1.2, (count, 2, 2)) * [SIZE[1], SIZE[0]]
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32)


@pytest.mark.parametrize("cells", [1, 2, 14, 28])
def test_box_masks_equal_sampling_every_pixel(cells: int) -> None:
    boxes = _random_boxes(40, seed=cells)
    masks = np.random.default_rng(1).random((40, cells, cells))
    found = postprocess(_raw(BOX, boxes=boxes, masks=masks), size=SIZE)
    for dense, box, grid in zip(found.masks.to_dense(), boxes, masks, strict=True):
        values = _pasted(box, grid)
        certain = np.abs(values - 0.5) > 1e-5
        assert certain.mean() > 0.98
        assert np.array_equal(dense[certain], (values >= 0.5)[certain])


def test_a_full_box_mask_fills_the_pixels_whose_centres_it_holds() -> None:
    # Half a cell inside the edge the value is 1, at the edge 0.5 by the zeros beyond, which is set.
    box = np.array([[10, 5, 30, 15]])
    found = postprocess(_raw(BOX, boxes=box, masks=np.ones((1, 28, 28))), size=SIZE)
    assert found.masks.boxes().tolist() == [[10, 5, 30, 15]]
    assert found.masks.area().tolist() == [200]
    through_centres = np.array([[10.5, 5.5, 29.5, 14.5]])
    found = postprocess(_raw(BOX, boxes=through_centres, masks=np.ones((1, 28, 28))), size=SIZE)
    # The edges run through centres; at a corner both axes halve, which leaves a quarter.
    assert found.masks.area().tolist() == [200 - 4]


def test_prediction_cuts_box_masks_as_evaluation_does_not() -> None:
    boxes = _random_boxes(30, seed=3)
    raw = _raw(BOX, boxes=boxes, masks=np.random.default_rng(2).random((30, 14, 14)))
    whole = postprocess(raw, size=SIZE)
    cut = postprocess(raw, size=SIZE, threshold=0.0, crop_to_boxes=True)
    limits = np.clip(boxes, 0, [SIZE[1], SIZE[0]] * 2).round().astype(int)
    kept = np.flatnonzero(((limits[:, 2:] - limits[:, :2]) > 0).all(axis=1))
    assert 15 < len(kept) == len(cut)
    for index, dense in zip(kept, cut.masks.to_dense(), strict=True):
        inside = np.zeros(SIZE, bool)
        x1, y1, x2, y2 = limits[index]
        inside[y1:y2, x1:x2] = True
        assert np.array_equal(dense, whole.masks.dense(index) & inside)


@pytest.mark.parametrize(
    "box",
    [
        [20, 10, 20, 30],
        [20, 10, 40, 10],
        [30, 10, 20, 20],
        [0, 0, 0, 0],
        [200, 200, 300, 300],
        [-50, -50, -10, -10],
        [np.nan, 0, 10, 10],
        [0, 0, np.inf, 10],
        [20, 10, np.nextafter(np.float32(20), np.float32(30)), 30],
    ],
    ids=["no_width", "no_height", "inverted", "zero", "beyond", "before", "nan", "inf", "hair"],
)
def test_a_box_without_pixels_has_an_empty_mask(box: list[float]) -> None:
    raw = _raw(BOX, boxes=np.array([box, [10, 10, 20, 20]]), masks=np.ones((2, 7, 7)))
    assert postprocess(raw, size=SIZE).masks.area().tolist() == [0, 100]
    assert postprocess(raw, size=SIZE, threshold=0.1, crop_to_boxes=True).masks.area().tolist() == [100]


# ---------------------------------------------------------------- over the network input


@pytest.mark.parametrize("content", [(1.0, 1.0), (0.75, 1.0), (0.8, 0.6)], ids=str)
def test_grids_over_the_input_are_read_without_its_padding(content: tuple[float, float]) -> None:
    grid = np.random.default_rng(0).normal(size=(24, 32))
    raw = _raw(MaskForm("input", "logits"), boxes=np.zeros((1, 4)), masks=grid[None], content=content)
    found = postprocess(raw, size=SIZE).masks.dense(0)
    # A pixel's centre as a share of the photo, of the input, in cells; the grid goes on as it ends.
    y = (np.arange(SIZE[0]) + 0.5) / SIZE[0] * content[0] * 24 - 0.5
    x = (np.arange(SIZE[1]) + 0.5) / SIZE[1] * content[1] * 32 - 0.5
    values = _bilinear(grid, np.clip(y, 0, 23), np.clip(x, 0, 31))
    certain = np.abs(values) > 1e-5
    assert certain.mean() > 0.98 and np.array_equal(found[certain], (values > 0)[certain])


# ---------------------------------------------------------------- masks and their boxes


def test_bounding_boxes_cut_masks_in_evaluation_too() -> None:
    box = np.array([[10.2, 5, 30.2, 15]])
    raw = _raw(MaskForm("photo", "probabilities", boxes="bounding"), boxes=box, masks=np.ones((1, 9, 14)))
    # Pixel c stays if x1 <= c < x2.
    assert postprocess(raw, size=SIZE).masks.boxes().tolist() == [[11, 5, 31, 15]]


def test_derived_boxes_are_the_extents_of_the_masks() -> None:
    masks = np.zeros((3, *SIZE))
    masks[0, 3:9, 10:30] = 1
    masks[2] = 1
    raw = raw_from_segments(np.array([2, 5, 0]), np.array([0.9, 0.8, 0.0], np.float32), masks)
    assert postprocess(raw, size=SIZE).boxes.tolist() == [[10, 3, 30, 9], [0, 0, 0, 0]]
    shown = postprocess(raw, size=SIZE, threshold=0.5, crop_to_boxes=True)
    assert (shown.boxes.tolist(), shown.class_ids.tolist()) == ([[10, 3, 30, 9]], [2])
    assert shown.masks.area().tolist() == [120]


# ---------------------------------------------------------------- as a property of a file


@pytest.mark.parametrize("form", [BOX, MaskForm("input", "logits", boxes="derived")], ids=str)
def test_form_survives_a_file(form: MaskForm) -> None:
    assert MaskForm.from_json(form.to_json()) == form


def test_an_unknown_form_is_told() -> None:
    with pytest.raises(ValueError, match="mask_form: values is 'raw'; expected one of logits, probabilities"):
        MaskForm.from_json({"frame": "box", "values": "raw", "boxes": "free"})
