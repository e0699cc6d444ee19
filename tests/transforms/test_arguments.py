"""Names, order and defaults of every operator's arguments are those of the documents of PaddleX 1 and 2."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from paddlex import transforms
from paddlex.det import transforms as det
from paddlex.seg import transforms as seg

NEEDED = inspect.Parameter.empty
_IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
_HALVES = {"mean": [0.5] * 3, "std": [0.5] * 3}
_LEVELS = {"min_val": [0, 0, 0], "max_val": [255.0] * 3}
_GREY = {"im_padding_value": [127.5] * 3, "label_padding_value": 255}
_DISTORT = {
    "brightness_range": 0.5,
    "brightness_prob": 0.5,
    "contrast_range": 0.5,
    "contrast_prob": 0.5,
    "saturation_range": 0.5,
    "saturation_prob": 0.5,
    "hue_range": 18,
    "hue_prob": 0.5,
}
_CROP = {
    "aspect_ratio": [0.5, 2.0],
    "thresholds": [0.0, 0.1, 0.3, 0.5, 0.7, 0.9],
    "scaling": [0.3, 1.0],
    "num_attempts": 50,
    "allow_no_crop": True,
    "cover_all_box": False,
}
_MIXUP = {"alpha": 1.5, "beta": 1.5, "mixup_epoch": -1}
_STRIDED = {"size_divisor": 32, "coarsest_stride": None}

PX2: dict[str, dict[str, Any]] = {
    "BatchRandomResize": {"target_sizes": NEEDED, "interp": "NEAREST"},
    "BatchRandomResizeByShort": {"short_sizes": NEEDED, "max_size": -1, "interp": "NEAREST"},
    "CenterCrop": {"crop_size": 224},
    "Compose": {"transforms": NEEDED},
    "MixupImage": _MIXUP,
    "Normalize": {**_IMAGENET, **_LEVELS, "is_scale": True},
    "Padding": {"target_size": None, "pad_mode": 0, "offsets": None, **_GREY, **_STRIDED},
    "RandomBlur": {"prob": 0.1},
    "RandomCrop": {"crop_size": None, **_CROP},
    "RandomDistort": {**_DISTORT, "random_apply": True, "count": 4, "shuffle_channel": False},
    "RandomExpand": {"upper_ratio": 4.0, "prob": 0.5, **_GREY},
    "RandomHorizontalFlip": {"prob": 0.5},
    "RandomResize": {"target_sizes": NEEDED, "interp": "LINEAR"},
    "RandomResizeByShort": {"short_sizes": NEEDED, "max_size": -1, "interp": "LINEAR"},
    "RandomScaleAspect": {"min_scale": 0.5, "aspect_ratio": 0.33},
    "RandomVerticalFlip": {"prob": 0.5},
    "Resize": {"target_size": NEEDED, "interp": "LINEAR", "keep_ratio": False},
    "ResizeByLong": {"long_size": 256, "interp": "LINEAR"},
    "ResizeByShort": {"short_size": 256, "max_size": -1, "interp": "LINEAR"},
}
DET: dict[str, dict[str, Any]] = {
    "BatchRandomShape": {"random_shapes": list(range(320, 609, 32))},
    "CLAHE": {"clip_limit": 2.0, "tile_grid_size": [8, 8]},
    "Compose": {"transforms": NEEDED},
    "ComposedRCNNTransforms": {
        "mode": NEEDED,
        "min_max_size": [800, 1333],
        **_IMAGENET,
        "random_horizontal_flip": True,
    },
    "ComposedYOLOv3Transforms": {
        "mode": NEEDED,
        "shape": [608, 608],
        "mixup_epoch": 250,
        **_IMAGENET,
        "random_distort": True,
        "random_expand": True,
        "random_crop": True,
        "random_horizontal_flip": True,
    },
    "MixupImage": _MIXUP,
    "Normalize": {**_IMAGENET, **_LEVELS},
    "Padding": {"coarsest_stride": 1, "target_size": None},
    "RandomCrop": _CROP,
    "RandomDistort": _DISTORT,
    "RandomExpand": {"ratio": 4.0, "prob": 0.5, "fill_value": [123.675, 116.28, 103.53]},
    "RandomHorizontalFlip": {"prob": 0.5},
    "Resize": {"target_size": 608, "interp": "LINEAR"},
    "ResizeByShort": {"short_size": 800, "max_size": 1333},
}
SEG: dict[str, dict[str, Any]] = {
    "Clip": {"min_val": [0, 0, 0], "max_val": [255.0] * 3},
    "Compose": {"transforms": NEEDED},
    "ComposedSegTransforms": {
        "mode": NEEDED,
        "min_max_size": [400, 600],
        "train_crop_size": [512, 512],
        **_HALVES,
        "random_horizontal_flip": True,
    },
    "Normalize": {**_HALVES, **_LEVELS},
    "Padding": {"target_size": NEEDED, **_GREY},
    "RandomBlur": {"prob": 0.1},
    "RandomDistort": _DISTORT,
    "RandomHorizontalFlip": {"prob": 0.5},
    "RandomPaddingCrop": {"crop_size": 512, **_GREY},
    "RandomRotate": {"rotate_range": 15, **_GREY},
    "RandomScaleAspect": {"min_scale": 0.5, "aspect_ratio": 0.33},
    "RandomVerticalFlip": {"prob": 0.1},
    "Resize": {"target_size": NEEDED, "interp": "LINEAR"},
    "ResizeByLong": {"long_size": NEEDED},
    "ResizeByShort": {"short_size": 800, "max_size": 1333},
    "ResizeRangeScaling": {"min_value": 400, "max_value": 600},
    "ResizeStepScaling": {"min_scale_factor": 0.75, "max_scale_factor": 1.25, "scale_step_size": 0.25},
}
TABLES = {transforms: PX2, det: DET, seg: SEG}
EVERY = [
    pytest.param(module, name, id=f"{module.__name__.removeprefix('paddlex.')}.{name}")
    for module, table in TABLES.items()
    for name in table
]


@pytest.mark.parametrize("module", TABLES, ids=lambda module: module.__name__)
def test_every_name_is_documented(module: Any) -> None:
    assert set(module.__all__) == TABLES[module].keys()
    assert all(getattr(module, name).__doc__ for name in module.__all__)


@pytest.mark.parametrize(("module", "name"), EVERY)
def test_arguments_are_those_of_the_documents(module: Any, name: str) -> None:
    found = {
        parameter.name: list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
        for parameter in inspect.signature(getattr(module, name)).parameters.values()
    }
    assert found == TABLES[module][name]
    assert list(found) == list(TABLES[module][name])


@pytest.mark.parametrize(("module", "name"), [one for one in EVERY if "Compose" not in one.id])
def test_arguments_can_be_read_back(module: Any, name: str) -> None:
    needed = {
        "target_size": [64, 80],
        "long_size": 90,
        "target_sizes": [32, [48, 64]],
        "short_sizes": [32, 48],
    }
    table = TABLES[module][name]
    given = {key: needed[key] for key, default in table.items() if default is NEEDED}
    operator = getattr(module, name)(**given)
    for key, default in table.items():
        value = getattr(operator, key)
        assert (list(value) if isinstance(value, tuple) else value) == given.get(key, default)
    (written,) = module.Compose([operator]).to_list()
    assert written == {operator.name: {key: given.get(key, default) for key, default in table.items()}}
