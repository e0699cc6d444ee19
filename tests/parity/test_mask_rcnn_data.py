"""Photos, polygons and learning rates reach Mask R-CNN as they reached the published networks."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fill import image
from reference import Reference, find_references

from paddlex.data.transforms.base import build_batch_transforms, build_transforms
from paddlex.data.transforms.batch import collate
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.repo_apis.paddle_detection.suite import MODELS
from paddlex.repo_apis.recipe import Recipe
from paddlex.structures.sample import Sample
from paddlex.structures.shapes import InstanceShapes
from paddlex.training.schedules import LearningRate

_FILES = [
    *find_references("maskrcnn", model_prefix="MaskRCNN"),
    *find_references("maskrcnn", model_prefix="Cascade-MaskRCNN"),
]
_STEPS_PER_EPOCH = 1500

each_model = pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)


@lru_cache(maxsize=1)
def reference_of(file: Path) -> Reference:
    return Reference(file)


def recipe_of(reference: Reference) -> Recipe:
    return MODELS[reference.model].recipe


def photo_of(reference: Reference) -> np.ndarray:
    """The (H, W, 3) uint8 picture that stands for the decoded photo."""
    said = re.search(r"seed=(\d+), shape=\(([^)]*)\)", reference.info["input"]["uint8 image"])
    assert said is not None
    pixels = image(seed=int(said[1]), shape=tuple(map(int, said[2].split(","))))
    return np.round(pixels[0].transpose(1, 2, 0) * 255).astype(np.uint8)


@each_model
def test_evaluation_prepares_photos_alike(file: Path) -> None:
    reference = reference_of(file)
    prepared = Preprocessor(recipe_of(reference).deploy.preprocess)(photo_of(reference))
    values = {f"eval_{name}": array for name, array in prepared.items()}
    assert [fault for fault in reference.faults("pre", values) if "pre/eval" in fault] == []


@each_model
def test_training_prepares_photos_boxes_and_polygons_alike(file: Path) -> None:
    reference, arrays = reference_of(file), reference_of(file).inputs()
    photo = photo_of(reference)
    size = photo.shape[0], photo.shape[1]
    # One polygon was recorded; the other boxes have no shape here.
    boxes = arrays["pre_gt_bbox"].astype(np.float32)
    outlines = [[arrays["pre_gt_poly"]], *([[]] * (len(boxes) - 1))]
    sample = Sample(
        image=photo,
        image_id=0,
        path=Path(),
        original_size=size,
        boxes=boxes,
        class_ids=np.zeros(len(boxes), np.int64),
        masks=InstanceShapes.from_polygons(outlines, size=size),
    )
    rng = np.random.default_rng(0)
    recipe = recipe_of(reference)
    settled = [_without_chance(spec) for spec in recipe.sample_transforms]
    moved = build_transforms(settled)(sample, rng)
    batch = collate(build_batch_transforms(recipe.batch_transforms)([moved], rng))
    values = {
        "train_image": batch["image"][0],
        "train_gt_bbox": batch["gt_boxes"][0],
        "train_gt_poly": batch["gt_masks"][0].polygons[0][0].ravel(),
    }
    assert [fault for fault in reference.faults("pre", values) if "pre/train" in fault] == []


def _without_chance(spec: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The recorded choices: short side 640, flipped."""
    ((name, parameters),) = spec.items()
    chosen = {"RandomShortSideResize": {"short_sides": [640]}, "RandomFlip": {"prob": 1.0}}
    return {name: {**parameters, **chosen.get(name, {})}}


@each_model
def test_mask_targets_are_those_of_the_published_networks(file: Path) -> None:
    """The boxes are assigned here with the simplest means, so that only the targets are on trial."""
    reference, arrays = reference_of(file), reference_of(file).inputs()
    recorded = reference.checks("train")
    with np.load(file.with_suffix(".npz")) as stored:
        resolution = int(stored["train/mask_target/shape"][1])
    targets = []
    for number in range(len(arrays["im_shape"])):
        gt_boxes = arrays[f"gt_bbox{number}"]
        instances = [_polygons(arrays, f"gt_poly{number}_{index}_") for index in range(len(gt_boxes))]
        canvas = tuple(arrays["im_shape"][number].astype(int).tolist())
        shapes = InstanceShapes.from_polygons(instances, size=canvas)
        boxes = np.concatenate([arrays[f"rois{number}"], gt_boxes])
        overlap = _iou(boxes, gt_boxes)
        foreground = np.flatnonzero(overlap.max(axis=1) >= 0.5)[:128]
        owners = overlap.argmax(axis=1)[foreground]
        targets.append(shapes.roi_targets(owners, boxes[foreground], resolution=resolution))
    joined = np.concatenate(targets)
    values = {
        "mask_num": np.array([len(one) for one in targets]),
        "mask_target": joined,
        "mask_target_area": joined.sum(axis=(1, 2)),
    }
    assert set(values) <= set(recorded)
    assert [fault for fault in reference.faults("train", values) if "no value" not in fault] == []


def _polygons(arrays: dict[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    return [arrays[name] for name in sorted(arrays) if name.startswith(prefix)]


def _iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    lower = np.maximum(boxes[:, None, :2], others[None, :, :2])
    upper = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    overlap = (upper - lower).clip(min=0).prod(axis=2)
    areas = [(b[:, 2:] - b[:, :2]).prod(axis=1) for b in (boxes, others)]
    return overlap / (areas[0][:, None] + areas[1][None] - overlap)


@each_model
def test_learning_rate_follows_the_published_schedule(file: Path) -> None:
    reference, recipe = reference_of(file), recipe_of(reference_of(file))
    rate = LearningRate(
        base=recipe.learning_rate,
        total_steps=_STEPS_PER_EPOCH * recipe.epochs,
        decay=recipe.schedule.type,
        milestones=recipe.schedule.milestones,
        gamma=recipe.schedule.gamma,
        warmup_steps=recipe.warmup.steps or 0,
        warmup_start=recipe.warmup.start_factor,
    )
    values = {"lr": np.array([rate(int(step)) for step in reference.inputs()["lr_steps"]])}
    assert reference.faults("schedule", values) == []
