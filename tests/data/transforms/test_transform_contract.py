"""What every transform must keep, whatever it does: shapes fit, boxes follow masks, the input stays."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from samples import HEIGHT, WIDTH, make_sample

from paddlex.data.transforms.base import BATCH_TRANSFORMS, SAMPLE_TRANSFORMS, build_batch_transforms
from paddlex.structures.sample import Sample

# At least one parameter set for every registered name; random ones always act.
CASES = {
    "BatchRandomResize": {"target_sizes": [32, 48, [40, 56]]},
    "BatchRandomResizeByShort": {"short_sizes": [32, 48, 80], "max_size": 100},
    "CLAHE": {},
    "CenterCrop": {"crop_size": 40},
    "Clip": {"min_val": [10, 20, 30], "max_val": [200, 210, 220]},
    "MixupImage": {},
    "NormalizeImage": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "Pad": {"size": [80, 96]},
    "PadBatch": {"stride": 32},
    "PadStride": {"stride": 32},
    "Padding": {"target_size": [80, 96], "pad_mode": 1, "im_padding_value": [1, 2, 3]},
    "Permute": {},
    "RandomBlur": {"prob": 1.0},
    "RandomCrop": {"allow_no_crop": False},
    "RandomDistort": {"prob": 1.0, "each_prob": 1.0},
    "RandomExpand": {"prob": 1.0},
    "RandomFlip": {"prob": 1.0},
    "RandomPaddingCrop": {"crop_size": [40, 72]},
    "RandomResize": {"target_sizes": [32, [96, 64]], "interp": 0},
    "RandomRotate": {"rotate_range": 30, "interp": 0},
    "RandomScaleAspect": {"interp": 0},
    "RandomResizeByShort": {"short_sizes": [32, 48, 80], "max_size": 100, "interp": 0},
    "RandomShortSideResize": {"short_sides": [32, 48, 80], "max_long_side": 100},
    "Resize": {"target_size": [96, 80]},
    "ResizeByLong": {"long_size": 128, "interp": 0},
    "ResizeByShort": {"short_size": 80, "max_size": 96, "interp": 0},
    "ResizeRangeScaling": {"min_value": 40, "max_value": 90, "interp": 0},
    "ToFloat": {"reverse_channels": True},
    "ResizeStepScaling": {"min_scale_factor": 0.5, "max_scale_factor": 2.0, "interp": 0},
}
CHANGE_VALUES = {"CLAHE", "NormalizeImage", "Permute", "RandomBlur", "RandomDistort"}
# A polygon turned exactly and a photo turned by nearest neighbour differ along the edge.
CHANGE_EDGES = {"RandomRotate", "RandomScaleAspect"}
SEEDS = range(6)

every_transform = pytest.mark.parametrize("name", CASES)
both_kinds_of_masks = pytest.mark.parametrize("shapes", [False, True], ids=["crops", "shapes"])


def applied(name: str, sample: Sample, *, seed: int) -> Sample:
    (result,) = build_batch_transforms([{name: CASES[name]}])([sample], np.random.default_rng(seed))
    return result


def test_cases_cover_the_registry():
    assert CASES.keys() == SAMPLE_TRANSFORMS.keys() | BATCH_TRANSFORMS.keys()


@both_kinds_of_masks
@every_transform
@pytest.mark.parametrize("seed", SEEDS)
def test_image_masks_and_label_map_share_one_canvas(name, seed, shapes):
    result = applied(name, make_sample(label_map=True, shapes=shapes), seed=seed)
    size = result.image.shape[1:] if name == "Permute" else result.image.shape[:2]
    assert result.masks.size == size
    assert result.label_map.shape == size
    assert len(result.boxes) == len(result.class_ids) == len(result.masks)
    assert result.boxes.dtype == np.float32 and result.class_ids.dtype == np.int64
    assert (result.boxes >= 0).all() and (result.boxes <= [size[1], size[0], size[1], size[0]]).all()


@both_kinds_of_masks
@every_transform
@pytest.mark.parametrize("seed", SEEDS)
def test_boxes_follow_masks_within_a_pixel(name, seed, shapes):
    result = applied(name, make_sample(shapes=shapes), seed=seed)
    assert len(result.boxes)
    np.testing.assert_allclose(result.boxes, result.masks.boxes(), atol=1.0)


@every_transform
@pytest.mark.parametrize("seed", SEEDS)
def test_label_map_follows_masks(name, seed):
    result = applied(name, make_sample(label_map=True), seed=seed)
    union = result.masks.to_dense().any(axis=0)
    kept_objects = result.label_map == 1
    if name in (
        "RandomCrop",
        "RandomScaleAspect",
    ):  # an object whose centre is cut off leaves the masks, not the label map
        assert kept_objects[union].all()
    else:
        np.testing.assert_array_equal(kept_objects, union)


@pytest.mark.parametrize("name", sorted(CASES.keys() - CHANGE_VALUES - CHANGE_EDGES))
@both_kinds_of_masks
def test_objects_lie_where_the_image_shows_them(name, shapes):
    result = applied(name, make_sample(shapes=shapes), seed=1)
    for mask in result.masks.to_dense():
        inside = result.image[mask]
        assert inside.min() >= 100  # objects are 150 to 250, the rest 0 to 99, padding at most 127


@every_transform
@both_kinds_of_masks
def test_photo_without_objects_passes(name, shapes):
    for seed in SEEDS:
        result = applied(name, make_sample(empty=True, label_map=True, shapes=shapes), seed=seed)
        assert result.boxes.shape == (0, 4) and len(result.masks) == 0


@every_transform
def test_photo_without_annotations_passes(name):
    """Prediction has neither masks nor a label map."""
    sample = make_sample(empty=True)
    sample.masks = None
    result = applied(name, sample, seed=0)
    assert result.masks is None and result.label_map is None


@every_transform
@both_kinds_of_masks
def test_input_stays_as_it_was(name, shapes):
    sample = make_sample(label_map=True, shapes=shapes)
    before = copy.deepcopy(sample)
    applied(name, sample, seed=3)
    for field in ("image", "boxes", "class_ids", "label_map"):
        np.testing.assert_array_equal(getattr(sample, field), getattr(before, field))
    np.testing.assert_array_equal(sample.masks.to_dense(), before.masks.to_dense())
    assert sample.scale_factor == before.scale_factor


@every_transform
def test_same_generator_gives_the_same_sample(name):
    one, two = (applied(name, make_sample(), seed=11) for _ in range(2))
    np.testing.assert_array_equal(one.image, two.image)
    np.testing.assert_array_equal(one.boxes, two.boxes)


@pytest.mark.parametrize("name", [n for n in CASES if "Random" in n and n != "RandomFlip"])
def test_other_generator_gives_another_sample(name):
    images = [applied(name, make_sample(), seed=seed).image for seed in SEEDS]
    assert any(image.shape != images[0].shape or (image != images[0]).any() for image in images[1:])


@every_transform
@both_kinds_of_masks
def test_smallest_photo_passes(name, shapes):
    sample = make_sample(empty=True, shapes=shapes)
    sample.image = sample.image[:1, :1]
    sample.masks = sample.masks.place(size=(1, 1))
    for seed in SEEDS:
        assert applied(name, sample, seed=seed).image.size >= 3


@every_transform
def test_transform_is_immutable_and_picklable(name):
    step = build_batch_transforms([{name: CASES[name]}]).steps[0]
    step = getattr(step, "steps", (step,))[0]
    assert pickle.loads(pickle.dumps(step)) == step
    with pytest.raises(AttributeError):
        step.prob = 3


def test_original_size_and_id_are_kept_by_all():
    for name in CASES:
        result = applied(name, make_sample(), seed=0)
        assert (result.original_size, result.image_id) == ((HEIGHT, WIDTH), 5)
