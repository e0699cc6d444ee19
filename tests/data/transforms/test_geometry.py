"""Moves of pixels, boxes and masks, by numbers worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from samples import BOXES, HEIGHT, WIDTH, make_sample

from paddlex.data.transforms.crop import RandomCrop
from paddlex.data.transforms.geometry import (
    Pad,
    PadStride,
    RandomExpand,
    RandomFlip,
    RandomShortSideResize,
    Resize,
    pad_sample,
    resize_sample,
    resized_size,
)
from paddlex.structures.masks import MaskCrops
from paddlex.structures.sample import Sample
from paddlex.utils.errors import ConfigError, ShapeError

GOLDEN = Path(__file__).parents[2] / "parity" / "engine"
GEOMETRY = json.loads((GOLDEN / "resize_geometry.json").read_text(encoding="utf-8"))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# ---------------------------------------------------------------- resizing


@pytest.mark.parametrize("case", GEOMETRY, ids=lambda case: "x".join(map(str, case["hw"])))
def test_resized_size_equals_upstream(case):
    golden = case["keep_ratio_800_1333"]
    size = resized_size(tuple(case["hw"]), target_size=(800, 1333), keep_ratio=True)
    assert list(size) == golden["resized_hw"]
    factors = [new / old for new, old in zip(size, case["hw"], strict=True)]
    np.testing.assert_allclose(factors, golden["scale_factor_hw"], rtol=1e-12)
    padded = [-(-side // 32) * 32 for side in size]
    assert padded == golden["padded32_hw"]
    assert resized_size(tuple(case["hw"]), target_size=(640, 640), keep_ratio=False) == (640, 640)


def test_resized_size_rounds_half_to_even():
    # 25 x 10 into (5, 100): factor 0.5, 12.5 rounds to 12.
    assert resized_size((10, 25), target_size=(5, 100), keep_ratio=True) == (5, 12)


def test_resize_scales_boxes_masks_and_scale_factor_per_axis():
    result = Resize(target_size=(24, 128))(make_sample(), rng())
    assert result.image.shape == (24, 128, 3)
    assert result.boxes.tolist() == [[8, 3, 48, 15], [80, 10, 120, 22]]
    assert result.masks.area().tolist() == [40 * 12, 40 * 12]
    assert result.scale_factor == (0.5, 2.0)
    again = Resize(target_size=(HEIGHT, WIDTH))(result, rng())
    assert again.scale_factor == (1.0, 1.0)


@pytest.mark.parametrize("interp", range(5))
def test_resize_uses_the_interpolation_told(interp):
    sample = make_sample()
    expected = cv2.resize(sample.image, (30, 20), interpolation=interp)
    np.testing.assert_array_equal(resize_sample(sample, (20, 30), interp=interp).image, expected)


def test_resize_masks_equal_dense_nearest_neighbour():
    sample = make_sample()
    result = resize_sample(sample, (37, 91), interp=1)
    for index in range(2):
        dense = sample.masks.dense(index).astype(np.uint8)
        expected = cv2.resize(dense, (91, 37), interpolation=cv2.INTER_NEAREST)
        np.testing.assert_array_equal(result.masks.dense(index), expected)


# Worked out by the rule: s = min(short / min, long / max), sides int(s * side + 0.5).
SHORT_SIDE_CASES = {
    "short_side_decides": ((480, 640), (800,), 1333, (800, 1067)),
    "long_side_decides": ((1080, 1920), (800,), 1333, (750, 1333)),
    "halves_go_up": ((10, 25), (5,), 100, (5, 13)),
    "elongated": ((50, 4000), (640,), 1333, (17, 1333)),
    "a_line_keeps_a_pixel": ((1, 4000), (640,), 1333, (1, 1333)),
    "a_pixel_is_enlarged": ((1, 1), (640,), 1333, (640, 640)),
}


@pytest.mark.parametrize(
    ("size", "sides", "longest", "expected"), SHORT_SIDE_CASES.values(), ids=SHORT_SIDE_CASES
)
def test_short_side_resize_keeps_the_aspect(size, sides, longest, expected):
    sample = Sample(image=np.zeros((*size, 3), np.uint8), image_id=0, path=Path("x"), original_size=size)
    result = RandomShortSideResize(short_sides=sides, max_long_side=longest)(sample, rng())
    assert result.size == expected
    assert result.scale_factor == (expected[0] / size[0], expected[1] / size[1])


def test_short_side_resize_draws_each_side():
    step = RandomShortSideResize(short_sides=(24, 48, 96), max_long_side=1000)
    assert {step(make_sample(), rng(seed)).size for seed in range(30)} == {(24, 32), (48, 64), (96, 128)}


@pytest.mark.parametrize("interp", [0, 2])
def test_short_side_resize_uses_the_interpolation_told(interp):
    step = RandomShortSideResize(short_sides=(30,), max_long_side=1000, interp=interp)
    expected = cv2.resize(make_sample().image, (40, 30), interpolation=interp)
    np.testing.assert_array_equal(step(make_sample(), rng()).image, expected)


# ---------------------------------------------------------------- padding


def test_pad_fills_below_and_right_only():
    sample = make_sample(label_map=True)
    result = Pad(size=(50, 70), fill_value=(1, 2, 3))(sample, rng())
    np.testing.assert_array_equal(result.image[:HEIGHT, :WIDTH], sample.image)
    assert result.image[-1, -1].tolist() == [1, 2, 3]
    assert result.label_map[-1, -1] == 255
    assert result.boxes.tolist() == BOXES.tolist()
    assert (sample.content_size, result.content_size) == (None, (HEIGHT, WIDTH))


def test_pad_twice_remembers_the_first_content():
    result = PadStride(stride=32)(Pad(size=(50, 70))(make_sample(), rng()), rng())
    assert (result.size, result.content_size) == ((64, 96), (HEIGHT, WIDTH))


def test_padding_counts_as_content_once_it_was_resized():
    result = Resize(target_size=(100, 100))(PadStride(stride=32)(make_sample(), rng()), rng())
    assert result.content_size is None


def test_pad_to_a_smaller_size_is_refused():
    with pytest.raises(ShapeError, match="48 x 64 pixels cannot be padded to 40 x 80"):
        pad_sample(make_sample(), (40, 80))


@pytest.mark.parametrize(("stride", "size"), [(32, (64, 64)), (5, (50, 65)), (1, (48, 64)), (-1, (48, 64))])
def test_pad_stride_rounds_up_and_skips_when_not_positive(stride, size):
    assert PadStride(stride=stride)(make_sample(), rng()).size == size


# ---------------------------------------------------------------- flip


def test_flip_mirrors_boxes_at_the_width():
    sample = make_sample(label_map=True)
    result = RandomFlip(prob=1.0)(sample, rng())
    # x becomes 64 - x: (4, 24) -> (40, 60), (40, 60) -> (4, 24).
    assert result.boxes.tolist() == [[40, 6, 60, 30], [4, 20, 24, 44]]
    np.testing.assert_array_equal(result.image, sample.image[:, ::-1])
    np.testing.assert_array_equal(result.masks.to_dense(), sample.masks.to_dense()[:, :, ::-1])
    np.testing.assert_array_equal(result.label_map, sample.label_map[:, ::-1])


def test_flip_twice_is_nothing():
    sample = make_sample()
    result = RandomFlip(prob=1.0)(RandomFlip(prob=1.0)(sample, rng()), rng())
    np.testing.assert_array_equal(result.image, sample.image)
    np.testing.assert_array_equal(result.boxes, sample.boxes)


@pytest.mark.parametrize("transform", [RandomFlip, RandomExpand, RandomCrop])
def test_probability_zero_does_nothing(transform):
    sample = make_sample()
    assert all(transform(prob=0.0)(sample, rng(seed)) is sample for seed in range(20))


# ---------------------------------------------------------------- expand


@pytest.mark.parametrize("seed", range(10))
def test_expand_moves_everything_by_one_offset(seed):
    sample = make_sample()
    result = RandomExpand(prob=1.0, max_ratio=3.0)(sample, rng(seed))
    height, width = result.size
    assert HEIGHT <= height <= 3 * HEIGHT and WIDTH <= width <= 3 * WIDTH
    assert abs(height / HEIGHT - width / WIDTH) < 1 / HEIGHT + 1 / WIDTH  # one ratio for both sides
    x, y = (int(v) for v in result.boxes[0, :2] - BOXES[0, :2])
    np.testing.assert_array_equal(result.image[y : y + HEIGHT, x : x + WIDTH], sample.image)
    np.testing.assert_array_equal(result.boxes - BOXES, np.tile([x, y, x, y], (2, 1)))
    assert result.masks.area().tolist() == sample.masks.area().tolist()


def test_expand_fills_with_the_colour_told():
    result = RandomExpand(prob=1.0, max_ratio=4.0, fill=(123.675, 116.28, 103.53))(make_sample(), rng(3))
    outside = np.ones(result.size, dtype=bool)
    x, y = (int(v) for v in result.boxes[0, :2] - BOXES[0, :2])
    outside[y : y + HEIGHT, x : x + WIDTH] = False
    assert np.unique(result.image[outside], axis=0).tolist() == [[124, 116, 104]]


def test_expand_shrinks_a_photo_whose_canvas_would_be_too_large():
    step = RandomExpand(prob=1.0, max_ratio=4.0, max_pixels=HEIGHT * WIDTH)
    for seed in range(10):
        result = step(make_sample(), rng(seed))
        assert result.size[0] * result.size[1] <= HEIGHT * WIDTH
        np.testing.assert_allclose(result.boxes, result.masks.boxes(), atol=1.0)
        assert result.scale_factor[0] <= 1.0


# ---------------------------------------------------------------- crop


@pytest.mark.parametrize("seed", range(20))
def test_crop_is_a_part_of_the_photo_and_keeps_objects_by_their_centre(seed):
    sample = make_sample()
    result = RandomCrop(allow_no_crop=False)(sample, rng(seed))
    height, width = result.size
    corners = np.lib.stride_tricks.sliding_window_view(sample.image, (height, width, 3))[:, :, 0]
    y, x = np.argwhere((corners == result.image).all(axis=(2, 3, 4)))[0]
    centres = (BOXES[:, :2] + BOXES[:, 2:]) / 2
    inside = ((centres >= [x, y]) & (centres < [x + width, y + height])).all(axis=1)
    assert result.class_ids.tolist() == np.flatnonzero(inside).tolist()
    expected = (BOXES[inside] - [x, y, x, y]).clip(0, [width, height, width, height])
    np.testing.assert_array_equal(result.boxes, expected)


@pytest.mark.parametrize("threshold", [0.3, 0.7])
def test_crop_overlaps_some_box_as_much_as_asked(threshold):
    step = RandomCrop(thresholds=(threshold,), allow_no_crop=False, attempts=2000)
    sample = make_sample()
    cropped = 0
    for seed in range(10):
        result = step(sample, rng(seed))
        if result is sample:
            continue
        cropped += 1
        height, width = result.size
        areas = (BOXES[result.class_ids][:, 2:] - BOXES[result.class_ids][:, :2]).prod(axis=1)
        overlaps = (result.boxes[:, 2:] - result.boxes[:, :2]).prod(axis=1)
        assert (overlaps / (height * width + areas - overlaps)).max() >= threshold - 1e-6
    assert cropped >= 5


def test_crop_without_a_fitting_attempt_leaves_the_photo():
    # No crop of at least 0.9 of each side can have IoU 1 with a box of a sixth of the photo.
    step = RandomCrop(thresholds=(1.0,), allow_no_crop=False, scaling=(0.9, 1.0))
    sample = make_sample()
    assert step(sample, rng()) is sample


def test_crop_stays_within_scale_and_aspect():
    step = RandomCrop(thresholds=(0.0,), allow_no_crop=False, scaling=(0.3, 0.6), aspect_ratio=(0.5, 2.0))
    for seed in range(30):
        height, width = step(make_sample(), rng(seed)).size
        # Each side is truncated to whole pixels.
        assert height * width <= 0.36 * HEIGHT * WIDTH
        assert (height + 1) * (width + 1) >= 0.09 * HEIGHT * WIDTH
        aspect = (width / WIDTH) / (height / HEIGHT)
        assert 0.5 * 0.9 <= aspect <= 2.0 * 1.12


def test_crop_drops_an_object_that_leaves_no_pixel():
    """A ring's centre can be inside the crop while the ring is not."""
    ring = np.zeros((1, 60, 60), dtype=bool)
    ring[0, [0, -1], :] = ring[0, :, [0, -1]] = True
    dot = np.zeros((1, 60, 60), dtype=bool)
    dot[0, 28:33, 28:33] = True
    sample = Sample(
        image=np.zeros((60, 60, 3), np.uint8),
        image_id=0,
        path=Path("x.png"),
        original_size=(60, 60),
        boxes=np.array([[0, 0, 60, 60], [28, 28, 33, 33]], np.float32),
        class_ids=np.array([0, 1]),
        masks=MaskCrops.from_dense(np.concatenate([ring, dot])),
    )
    step = RandomCrop(thresholds=(0.0,), allow_no_crop=False, scaling=(0.3, 0.5), attempts=500)
    results = [step(sample, rng(seed)) for seed in range(20)]
    without_ring = [result for result in results if result.class_ids.tolist() == [1]]
    assert without_ring
    assert all((result.masks.area() > 0).all() for result in results)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Resize(target_size=(0, 640)), r"Resize\.target_size: found \(0, 640\)"),
        (lambda: Resize(target_size=(640, 640), interp=9), "0 nearest, 1 linear"),
        (lambda: RandomFlip(prob=-0.1), "from 0 to 1"),
        (lambda: RandomExpand(max_ratio=0.5), "at least 1"),
        (lambda: RandomCrop(scaling=(0.5, 1.5)), "at most 1"),
        (lambda: RandomCrop(aspect_ratio=(1.5, 2.0)), "1 within"),
        (lambda: RandomCrop(attempts=0), "above 0"),
        (lambda: RandomShortSideResize(short_sides=(), max_long_side=9), "at least one length"),
        (lambda: RandomShortSideResize(short_sides=(0,), max_long_side=9), "short_sides: found"),
        (lambda: RandomShortSideResize(short_sides=(5,), max_long_side=0), "max_long_side: found"),
        (lambda: Pad(size=(640,)), r"\[height, width\] in pixels"),
    ],
)
def test_bad_parameter_is_refused_on_construction(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
