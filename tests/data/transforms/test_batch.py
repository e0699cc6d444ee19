"""Batches: one size for all, and the shapes that networks are promised."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from samples import HEIGHT, WIDTH, make_sample

from paddlex.data.transforms.base import build_batch_transforms
from paddlex.data.transforms.batch import BatchRandomResize, PadBatch, collate, with_dense_masks
from paddlex.data.transforms.geometry import Resize
from paddlex.utils.errors import ConfigError, ShapeError

FINISH = [{"NormalizeImage": {}}, {"Permute": {}}]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_random_resize_draws_one_size_for_the_batch():
    step = BatchRandomResize(target_sizes=(32, 48, (40, 56)))
    seen = set()
    for seed in range(30):
        sizes = {sample.size for sample in step([make_sample(), make_sample(seed=1)], rng(seed))}
        assert len(sizes) == 1
        seen |= sizes
    assert seen == {(32, 32), (48, 48), (40, 56)}


def test_random_resize_draws_a_size_listed_thrice_three_times_as_often():
    step = BatchRandomResize(target_sizes=(8, 16, 16, 16))
    generator = rng(0)
    counts = Counter(step([make_sample()], generator)[0].size[0] for _ in range(400))
    assert 255 <= counts[16] <= 345  # 300 expected; five standard deviations are 43


def test_random_resize_with_fixed_interpolation_equals_resize():
    step = BatchRandomResize(target_sizes=(33,), random_interp=False, interp=1)
    expected = Resize(target_size=(33, 33), interp=1)(make_sample(), rng())
    np.testing.assert_array_equal(step([make_sample()], rng(5))[0].image, expected.image)


def test_random_resize_draws_every_interpolation():
    step = BatchRandomResize(target_sizes=(30,))
    expected = {
        Resize(target_size=(30, 30), interp=i)(make_sample(), rng()).image.tobytes() for i in range(5)
    }
    assert {step([make_sample()], rng(seed))[0].image.tobytes() for seed in range(60)} == expected


@pytest.mark.parametrize(("stride", "size"), [(1, (48, 80)), (32, (64, 96)), (-1, (48, 80))])
def test_pad_batch_pads_to_the_largest_and_to_the_stride(stride, size):
    wide = Resize(target_size=(20, 80))(make_sample(), rng())
    padded = PadBatch(stride=stride)([make_sample(), wide], rng())
    assert [sample.size for sample in padded] == [size, size]
    # The wide photo sets the width: where nothing was added, nothing is noted.
    contents = [sample.content_size or sample.size for sample in padded]
    assert contents == [(HEIGHT, WIDTH), (20, 80)]


def test_collate_gives_what_networks_are_promised():
    samples = [make_sample(), make_sample(empty=True, seed=1)]
    finished = build_batch_transforms([{"Resize": {"target_size": [24, 64]}}, *FINISH])(samples, rng())
    batch = collate(finished)
    assert batch["image"].shape == (2, 3, 24, 64) and batch["image"].dtype == np.float32
    assert batch["im_shape"].tolist() == [[24, 64]] * 2 and batch["im_shape"].dtype == np.float32
    assert batch["scale_factor"].tolist() == [[0.5, 1.0]] * 2 and batch["scale_factor"].dtype == np.float32
    assert batch["image_id"] == [5, 5]
    assert [boxes.shape for boxes in batch["gt_boxes"]] == [(2, 4), (0, 4)]
    assert [ids.tolist() for ids in batch["gt_class_ids"]] == [[0, 1], []]
    assert [len(masks) for masks in batch["gt_masks"]] == [2, 0]
    assert batch["gt_boxes"][0].tolist() == [[4, 3, 24, 15], [40, 10, 60, 22]]
    assert batch["gt_masks"][0].area().tolist() == [20 * 12, 20 * 12]
    assert "label_map" not in batch


def test_crops_become_dense_and_shapes_stay():
    samples = [make_sample(), make_sample(empty=True), make_sample(shapes=True)]
    batch = collate(build_batch_transforms(FINISH)(samples, rng()))
    crops, nothing, shapes = with_dense_masks(batch)["gt_masks"]
    assert (crops.shape, nothing.shape) == ((2, HEIGHT, WIDTH), (0, HEIGHT, WIDTH))
    assert crops.dtype == nothing.dtype == np.uint8
    np.testing.assert_array_equal(crops, samples[0].masks.to_dense())
    assert shapes is samples[2].masks
    assert with_dense_masks({"image": 1}) == {"image": 1}


def test_collate_im_shape_leaves_padding_out():
    finished = build_batch_transforms([{"PadBatch": {"stride": 32}}, *FINISH])([make_sample()], rng())
    batch = collate(finished)
    assert batch["image"].shape == (1, 3, 64, 64)
    assert batch["im_shape"].tolist() == [[HEIGHT, WIDTH]]


def test_channels_move_last_whatever_the_list_says():
    listed = [{"NormalizeImage": {}}, {"Permute": {}}, {"PadBatch": {"stride": 32}}]
    (padded,) = build_batch_transforms(listed)([make_sample()], rng())
    assert padded.image.shape == (3, 64, 64)


def test_collate_stacks_label_maps():
    finished = build_batch_transforms(FINISH)([make_sample(label_map=True)] * 2, rng())
    assert collate(finished)["label_map"].shape == (2, HEIGHT, WIDTH)


def test_collate_of_different_sizes_names_the_remedy():
    small = Resize(target_size=(20, 20))(make_sample(), rng())
    with pytest.raises(ShapeError, match="expected one shape: add Resize or PadBatch"):
        collate(build_batch_transforms(FINISH)([make_sample(), small], rng()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BatchRandomResize(target_sizes=()), "at least one size"),
        (lambda: BatchRandomResize(target_sizes=(0,)), r"\[height, width\] in pixels"),
        (lambda: PadBatch(stride="32"), "a whole number"),
    ],
)
def test_bad_parameter_is_refused_on_construction(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
