"""Pixel values, by numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from samples import make_sample

from paddlex.data.transforms.color import NormalizeImage, Permute, RandomDistort
from paddlex.structures.sample import Sample
from paddlex.utils.errors import ConfigError

RNG = np.random.default_rng(0)


def sample_of(pixels: list) -> Sample:
    sample = make_sample(empty=True)
    sample.image = np.array(pixels)
    return sample


def distorted(pixels: list, **only) -> list:
    """Distort with the given factors fixed and the others neutral."""
    neutral = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
    step = RandomDistort(prob=1.0, each_prob=1.0, **{**neutral, **only})
    return step(sample_of(np.array(pixels, dtype=np.uint8)), np.random.default_rng(0)).image.tolist()


def test_brightness_multiplies():
    # Greys, because the way through HSV, which a hue shift of 0 takes as well, rounds colours.
    assert distorted([[[10] * 3, [200] * 3]], brightness=(1.5, 1.5)) == [[[15] * 3, [255] * 3]]
    assert distorted([[[10, 100, 200]]], brightness=(0, 0)) == [[[0, 0, 0]]]


def test_contrast_spreads_around_the_mean_grey():
    # Grey levels 100 and 200: mean 150, halved distances 125 and 175.
    assert distorted([[[100] * 3, [200] * 3]], contrast=(0.5, 0.5)) == [[[125] * 3, [175] * 3]]


def test_saturation_zero_is_grey():
    # ITU-R 601: 0.299 * 200 + 0.587 * 100 + 0.114 * 50 = 124.2
    assert distorted([[[200, 100, 50]]], saturation=(0, 0)) == [[[124, 124, 124]]]


def test_hue_shift_wraps_around_the_colour_circle():
    # A third of the circle (85 of 256) turns red to green and blue to red.
    assert distorted([[[255, 0, 0]]], hue=(85, 85)) == [[[0, 255, 0]]]
    assert np.abs(np.array(distorted([[[0, 0, 255]]], hue=(86, 86))) - [[[255, 0, 0]]]).max() <= 6


def test_hue_shift_of_pillow_levels_truncates():
    image = Image.new("HSV", (1, 1), (10, 255, 255)).convert("RGB")
    found = Image.fromarray(np.array(distorted(np.asarray(image).tolist(), hue=(-17.5, -17.5)), np.uint8))
    # 10 - 17.5 = -7.5, truncated -7, wrapped 249; the round trip through RGB keeps it within one level.
    assert abs(found.convert("HSV").getpixel((0, 0))[0] - 249) <= 1


def test_distort_acts_as_often_as_told():
    step = RandomDistort(prob=0.8, each_prob=1.0, brightness=(0, 0))
    sample = sample_of(np.full((2, 2, 3), 90, np.uint8))
    changed = sum(int(step(sample, np.random.default_rng(i)).image.max() == 0) for i in range(400))
    assert 280 <= changed <= 360  # 320 expected; five standard deviations are 40


def test_normalize_eight_bits_by_hand():
    step = NormalizeImage(mean=(0.5, 0.0, 1.0), std=(0.5, 1.0, 2.0))
    image = step(sample_of(np.array([[[255, 51, 0]]], np.uint8)), RNG).image
    np.testing.assert_allclose(image, [[[1.0, 0.2, -0.5]]], rtol=1e-6)
    assert image.dtype == np.float32


def test_normalize_table_equals_the_formula_to_the_bit():
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    step = NormalizeImage(mean=mean, std=std)
    by_formula = step(sample_of(levels.astype(np.float32)), RNG).image
    np.testing.assert_array_equal(step(sample_of(levels), RNG).image, by_formula)


def test_normalize_without_scale_keeps_the_levels():
    step = NormalizeImage(is_scale=False, mean=(10, 0, 0))
    assert step(sample_of(np.array([[[30, 2, 3]]], np.uint8)), RNG).image.tolist() == [[[20, 2, 3]]]


def test_permute_moves_channels_first():
    sample = make_sample()
    image = Permute()(sample, RNG).image
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image[2], sample.image[..., 2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomDistort(prob=1.5), r"RandomDistort\.prob: found 1.5, expected a number from 0 to 1"),
        (lambda: RandomDistort(brightness=(1.5, 0.5)), r"RandomDistort\.brightness: found \(1.5, 0.5\)"),
        (lambda: RandomDistort(contrast=(-1, 1)), "two ascending numbers, not below 0"),
        (lambda: NormalizeImage(std=(0, 1, 1)), "expected positive numbers"),
        (lambda: NormalizeImage(mean=(1, 2)), "expected three numbers"),
        (lambda: NormalizeImage(norm_type="l2"), "expected none or mean_std"),
    ],
)
def test_bad_parameter_is_refused_on_construction(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
