"""Transforms of PaddleX 1 for instance segmentation, as the tutorial of Mask R-CNN writes them."""

from __future__ import annotations

import numpy as np
import pytest
from transforms.photos import photo, rng

from paddlex.det import transforms
from paddlex.utils.errors import ShapeError

_MEAN, _STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def test_the_tutorial_s_list_normalises_resizes_and_pads_with_zeros() -> None:
    chain = transforms.Compose(
        [
            transforms.Normalize(),
            transforms.ResizeByShort(short_size=48, max_size=1333),
            transforms.Padding(coarsest_stride=32),
        ]
    )
    moved = chain.sample_chain()(photo(24, 40), rng(0))
    assert moved.image.shape == (3, 64, 96) and moved.content_size == (48, 80)
    assert not moved.image[:, 48:].any() and not moved.image[:, :, 80:].any()
    # Twice the size, bilinear: the first pixel is the photo's own.
    np.testing.assert_allclose(
        moved.image[:, 0, 0], (photo(24, 40).image[0, 0] / 255 - _MEAN) / _STD, rtol=1e-5
    )
    assert moved.boxes.tolist() == [[8, 8, 28, 28]]
    (only,) = moved.masks.polygons
    assert only[0].tolist() == [[8, 8], [28, 8], [28, 28], [8, 28]]


def test_sizes_are_width_first() -> None:
    chain = transforms.Compose([transforms.Resize([50, 40]), transforms.Padding(32, target_size=[60, 45])])
    assert chain.sample_chain()(photo(), rng(0)).image.shape == (3, 45, 60)
    assert transforms.Padding(target_size=64).core()[1]["target_size"] == [64, 64]


def test_resizing_first_does_not_round() -> None:
    chain = transforms.Compose([transforms.Resize(33), transforms.Normalize(mean=[0] * 3, std=[1 / 255] * 3)])
    values = chain.sample_chain()(photo(), rng(0)).image
    assert np.abs(values - values.round()).max() > 0.1


def test_one_of_several_short_sides_is_drawn() -> None:
    chain = transforms.Compose([transforms.ResizeByShort([12, 24])]).sample_chain()
    generator = rng(0)
    assert {chain(photo(), generator).image.shape[1] for _ in range(20)} == {12, 24}


def test_bytes_stay_bytes_where_that_changes_no_number() -> None:
    """8 bits are normalised through a table, and exported chains need no step that others do not know."""
    flipped = transforms.Compose([transforms.Normalize(), transforms.ResizeByShort()])
    assert [one["type"] for one in flipped.operations()] == ["NormalizeImage", "ResizeByShort", "Permute"]
    resized = transforms.Compose([transforms.ResizeByShort(), transforms.Normalize()])
    assert resized.operations()[0] == {"type": "ToFloat"}


def test_a_photo_larger_than_its_padding_is_told() -> None:
    chain = transforms.Compose([transforms.Padding(target_size=16)]).sample_chain()
    with pytest.raises(ShapeError, match="image of 24 x 32 pixels cannot be padded to 16 x 16"):
        chain(photo(), rng(0))


def test_ready_chains_hold_what_their_documents_list() -> None:
    train = transforms.ComposedRCNNTransforms("train", min_max_size=[600, 1000])
    assert train.transforms == [
        transforms.RandomHorizontalFlip(),
        transforms.Normalize(),
        transforms.ResizeByShort(600, 1000),
        transforms.Padding(coarsest_stride=32),
    ]
    assert transforms.ComposedRCNNTransforms("eval").transforms[0] == transforms.Normalize()
    yolo = transforms.ComposedYOLOv3Transforms("train")
    assert [operator.name for operator in yolo.transforms] == [
        "det.MixupImage",
        "det.RandomDistort",
        "det.RandomExpand",
        "det.RandomCrop",
        "det.Resize",
        "det.RandomHorizontalFlip",
        "det.Normalize",
    ]
    assert transforms.ComposedYOLOv3Transforms("test").operations()[0]["type"] == "ToFloat"


def test_every_random_operator_of_the_list_keeps_boxes_on_masks() -> None:
    chain = transforms.Compose(
        [
            transforms.RandomDistort(),
            transforms.RandomExpand(prob=1.0),
            transforms.RandomCrop(),
            transforms.Resize(64, interp="RANDOM"),
            transforms.RandomHorizontalFlip(),
            transforms.Normalize(),
        ]
    ).sample_chain()
    for seed in range(10):
        moved = chain(photo(), rng(seed))
        assert moved.image.shape == (3, 64, 64) and moved.image.dtype == np.float32
        np.testing.assert_allclose(moved.boxes, moved.masks.boxes(), atol=1.5)
