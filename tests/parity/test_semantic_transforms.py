"""Transforms of PaddleX 2 and the way back to the photo give the published numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from semantic_common import each_common, logits_of, numbers_in, photo_of, reference_of

from paddlex.data.transforms.base import build_transforms
from paddlex.structures.moves import restore_labels, restore_logits
from paddlex.structures.sample import Sample
from paddlex.structures.shapes import InstanceShapes
from paddlex.utils.draw_labels import blend_label_map
from paddlex.utils.palette import voc_colors

_INTERP = {"NEAREST": 0, "LINEAR": 1, "CUBIC": 2, "AREA": 3, "LANCZOS4": 4}
_BOXES = np.array([[10, 12, 60, 50], [3, 70, 140, 96]], dtype=np.float32)
_POLYGONS = [[[10, 12, 60, 12, 60, 50]], [[3, 70, 140, 70, 140, 96, 3, 96]]]

Spec = dict[str, dict[str, Any]]


def _pair(size: Any) -> Any:
    return [size, size] if isinstance(size, int) else size


def _resize(target_size: Any, interp: str = "LINEAR", keep_ratio: bool = False) -> Spec:
    settings = {"target_size": _pair(target_size), "interp": _INTERP[interp], "keep_ratio": keep_ratio}
    return {"Resize": {**settings, "swap_sides": False}}


def _padding(target_size: Any = None, **settings: Any) -> Spec:
    return {"Padding": {"target_size": _pair(target_size), **settings}}


def _normalize(mean: Any = (0.485, 0.456, 0.406), std: Any = (0.229, 0.224, 0.225), **levels: Any) -> Spec:
    return {"NormalizeImage": {"mean": mean, "std": std, **levels}}


def _by_short(short_size: int = 256, max_size: int = -1) -> Spec:
    return {"ResizeByShort": {"short_size": short_size, "max_size": max_size}}


# The operators of PaddleX 2, with its names and defaults, in terms of ours.
_OPERATORS = {
    "Resize": _resize,
    "ResizeByShort": _by_short,
    "ResizeByLong": lambda long_size=256: {"ResizeByLong": {"long_size": long_size}},
    "RandomHorizontalFlip": lambda prob=0.5: {"RandomFlip": {"prob": prob}},
    "RandomVerticalFlip": lambda prob=0.5: {"RandomFlip": {"prob": prob, "direction": "vertical"}},
    "CenterCrop": lambda crop_size=224: {"CenterCrop": {"crop_size": crop_size}},
    "Padding": _padding,
    "Normalize": _normalize,
}


def _transforms_of(written: str) -> Any:
    """The chain that a fixture writes as `[Operator(...), ...]` or `Operator(...)`."""
    found = eval(written, {"__builtins__": {}}, _OPERATORS)
    specs = [found] if isinstance(found, dict) else found
    return build_transforms([{name: _listed(settings)} for spec in specs for name, settings in spec.items()])


def _listed(settings: dict[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()}


def _operators() -> list[Any]:
    return [
        pytest.param(file, name, id=f"{file.stem}-{name}")
        for file in each_common.args[1]
        for name in reference_of(file).info["input"]["transform_ops"]
    ]


@pytest.mark.parametrize(("file", "name"), _operators())
def test_transforms_give_the_published_samples(file: Path, name: str) -> None:
    reference = reference_of(file)
    pixels, label_map = photo_of(reference)
    size = label_map.shape
    transforms = _transforms_of(reference.info["input"]["transform_ops"][name])
    whole = Sample(
        image=np.ascontiguousarray(pixels[:, :, ::-1]),
        image_id=0,
        path=Path(),
        original_size=size,
        boxes=_BOXES,
        class_ids=np.array([0, 1]),
        masks=InstanceShapes.from_polygons(_POLYGONS, size=size),
        label_map=label_map,
    )
    moved = transforms(whole, np.random.default_rng(0))
    # PaddleX 2 crops image and mask alone and leaves outlines where they were; ours go with the pixels.
    outlines = whole if name == "CenterCrop" else moved
    values = {
        "image": moved.image,
        "mask": moved.label_map,
        "bbox": outlines.boxes,
        "poly": np.concatenate([part.ravel() for parts in outlines.masks.polygons for part in parts]),
        "scale_factor": np.array(moved.scale_factor),
    }
    named = {f"{name}/{field}": value for field, value in values.items()}
    assert reference.faults(f"transform/{name}", named) == []


@each_common
def test_predictions_come_back_to_the_photo(file: Path) -> None:
    reference = reference_of(file)
    logits = logits_of(reference)[0]
    said = next(
        check["what"] for check in reference.checks("restore").values() if "original" in check["what"]
    )
    size = numbers_in(re.search(r"original (\d+x\d+)", said)[1])
    photo = Sample(image=np.zeros((*size, 3), np.uint8), image_id=0, path=Path(), original_size=size)
    values = {}
    for name, chain in re.findall(r"(\w+)=(\[.*?\])(?=;)", reference.info["input"]["restore"]):
        moves = _transforms_of(chain)(photo, np.random.default_rng(0)).moves
        values[f"{name}_logit"] = restore_logits(logits, moves)[None]
        values[f"{name}_label"] = restore_labels(logits.argmax(axis=0).astype(np.int32), moves)[None, None]
    assert reference.faults("restore", values) == []


@each_common
def test_label_maps_are_drawn_in_the_published_colours(file: Path) -> None:
    """PaddleX 2 applies the table to B, G, R in its order."""
    reference = reference_of(file)
    bgr, label_map = photo_of(reference)
    values = {
        "color_map": voc_colors(),
        "seg": blend_label_map(bgr, label_map, colors=voc_colors(), weight=0.6),
    }
    assert reference.faults("visualize", values) == []


@each_common
def test_our_operators_serve_paddlex_1_too(file: Path) -> None:
    """It resizes float32: normalised RGB, padded with zeros, for detection; BGR for segmentation."""
    reference = reference_of(file)
    bgr, _ = photo_of(reference)
    half, imagenet = {"mean": [0.5] * 3, "std": [0.5] * 3}, _normalize()
    chains = {
        "det_eval": ("rgb", [imagenet, _by_short(80, 110), {"PadStride": {"stride": 32}}]),
        "det_resize": ("rgb", [imagenet, _resize([70, 90], "CUBIC")]),
        "seg_eval": ("bgr", [_OPERATORS["ResizeByLong"](120), _padding([96, 128]), _normalize(**half)]),
    }
    values = {}
    for name, (order, specs) in chains.items():
        pixels = np.ascontiguousarray(bgr[:, :, ::-1]) if order == "rgb" else bgr
        photo = Sample(image=pixels.astype(np.float32), image_id=0, path=Path(), original_size=bgr.shape[:2])
        specs = [{key: _listed(settings) for key, settings in spec.items()} for spec in specs]
        moved = build_transforms(specs)(photo, np.random.default_rng(0))
        values[f"{name}/image"] = moved.image
        if name == "det_eval":
            scale = moved.content_size[1] / bgr.shape[1]
            values[f"{name}/im_resize_info"] = np.array([*moved.content_size, scale])
    assert reference.faults("px1", values) == []
