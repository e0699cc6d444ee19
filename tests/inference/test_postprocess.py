"""Raw outputs to instances in photo pixels."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from paddlex.inference.postprocess import RawDetections, postprocess, raw_from_batch, raw_from_rows
from paddlex.structures.mask_form import MaskForm
from paddlex.utils.errors import ShapeError

GOLDEN = Path(__file__).parents[1] / "parity" / "engine" / "postprocess.json"


@pytest.fixture(scope="module")
def golden() -> dict:
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


def _golden_raw(golden: dict) -> RawDetections:
    masks = (np.random.RandomState(3).rand(8, 24, 32) > 0.5).astype(np.int32)
    return raw_from_rows(np.array(golden["input"]["boxes"], np.float32), masks)


def _random_raw(*, count: int = 6, grid: tuple[int, int] = (9, 7), seed: int = 0) -> RawDetections:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-0.2, 1.2, (count, 2, 2))
    return RawDetections(
        boxes=np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32),
        box_frame=(1, 1),
        scores=np.linspace(0.95, 0.05, count, dtype=np.float32),
        class_ids=np.arange(count) % 3,
        masks=rng.normal(size=(count, *grid)).astype(np.float32),
        mask_form=MaskForm("photo", "logits"),
    )


def _enlarged(raw: RawDetections, size: tuple[int, int]) -> np.ndarray:
    """Whole grids on the whole photo, by OpenCV's bilinear resize of float32 (half-pixel centres)."""
    return np.stack([cv2.resize(grid, size[::-1], interpolation=cv2.INTER_LINEAR) for grid in raw.masks])


# ---------------------------------------------------------------- reference


def test_official_rows_give_the_reference_boxes_without_its_degenerate_ones(golden: dict) -> None:
    found = postprocess(_golden_raw(golden), size=(24, 32), threshold=0.5, crop_to_boxes=True)
    # The reference keeps the last two boxes although they round to nothing.
    expected = golden["result"]["boxes"][:3]
    assert found.boxes.tolist() == [box["coordinate"] for box in expected]
    assert found.scores.tolist() == [box["score"] for box in expected]
    assert found.class_ids.tolist() == [box["cls_id"] for box in expected]


def test_official_masks_are_cut_at_the_rounded_boxes(golden: dict) -> None:
    found = postprocess(_golden_raw(golden), size=(24, 32), threshold=0.5, crop_to_boxes=True)
    assert found.masks.area().tolist() == golden["result"]["mask_sums"][:3]


# ---------------------------------------------------------------- enlarging


@pytest.mark.parametrize("size", [(9, 7), (50, 61), (200, 33), (5, 4)], ids=str)
def test_masks_equal_enlarging_everything_and_thresholding(size: tuple[int, int]) -> None:
    raw = _random_raw()
    full = _enlarged(raw, size)
    found = postprocess(raw, size=size).masks.to_dense()
    # Where OpenCV's rounding cannot turn the sign, every pixel must agree.
    certain = np.abs(full) > 1e-5
    assert certain.mean() > 0.99
    assert np.array_equal(found[certain], (full > 0)[certain])


@pytest.mark.parametrize("size", [(50, 61), (200, 33)], ids=str)
def test_region_of_a_mask_changes_no_bit(size: tuple[int, int]) -> None:
    raw = _random_raw()
    whole = postprocess(raw, size=size)
    cropped = postprocess(raw, size=size, crop_to_boxes=True, threshold=0.0)
    boxes = (
        np.clip(raw.boxes * np.array([size[1], size[0]] * 2), 0, [size[1], size[0]] * 2).round().astype(int)
    )
    for dense, cut, (x1, y1, x2, y2) in zip(
        whole.masks.to_dense(), cropped.masks.to_dense(), boxes, strict=True
    ):
        inside = np.zeros(size, bool)
        inside[y1:y2, x1:x2] = True
        assert np.array_equal(cut, dense & inside)


def test_mask_without_positive_logits_is_empty() -> None:
    raw = _random_raw(count=1)
    negative = RawDetections(**{**vars(raw), "masks": -np.abs(raw.masks)})
    assert postprocess(negative, size=(30, 40)).masks.area().tolist() == [0]


def test_single_positive_cell_reaches_half_a_cell_beyond_itself() -> None:
    masks = np.full((1, 4, 4), -1.0, np.float32)
    masks[0, 1, 2] = 1.0
    raw = RawDetections(**{**vars(_random_raw(count=1)), "masks": masks})
    # On the same grid nothing spreads; at 100 times the size the 1 and the -1 meet half a cell away.
    assert postprocess(raw, size=(4, 4)).masks.boxes().tolist() == [[2, 1, 3, 2]]
    assert postprocess(raw, size=(400, 400)).masks.boxes().tolist() == [[200, 100, 300, 200]]


# ---------------------------------------------------------------- filtering


def test_threshold_is_exclusive_and_drops_masks_with_boxes() -> None:
    raw = _random_raw(count=5)
    found = postprocess(raw, size=(40, 40), threshold=float(raw.scores[2]))
    assert found.scores.tolist() == raw.scores[:2].tolist()
    expected = postprocess(raw, size=(40, 40)).masks[:2]
    assert found.masks.to_rles() == expected.to_rles()


def test_not_a_number_score_is_dropped() -> None:
    raw = _random_raw(count=3)
    scores = np.array([0.9, np.nan, 0.8], np.float32)
    found = postprocess(RawDetections(**{**vars(raw), "scores": scores}), size=(20, 20), threshold=0.1)
    assert found.class_ids.tolist() == [0, 2]


def test_evaluation_keeps_boxes_that_leave_the_photo() -> None:
    raw = _random_raw(seed=2)
    found = postprocess(raw, size=(10, 100))
    np.testing.assert_allclose(found.boxes, raw.boxes * [100, 10, 100, 10], rtol=1e-6)


def test_padding_rows_are_dropped() -> None:
    raw = _random_raw(count=3)
    found = postprocess(RawDetections(**{**vars(raw), "class_ids": np.array([1, -1, 0])}), size=(20, 20))
    assert found.class_ids.tolist() == [1, 0]


def test_the_row_that_official_graphs_fill_up_with_is_no_instance() -> None:
    raw = raw_from_rows(np.array([[0, 0, 0, 0, 1, 1]], np.float32), np.ones((1, 24, 32), np.int32))

    assert len(postprocess(raw, size=(24, 32))) == 0


def test_no_candidates_give_an_empty_result() -> None:
    found = raw_from_rows(np.zeros((0, 6), np.float32), np.zeros((0, 24, 32), np.int32))
    assert len(postprocess(found, size=(24, 32), threshold=0.5, crop_to_boxes=True)) == 0


def test_small_official_frame_is_scaled_to_the_photo() -> None:
    masks = np.zeros((1, 10, 20), np.int32)
    masks[0, 2:6, 4:12] = 1
    raw = raw_from_rows(np.array([[0, 0.9, 4, 2, 12, 6]], np.float32), masks)
    found = postprocess(raw, size=(100, 200), threshold=0.5, crop_to_boxes=True)
    assert found.boxes.tolist() == [[40, 20, 120, 60]]
    # The corners of the enlarged rectangle are rounded off: 4 corners lose less than one cell each.
    assert 80 * 40 - 4 * 100 < found.masks.area()[0] <= 80 * 40


def test_batch_is_split_by_photo() -> None:
    rng = np.random.default_rng(0)
    outputs = {
        "boxes": rng.random((2, 3, 4), np.float32),
        "scores": rng.random((2, 3), np.float32),
        "class_ids": np.arange(6).reshape(2, 3),
        "masks": rng.normal(size=(2, 3, 5, 5)).astype(np.float32),
    }
    first, second = raw_from_batch(
        outputs,
        mask_form=MaskForm("input", "logits"),
        im_shape=np.array([[32, 32], [24, 16]], np.float32),
        input_size=(32, 32),
    )
    assert second.class_ids.tolist() == [3, 4, 5]
    assert np.array_equal(first.masks, outputs["masks"][0])
    assert (first.content, second.content) == ((1.0, 1.0), (0.75, 0.5))


def test_unequal_counts_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"masks \(2, 4, 4\) for 3 boxes"):
        RawDetections(**{**vars(_random_raw(count=3)), "masks": np.zeros((2, 4, 4), np.float32)})
