"""COCO segmentations: what is accepted means what pycocotools says, and C code never sees a false claim."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from paddlex.data.formats.segmentation import (
    Polygons,
    Rle,
    SegmentationError,
    parse_segmentation,
    segmentation_mask,
)
from paddlex.utils.errors import ShapeError

SIZE = (40, 60)
SQUARE = [10, 5, 30, 5, 30, 25, 10, 25]


def noise_mask(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(SIZE) < 0.5


def compressed(mask: np.ndarray) -> dict:
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(SIZE), "counts": rle["counts"].decode("ascii")}


def uncompressed(mask: np.ndarray) -> dict:
    flat = mask.reshape(-1, order="F").astype(int)
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *ends, len(flat)]).tolist()
    return {"size": list(SIZE), "counts": runs if not flat[0] else [0, *runs]}


def test_parse_polygon_covers_its_square():
    mask = segmentation_mask(parse_segmentation([SQUARE]), size=SIZE)
    assert mask.area().tolist() == [400]
    assert mask.boxes().tolist() == [[10, 5, 30, 25]]


def test_parse_parts_are_united_not_added():
    overlapping = [v + 10 if i % 2 == 0 else v for i, v in enumerate(SQUARE)]
    mask = segmentation_mask(parse_segmentation([SQUARE, overlapping]), size=SIZE)
    assert mask.area().tolist() == [600]


def test_parse_polygon_without_outer_list_is_accepted():
    assert [part.tolist() for part in parse_segmentation(SQUARE).parts] == [SQUARE]


def test_parse_part_with_two_points_is_left_out():
    assert len(parse_segmentation([[1, 1, 5, 5], SQUARE]).parts) == 1


@pytest.mark.parametrize("form", [compressed, uncompressed])
@pytest.mark.parametrize(
    "mask",
    [noise_mask(0), noise_mask(1), np.zeros(SIZE, bool), np.ones(SIZE, bool)],
    ids=["noise0", "noise1", "empty", "full"],
)
def test_parse_rle_returns_the_mask(form, mask):
    rle = parse_segmentation(form(mask))
    assert isinstance(rle, Rle)
    np.testing.assert_array_equal(segmentation_mask(rle, size=SIZE).dense(0), mask)


@pytest.mark.parametrize("value", [None, []], ids=["null", "empty_list"])
def test_parse_nothing_is_none(value):
    assert parse_segmentation(value) is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([[]], "polygon with fewer than 3 points"),
        ([[1, 2, 3, 4]], "polygon with fewer than 3 points"),
        ([[1, 2, 3, 4, 5, 6, 7]], "polygon with an odd count of numbers"),
        ([[1, 2, 3, float("nan"), 5, 6]], "polygon with NaN or infinity"),
        ([[1, 2, 3, 4, 5, 10**400]], "polygon with NaN or infinity"),
        ([[1, 2, 3, 4, 5, "6"]], "polygon is not a list of numbers"),
        ([[1, 2, 3, 4, 5, None]], "polygon is not a list of numbers"),
        ([[1, 2, 1e9, 4, 5, 6]], "polygon far outside any photo"),
        ("abc", "segmentation is neither polygons nor RLE"),
        ({"counts": [2400]}, "RLE without a size [height, width]"),
        ({"size": [40, -60], "counts": [2400]}, "RLE without a size [height, width]"),
        ({"size": [40, 60]}, "RLE without counts"),
        ({"size": [40, 60], "counts": [2400.5]}, "RLE counts that are not whole numbers"),
        ({"size": [40, 60], "counts": [1000, 1399]}, "RLE whose runs do not add up to its size"),
        ({"size": [40, 60], "counts": [3000]}, "RLE whose runs do not add up to its size"),
        ({"size": [40, 60], "counts": ""}, "RLE counts that cannot be decoded"),
        ({"size": [40, 60], "counts": "é"}, "RLE counts that cannot be decoded"),
        ({"size": [40, 60], "counts": "\x01"}, "RLE counts that cannot be decoded"),
        ({"size": [40, 60], "counts": "oooooooooooo0"}, "RLE counts that cannot be decoded"),
        ({"size": [40, 60], "counts": "o"}, "RLE counts that cannot be decoded"),
    ],
)
def test_parse_faulty_value_names_the_kind(value, kind):
    with pytest.raises(SegmentationError) as caught:
        parse_segmentation(value)
    assert caught.value.kind == kind


def test_parse_rle_cut_short_is_refused_before_it_is_decoded():
    """pycocotools would decode it and leave the rest of the mask to chance."""
    rle = compressed(noise_mask(2))
    rle["counts"] = rle["counts"][: len(rle["counts"]) // 2]
    with pytest.raises(SegmentationError):
        parse_segmentation(rle)


def test_mask_of_another_size_is_refused():
    with pytest.raises(ShapeError):
        segmentation_mask(parse_segmentation(compressed(noise_mask(0))), size=(60, 40))


@pytest.mark.parametrize("value", [[SQUARE, SQUARE[2:]], compressed(noise_mask(3))], ids=["polygons", "rle"])
def test_to_json_is_what_was_parsed(value):
    assert parse_segmentation(value).to_json() == value


def test_polygon_keeps_full_precision():
    """Rasterising rounds coordinates times five: single precision would move pixels."""
    part = [0.1, 0.3, 20.7, 0.9, 20.3, 20.1]
    assert isinstance(parse_segmentation([part]), Polygons)
    assert parse_segmentation([part]).parts[0].tolist() == part
