"""Rotation and the crops' settings that the contract does not see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from samples import BOXES, HEIGHT, WIDTH, make_sample

from paddlex.data.transforms.crop import RandomCrop, RandomScaleAspect
from paddlex.data.transforms.rotate import RandomRotate
from paddlex.structures.affine import map_points, warp_image
from paddlex.utils.errors import ConfigError

rng = np.random.default_rng


class Angle:
    """A generator that always draws one angle."""

    def __init__(self, degrees: float) -> None:
        self._degrees = degrees

    def uniform(self, low: float, high: float) -> float:
        assert low <= self._degrees <= high
        return self._degrees


def test_points_and_pixels_are_mapped_alike() -> None:
    matrix = np.array([[0.0, 1.0, 2.0], [-1.0, 0.0, 5.0]])  # a quarter turn, then a shift
    assert map_points(np.array([[0, 0], [3, 1]]), matrix).tolist() == [[2, 5], [3, 2]]
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    turned = warp_image(image, np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 4.0]]), size=(4, 3))
    np.testing.assert_array_equal(turned, np.rot90(image))


@pytest.mark.parametrize("shapes", [False, True], ids=["crops", "shapes"])
@pytest.mark.parametrize(("degrees", "quarters"), [(90, 1), (-90, -1), (180, 2), (0, 0)])
def test_quarter_turns_move_pixels_masks_labels_and_boxes_exactly(
    degrees: float, quarters: int, shapes: bool
) -> None:
    sample = make_sample(label_map=True, shapes=shapes)
    turned = RandomRotate(rotate_range=180)(sample, Angle(degrees))
    np.testing.assert_array_equal(turned.image, np.rot90(sample.image, quarters))
    np.testing.assert_array_equal(turned.label_map, np.rot90(sample.label_map, quarters))
    for mask, before in zip(turned.masks.to_dense(), sample.masks.to_dense(), strict=True):
        np.testing.assert_array_equal(mask, np.rot90(before, quarters))
    np.testing.assert_array_equal(turned.boxes, turned.masks.boxes())


def test_the_canvas_grows_to_hold_the_whole_photo() -> None:
    turned = RandomRotate(rotate_range=45, im_padding_value=(9, 8, 7))(make_sample(label_map=True), Angle(45))
    side = np.ceil((HEIGHT + WIDTH) * np.sqrt(0.5))
    assert turned.size == (side, side)
    assert turned.image[0, 0].tolist() == [9, 8, 7] and turned.label_map[0, 0] == 255
    assert turned.moves == (), "there is no way back to the photo"


def test_boxes_without_masks_become_those_around_their_corners() -> None:
    sample = replace(make_sample(), masks=None)
    turned = RandomRotate(rotate_range=90)(sample, Angle(90))
    # x' = y, y' = width - x
    expected = np.stack([BOXES[:, 1], WIDTH - BOXES[:, 2], BOXES[:, 3], WIDTH - BOXES[:, 0]], axis=1)
    np.testing.assert_allclose(turned.boxes, expected, atol=1e-4)


def test_photos_without_objects_are_cropped_only_if_asked() -> None:
    empty = make_sample(empty=True)
    assert RandomCrop(allow_no_crop=False)(empty, rng(0)) is empty
    sizes = {RandomCrop(crop_empty=True)(empty, rng(seed)).size for seed in range(10)}
    assert len(sizes) == 10 and all(height <= HEIGHT and width <= WIDTH for height, width in sizes)


def test_crops_are_brought_to_their_size_and_so_is_what_stays_whole() -> None:
    for seed in range(5):
        moved = RandomCrop(crop_size=(30, 40))(make_sample(label_map=True), rng(seed))
        assert moved.size == moved.label_map.shape == moved.masks.size == (30, 40)
    assert RandomCrop(prob=0, crop_size=(30, 40))(make_sample(), rng(0)).size == (30, 40)


def test_all_boxes_are_covered_if_asked() -> None:
    sample = make_sample()
    sample.label_map = sum(mask * np.uint8(n) for n, mask in enumerate(sample.masks.to_dense(), start=1))
    settings = {"thresholds": (0.05,), "allow_no_crop": False}

    def covered(step: RandomCrop) -> set[frozenset[int]]:
        return {frozenset(np.unique(step(sample, rng(seed)).label_map).tolist()) - {0} for seed in range(30)}

    assert covered(RandomCrop(**settings, cover_all_box=True)) == {frozenset({1, 2})}
    assert covered(RandomCrop(**settings)) == {frozenset({1}), frozenset({2}), frozenset({1, 2})}


def test_a_part_of_random_scale_comes_back_to_the_photo_s_size() -> None:
    moved = [RandomScaleAspect()(make_sample(label_map=True), rng(seed)) for seed in range(5)]
    assert {one.size for one in moved} == {(HEIGHT, WIDTH)}
    assert any((one.image != make_sample().image).any() for one in moved)
    assert RandomScaleAspect()(make_sample(empty=True), rng(0)).size == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomRotate(rotate_range=-1), "RandomRotate.rotate_range: found -1, expected 0 to 180"),
        (lambda: RandomRotate(label_padding_value=256), "RandomRotate.label_padding_value: found 256"),
        (
            lambda: RandomScaleAspect(aspect_ratio=0),
            "RandomScaleAspect.aspect_ratio: found 0, expected above 0",
        ),
        (lambda: RandomCrop(crop_size=(0, 3)), r"RandomCrop.crop_size: found \(0, 3\)"),
    ],
    ids=range(4),
)
def test_faulty_settings_are_told(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
