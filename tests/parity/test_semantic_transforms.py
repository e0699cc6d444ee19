"""Transforms of PaddleX 2 and the way back to the photo give the published numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from semantic_common import each_common, logits_of, numbers_in, photo_of, reference_of

from paddlex import transforms, visualize_seg
from paddlex.data.transforms.base import build_transforms
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.det import transforms as det
from paddlex.seg import transforms as seg
from paddlex.structures.moves import restore_labels, restore_logits
from paddlex.structures.sample import Sample
from paddlex.structures.shapes import InstanceShapes
from paddlex.utils.palette import voc_colors

_BOXES = np.array([[10, 12, 60, 50], [3, 70, 140, 96]], dtype=np.float32)
_POLYGONS = [[[10, 12, 60, 12, 60, 50]], [[3, 70, 140, 70, 140, 96, 3, 96]]]

_PX2 = {name: getattr(transforms, name) for name in transforms.__all__}


def _transforms_of(written: str) -> Any:
    """The chain that a fixture writes as `[Operator(...), ...]` or `Operator(...)`, in names of PaddleX 2."""
    found = eval(written, {"__builtins__": {}}, _PX2)
    cores = [operator.core() for operator in (found if isinstance(found, list) else [found])]
    return build_transforms([{name: settings} for name, settings in cores])


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
    chain = _transforms_of(reference.info["input"]["transform_ops"][name])
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
    moved = chain(whole, np.random.default_rng(0))
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
        "seg": visualize_seg(bgr, {"label_map": label_map}, weight=0.6, save_dir=None),
    }
    assert reference.faults("visualize", values) == []


@each_common
def test_transforms_of_paddlex_1_give_the_published_numbers(file: Path) -> None:
    """It resizes float32: normalised RGB, padded with zeros, for detection; BGR for segmentation."""
    reference = reference_of(file)
    bgr, _ = photo_of(reference)
    chains = {
        "det_eval": det.Compose([det.Normalize(), det.ResizeByShort(80, 110), det.Padding(32)]),
        "det_resize": det.Compose([det.Normalize(), det.Resize([90, 70], interp="CUBIC")]),
        "seg_eval": seg.Compose([seg.ResizeByLong(120), seg.Padding([128, 96]), seg.Normalize()]),
    }
    values = {}
    for name, chain in chains.items():
        pixels = np.ascontiguousarray(bgr[:, :, ::-1])
        photo = Sample(image=pixels, image_id=0, path=Path(), original_size=bgr.shape[:2])
        moved = chain.sample_chain()(photo, np.random.default_rng(0))
        values[f"{name}/image"] = moved.image.transpose(1, 2, 0)
        prepared = Preprocessor(chain.operations()).prepare(pixels)
        np.testing.assert_array_equal(prepared.image, moved.image)
        if name == "det_eval":
            scale = moved.content_size[1] / bgr.shape[1]
            values[f"{name}/im_resize_info"] = np.array([*moved.content_size, scale])
    assert reference.faults("px1", values) == []
