"""Resizing by one side, padding anywhere, fixed crops, blur: the settings that the contract does not see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from samples import HEIGHT, WIDTH, make_sample

from paddlex.data.transforms.canvas import CenterCrop, Padding, RandomPaddingCrop, crop_sample
from paddlex.data.transforms.color import NormalizeImage, RandomBlur, RandomDistort
from paddlex.data.transforms.geometry import RandomFlip, Resize
from paddlex.data.transforms.scaling import (
    RandomResizeByShort,
    ResizeByLong,
    ResizeByShort,
    ResizeStepScaling,
)
from paddlex.utils.errors import ConfigError

rng = np.random.default_rng


def test_short_side_reaches_its_length_unless_the_long_one_would_pass_its_limit() -> None:
    assert ResizeByShort(short_size=24)(make_sample(), rng(0)).size == (24, 32)
    assert ResizeByShort(short_size=96, max_size=96)(make_sample(), rng(0)).size == (72, 96)
    assert ResizeByLong(long_size=32)(make_sample(), rng(0)).size == (24, 32)


def test_random_short_sides_are_all_drawn() -> None:
    step, generator = RandomResizeByShort(short_sizes=(12, 24, 36)), rng(0)
    assert {step(make_sample(), generator).size[0] for _ in range(40)} == {12, 24, 36}


def test_steps_are_drawn_evenly_with_both_ends() -> None:
    step, generator = ResizeStepScaling(min_scale_factor=0.5, max_scale_factor=1.0), rng(0)
    sizes = [step(make_sample(), generator).size for _ in range(60)]
    assert set(sizes) == {(24, 32), (36, 48), (48, 64)}


def test_steps_that_binary_fractions_miss_reach_the_last_factor() -> None:
    step = ResizeStepScaling(min_scale_factor=0.5, max_scale_factor=2.0, scale_step_size=0.1)
    generator = rng(0)
    drawn = {step(make_sample(), generator).size[0] for _ in range(400)}
    assert drawn == {round(HEIGHT * factor / 10) for factor in range(5, 21)}


def test_no_step_draws_any_factor() -> None:
    step = ResizeStepScaling(min_scale_factor=0.5, max_scale_factor=2.0, scale_step_size=0)
    generator = rng(0)
    assert len({step(make_sample(), generator).size for _ in range(40)}) > 20


def test_sides_of_the_target_are_swapped_only_if_asked() -> None:
    upright = replace(make_sample(empty=True), image=np.zeros((64, 48, 3), np.uint8), masks=None)
    bounds = {"target_size": (24, 32), "keep_ratio": True}
    assert Resize(**bounds)(upright, rng(0)).size == (32, 24)
    assert Resize(**bounds, swap_sides=False)(upright, rng(0)).size == (24, 18)


@pytest.mark.parametrize(
    ("settings", "corner"),
    [({}, (0, 0)), ({"pad_mode": 1}, (11, 16)), ({"pad_mode": 2}, (22, 32)), ({"offsets": (5, 9)}, (9, 5))],
    ids=["top left", "centre", "bottom right", "offsets"],
)
def test_padding_puts_the_photo_where_asked(settings: dict, corner: tuple[int, int]) -> None:
    mode = {"pad_mode": -1} if "offsets" in settings else {}
    sample = make_sample(label_map=True)
    padded = Padding(target_size=(70, 96), im_padding_value=(1, 2, 3), **mode, **settings)(sample, rng(0))
    y, x = corner
    np.testing.assert_array_equal(padded.image[y : y + HEIGHT, x : x + WIDTH], sample.image)
    np.testing.assert_array_equal(padded.label_map[y : y + HEIGHT, x : x + WIDTH], sample.label_map)
    assert padded.label_map.shape == (70, 96)
    assert (padded.label_map == 255).sum() == 70 * 96 - HEIGHT * WIDTH
    assert padded.boxes[0].tolist() == [4 + x, 6 + y, 24 + x, 30 + y]


def test_grey_padding_is_exactly_zero_once_normalised() -> None:
    padded = Padding(size_divisor=40)(make_sample(), rng(0))
    normalised = NormalizeImage(mean=(0.5,) * 3, std=(0.5,) * 3)(padded, rng(0))
    assert padded.size == (80, 80)
    assert (normalised.image[HEIGHT:] == 0).all() and (normalised.image[:, WIDTH:] == 0).all()


def test_a_photo_that_fits_stays_as_it_is() -> None:
    sample = make_sample()
    assert Padding(size_divisor=16)(sample, rng(0)) is sample


def test_small_photos_are_padded_to_the_crop_and_ignored_there() -> None:
    cut = RandomPaddingCrop(crop_size=(60, 40))(make_sample(label_map=True), rng(0))
    assert cut.size == (60, 40) and cut.image.dtype == np.uint8
    assert (cut.label_map[HEIGHT:] == 255).all() and (cut.label_map[:HEIGHT] < 2).all()
    assert (cut.image[HEIGHT:] == 128).all()


def test_every_place_of_a_crop_is_drawn() -> None:
    sample = make_sample(empty=True)
    sample = replace(sample, masks=None, image=np.arange(12, dtype=np.uint8).reshape(3, 4, 1).repeat(3, 2))
    step, generator = RandomPaddingCrop(crop_size=(2, 3)), rng(0)
    assert {int(step(sample, generator).image[0, 0, 0]) for _ in range(40)} == {0, 1, 4, 5}


def test_objects_outside_a_crop_go() -> None:
    cut = crop_sample(make_sample(), y=0, x=0, size=(32, 32))
    assert cut.class_ids.tolist() == [0] and cut.boxes.tolist() == [[4, 6, 24, 30]]


def test_the_centre_is_cut_out() -> None:
    cut = CenterCrop(crop_size=50)(make_sample(label_map=True), rng(0))
    assert cut.size == (48, 50) == cut.label_map.shape
    np.testing.assert_array_equal(cut.image, make_sample().image[:, 7:57])


def test_top_and_bottom_are_mirrored() -> None:
    flipped = RandomFlip(prob=1.0, direction="vertical")(make_sample(label_map=True), rng(0))
    np.testing.assert_array_equal(flipped.image, make_sample().image[::-1])
    assert flipped.boxes[0].tolist() == [4, HEIGHT - 30, 24, HEIGHT - 6]
    np.testing.assert_array_equal(flipped.label_map, flipped.masks.to_dense().any(axis=0))


def test_blur_smooths_one_photo_in_ten_at_prob_a_tenth() -> None:
    step, generator, sample = RandomBlur(prob=0.1), rng(0), make_sample(empty=True)
    blurred = [result for _ in range(400) if (result := step(sample, generator)) is not sample]
    assert 20 < len(blurred) < 60
    assert all(result.image.std() < sample.image.std() for result in blurred)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Padding(pad_mode=3), "Padding.pad_mode: found 3, expected -1, 0, 1 or 2"),
        (lambda: Padding(pad_mode=-1), "Padding.offsets: found None, expected"),
        (lambda: Padding(label_padding_value=256), "Padding.label_padding_value: found 256"),
        (lambda: RandomPaddingCrop(crop_size=(0, 3)), "RandomPaddingCrop.crop_size"),
        (lambda: ResizeByShort(short_size=0), "ResizeByShort.short_size: found"),
        (lambda: RandomResizeByShort(short_sizes=()), "RandomResizeByShort.short_sizes: found"),
        (lambda: ResizeStepScaling(min_scale_factor=2.0), "min_scale_factor, max_scale_factor: found"),
        (lambda: RandomFlip(direction="up"), "RandomFlip.direction: found 'up'"),
        (lambda: NormalizeImage(min_val=(0, 0, 255)), "NormalizeImage.max_val: found"),
    ],
)
def test_bad_settings_are_refused_by_name(build, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()


def test_distortion_follows_padding_in_bytes() -> None:
    """The order of the published recipes: crop with padding, flip, distort."""
    sample = RandomPaddingCrop(crop_size=(60, 80))(make_sample(label_map=True), rng(0))
    assert RandomDistort(each_prob=1.0)(sample, rng(0)).image.dtype == np.uint8
