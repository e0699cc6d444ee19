"""Masks kept as crops behave as the dense masks they stand for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from paddlex.structures.masks import MaskCrops
from paddlex.utils.errors import ShapeError

SIZE = (37, 53)


@pytest.fixture
def dense() -> np.ndarray:
    """Ragged blobs, a full canvas and an empty mask."""
    rng = np.random.default_rng(0)
    masks = np.zeros((5, *SIZE), dtype=bool)
    for index in range(3):
        y, x = rng.integers(0, 25, 2)
        masks[index, y : y + 10, x : x + 14] = rng.random((10, 14)) > 0.4
    masks[3] = True
    return masks


def test_dense_masks_survive_the_round_trip(dense: np.ndarray) -> None:
    assert np.array_equal(MaskCrops.from_dense(dense).to_dense(), dense)


def test_crops_hold_only_the_set_pixels() -> None:
    dense = np.zeros((1, 100, 100), dtype=bool)
    dense[0, 10:13, 20:25] = True
    masks = MaskCrops.from_dense(dense)
    assert masks.crops[0].shape == (3, 5)
    assert masks.offsets.tolist() == [[10, 20]]
    assert masks.boxes().tolist() == [[20, 10, 25, 13]]
    assert masks.area().tolist() == [15]


def test_rles_equal_those_of_pycocotools(dense: np.ndarray) -> None:
    for ours, mask in zip(MaskCrops.from_dense(dense).to_rles(), dense, strict=True):
        theirs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert ours["counts"].encode() == theirs["counts"]
        assert ours["size"] == list(SIZE)


def test_rles_are_read_compressed_and_uncompressed(dense: np.ndarray) -> None:
    compressed = MaskCrops.from_dense(dense).to_rles()
    assert np.array_equal(MaskCrops.from_rles(compressed, size=SIZE).to_dense(), dense)
    # 2x3, columns first: 0 0 | 1 1 | 0 1
    masks = MaskCrops.from_rles([{"size": [2, 3], "counts": [2, 2, 1, 1]}], size=(2, 3))
    assert masks.to_dense()[0].tolist() == [[False, True, False], [False, True, True]]


def test_parts_of_an_instance_are_united() -> None:
    square = [0, 0, 4, 0, 4, 4, 0, 4]
    other = [10, 10, 14, 10, 14, 14, 10, 14]
    masks = MaskCrops.from_polygons([[square, other], []], size=(20, 20))
    assert masks.area().tolist() == [32, 0]
    assert masks.boxes()[0].tolist() == [0, 0, 14, 14]


def test_flips_mirror_the_dense_masks(dense: np.ndarray) -> None:
    masks = MaskCrops.from_dense(dense)
    assert np.array_equal(masks.hflip().to_dense(), dense[:, :, ::-1])
    assert np.array_equal(masks.vflip().to_dense(), dense[:, ::-1])


def test_place_crops_and_pads(dense: np.ndarray) -> None:
    masks = MaskCrops.from_dense(dense)
    assert np.array_equal(masks.place(size=(10, 12), y=-5, x=-7).to_dense(), dense[:, 5:15, 7:19])
    padded = masks.place(size=(50, 80), y=3, x=20).to_dense()
    assert np.array_equal(padded[:, 3:40, 20:73], dense)
    assert padded.sum() == dense.sum()


@pytest.mark.parametrize("size", [(20, 20), (80, 64), (37, 53), (111, 31), (1, 1)])
def test_nearest_resize_equals_opencv(dense: np.ndarray, size: tuple[int, int]) -> None:
    expected = [cv2.resize(m.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) for m in dense]
    assert np.array_equal(MaskCrops.from_dense(dense).resize(size).to_dense(), np.stack(expected))


def test_selection_by_slice_list_and_boolean(dense: np.ndarray) -> None:
    masks = MaskCrops.from_dense(dense)
    keep = np.array([True, False, False, True, False])
    for index in (slice(0, 4, 3), [0, 3], keep):
        assert np.array_equal(masks[index].to_dense(), dense[[0, 3]])
    assert len(masks[[]]) == 0


def test_crop_that_leaves_the_canvas_is_refused() -> None:
    with pytest.raises(ShapeError, match="leaves the canvas"):
        MaskCrops((4, 4), np.array([[2, 2]], np.int32), (np.ones((3, 3), bool),))


def test_rle_of_another_size_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"RLE of size \[2, 3\] on a canvas of \[5, 5\]"):
        MaskCrops.from_rles([{"size": [2, 3], "counts": [6]}], size=(5, 5))


def test_masks_take_a_bit_a_pixel() -> None:
    masks = MaskCrops.from_dense(np.ones((3, 64, 128), bool))
    assert masks.nbytes == 3 * (64 * 128 // 8 + 8)


def test_parts_are_joined_in_order(dense: np.ndarray) -> None:
    parts = [MaskCrops.from_dense(dense[:2]), MaskCrops.empty(SIZE), MaskCrops.from_dense(dense[2:])]
    assert np.array_equal(MaskCrops.concatenate(parts, size=SIZE).to_dense(), dense)
    assert len(MaskCrops.concatenate([], size=SIZE)) == 0
