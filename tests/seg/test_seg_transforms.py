"""Transforms of PaddleX 1 for semantic segmentation."""

from __future__ import annotations

import numpy as np
from transforms.photos import photo, rng

from paddlex.seg import transforms
from paddlex.structures.moves import restore_labels


def test_networks_get_blue_green_red() -> None:
    chain = transforms.Compose([transforms.Normalize(mean=[0, 0.5, 1], std=[1, 1, 1])])
    image = chain.sample_chain()(photo(), rng(0)).image
    rgb = photo().image.transpose(2, 0, 1) / 255
    np.testing.assert_allclose(image, rgb[::-1] - np.array([0, 0.5, 1])[:, None, None], atol=1e-6)


def test_sizes_are_width_first_and_labels_are_padded_with_what_is_ignored() -> None:
    chain = transforms.Compose(
        [transforms.Resize([40, 30]), transforms.Padding([64, 48]), transforms.Normalize()]
    )
    moved = chain.sample_chain()(photo(label_map=True), rng(0))
    assert moved.image.shape == (3, 48, 64)
    assert not moved.image[:, 30:].any(), "127.5 is 0 once it is normalised with 0.5 and 0.5"
    assert (moved.label_map[30:] == 255).all() and not moved.label_map[:30, :40].any()
    assert restore_labels(moved.label_map, moved.moves).shape == (24, 32)


def test_every_random_operator_keeps_labels_on_pixels() -> None:
    chain = transforms.Compose(
        [
            transforms.RandomHorizontalFlip(),
            transforms.RandomVerticalFlip(),
            transforms.RandomDistort(),
            transforms.RandomBlur(),
            transforms.RandomRotate(),
            transforms.RandomScaleAspect(),
            transforms.ResizeRangeScaling(40, 60),
            transforms.ResizeStepScaling(),
            transforms.RandomPaddingCrop([32, 48]),
            transforms.Clip(),
            transforms.Normalize(),
        ]
    ).sample_chain()
    for seed in range(10):
        moved = chain(photo(label_map=True), rng(seed))
        assert moved.image.shape == (3, 48, 32) and moved.label_map.shape == (48, 32)
        assert set(np.unique(moved.label_map)) <= {0, 255}


def test_colours_are_distorted_alike_in_either_order_of_channels() -> None:
    steps = [
        transforms.RandomDistort(brightness_prob=1, saturation_prob=1, hue_prob=1),
        transforms.Normalize(),
    ]
    name, settings = steps[0].core()
    assert (name, settings["bgr"]) == ("RandomDistort", True)
    found = transforms.Compose(steps).sample_chain()(photo(), rng(4)).image
    from paddlex.det import transforms as det

    same = det.RandomDistort(brightness_prob=1, saturation_prob=1, hue_prob=1)
    wanted = det.Compose([same, det.Normalize([0.5] * 3, [0.5] * 3)]).sample_chain()(photo(), rng(4)).image
    np.testing.assert_array_equal(found, wanted[::-1])


def test_a_scale_of_areas_is_one_of_sides_squared() -> None:
    name, settings = transforms.RandomScaleAspect(min_scale=0.25).core()
    assert (name, settings["scaling"]) == ("RandomScaleAspect", [0.5, 1.0])
    assert transforms.RandomScaleAspect(min_scale=0).core() == ("RandomFlip", {"prob": 0}), "switched off"


def test_the_ready_chain_holds_what_its_document_lists() -> None:
    train = transforms.ComposedSegTransforms("train", train_crop_size=[64, 48])
    assert train.transforms == [
        transforms.RandomHorizontalFlip(),
        transforms.ResizeRangeScaling(400, 600),
        transforms.RandomPaddingCrop([64, 48]),
        transforms.Normalize(),
    ]
    evaluation = transforms.ComposedSegTransforms("eval")
    assert evaluation.transforms == [transforms.ResizeByLong(500), transforms.Normalize()]
    whole = transforms.ComposedSegTransforms("eval", min_max_size=None)
    assert whole.transforms == [transforms.Normalize()]
