"""Pixel values of the operators that PaddleX 1 and 2 add: chances of their own, either order of channels."""

from __future__ import annotations

import numpy as np
import pytest
from samples import make_sample

from paddlex.data.transforms.batch import BatchRandomResizeByShort, MixupImage
from paddlex.data.transforms.color import CLAHE, Clip, RandomDistort, ToFloat
from paddlex.structures.masks import MaskCrops
from paddlex.structures.sample import Sample
from paddlex.structures.shapes import InstanceShapes
from paddlex.utils.errors import ConfigError

rng = np.random.default_rng
NEUTRAL = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}


def sample_of(pixels: object, dtype: type = np.uint8) -> Sample:
    sample = make_sample(empty=True)
    sample.image = np.array(pixels, dtype=dtype)
    return sample


# ---------------------------------------------------------------- distortion


def test_each_property_has_its_own_chance() -> None:
    black, whole = {"brightness": (0, 0)}, (1.0, 0.0, 0.0, 0.0)
    step = RandomDistort(**NEUTRAL | black, probs=whole)
    assert not step(sample_of([[[10, 20, 30]]]), rng(0)).image.any()
    step = RandomDistort(**NEUTRAL | black, probs=(0.0, 1.0, 1.0, 0.0))
    assert all(step(sample_of([[[90] * 3]]), rng(seed)).image.tolist() == [[[90] * 3]] for seed in range(9))
    step = RandomDistort(**NEUTRAL | black, probs=(0.25, 0, 0, 0))
    changed = sum(not step(sample_of([[[90] * 3]]), rng(seed)).image.any() for seed in range(400))
    assert 60 <= changed <= 140  # 100 expected; four standard deviations are 35


def test_only_some_of_the_four_are_tried() -> None:
    step = RandomDistort(**NEUTRAL | {"brightness": (0, 0)}, each_prob=1, count=1)
    changed = sum(not step(sample_of([[[90] * 3]]), rng(seed)).image.any() for seed in range(400))
    assert 60 <= changed <= 140, "brightness is the first of four in a quarter of the orders"
    step = RandomDistort(**NEUTRAL | {"brightness": (0, 0)}, each_prob=1, count=1, in_random_order=False)
    assert not step(sample_of([[[90] * 3]]), rng(0)).image.any()
    assert (
        RandomDistort(each_prob=1, count=0)(make_sample(), rng(0)).image.tolist()
        == make_sample().image.tolist()
    )


def test_channels_are_exchanged_if_asked() -> None:
    step = RandomDistort(**NEUTRAL, each_prob=0, shuffle_channel=True)
    seen = {tuple(step(sample_of([[[1, 2, 3]]]), rng(seed)).image.ravel().tolist()) for seed in range(40)}
    assert len(seen) == 6 and all(sorted(one) == [1, 2, 3] for one in seen)


def test_blue_green_red_is_distorted_as_red_green_blue() -> None:
    settings = NEUTRAL | {"saturation": (0, 0)}
    # ITU-R 601: 0.299 * 200 + 0.587 * 100 + 0.114 * 50 = 124.2
    found = RandomDistort(**settings, each_prob=1, bgr=True)(sample_of([[[50, 100, 200]]]), rng(0)).image
    assert found.tolist() == [[[124, 124, 124]]] and found.flags.c_contiguous


def test_float_images_are_rounded_and_stay_float() -> None:
    step = RandomDistort(**NEUTRAL | {"brightness": (2, 2)}, probs=(1, 0, 0, 0))
    found = step(sample_of([[[10.4, 99.6, 300.0]]], np.float32), rng(0)).image
    assert found.dtype == np.float32 and found.tolist() == [[[20, 200, 255]]]


# ---------------------------------------------------------------- values


def test_limits_are_of_channels() -> None:
    step = Clip(min_val=(10, 20, 30), max_val=(100, 110, 120))
    assert step(sample_of([[[0, 0, 0], [255, 255, 255]]]), rng(0)).image.tolist() == [
        [[10, 20, 30], [100, 110, 120]]
    ]
    assert step(sample_of([[[0.5, 20.5, 200]]], np.float32), rng(0)).image.tolist() == [[[10, 20.5, 120]]]


def test_even_light_spreads_dark_photos() -> None:
    dark = sample_of(rng(0).integers(20, 40, (64, 64, 3)))
    even = CLAHE(clip_limit=4.0)(dark, rng(0)).image
    assert even.dtype == np.uint8 and even.std() > 1.5 * dark.image.std()
    same = CLAHE(clip_limit=4.0, bgr=True)(sample_of(dark.image[:, :, ::-1]), rng(0)).image
    np.testing.assert_array_equal(same[:, :, ::-1], even)


def test_bytes_become_float_in_either_order() -> None:
    assert ToFloat()(sample_of([[[1, 2, 3]]]), rng(0)).image.dtype == np.float32
    assert ToFloat(reverse_channels=True)(sample_of([[[1, 2, 3]]]), rng(0)).image.tolist() == [[[3, 2, 1]]]


# ---------------------------------------------------------------- batches


def test_one_short_side_is_drawn_for_the_batch() -> None:
    step = BatchRandomResizeByShort(short_sizes=(24, 96), max_size=100)
    drawn = {tuple(one.size for one in step([make_sample(), make_sample(seed=1)], rng(s))) for s in range(9)}
    assert drawn == {((24, 32), (24, 32)), ((75, 100), (75, 100))}


@pytest.mark.parametrize("shapes", [False, True], ids=["crops", "shapes"])
def test_mixed_photos_have_the_objects_of_both_on_the_larger_canvas(shapes: bool) -> None:
    one, other = make_sample(shapes=shapes), make_sample(shapes=shapes, seed=1)
    wide = MaskCrops.empty((30, 90))
    other.image = np.full((30, 90, 3), 200, np.uint8)
    other.boxes, other.class_ids = other.boxes[:0], other.class_ids[:0]
    other.masks = InstanceShapes.from_crops(wide) if shapes else wide
    mixed = MixupImage()([one, other], rng(0))[0]
    assert mixed.size == mixed.masks.size == (48, 90)
    assert mixed.boxes.tolist() == one.boxes.tolist() and mixed.class_ids.tolist() == [0, 1]
    # Where only the second photo reaches, it shines through black with the rest of the weight.
    weight = 1 - mixed.image[0, 80, 0] / 200
    assert 0 < weight < 1
    expected = (one.image[40, 5] * weight).round()
    np.testing.assert_allclose(mixed.image[40, 5], expected, atol=1)


def test_the_only_photo_of_a_batch_stays_as_it_is() -> None:
    sample = make_sample()
    assert MixupImage()([sample], rng(0)) == [sample]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomDistort(probs=(1, 1)), r"RandomDistort.probs: found \(1, 1\), expected four numbers"),
        (lambda: RandomDistort(count=5), "RandomDistort.count: found 5, expected 0 to 4"),
        (lambda: Clip(min_val=(9, 9, 9), max_val=(1, 1, 1)), "Clip.max_val: .*not below"),
        (lambda: CLAHE(clip_limit=0), "CLAHE.clip_limit: found 0, expected above 0"),
        (
            lambda: CLAHE(tile_grid_size=(8,)),
            r"CLAHE.tile_grid_size: found \(8,\), expected \[rows, columns\]",
        ),
        (lambda: MixupImage(beta=0), "MixupImage.beta: found 0, expected above 0"),
        (lambda: BatchRandomResizeByShort(short_sizes=()), r"short_sizes: found \(\), expected at least one"),
    ],
    ids=range(7),
)
def test_faulty_settings_are_told(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
