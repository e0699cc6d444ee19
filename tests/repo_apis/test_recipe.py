"""Recipes: what the YAML files may leave out, and what builders are told of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from paddlex.repo_apis.paddle_detection.suite import MODELS
from paddlex.repo_apis.recipe import read_recipe

RECIPE = {
    "epochs": 12,
    "learning_rate": 0.01,
    "reference_batch": 8,
    "batch_size": 1,
    "input_size": [800, 1333],
    "optimizer": {"type": "momentum", "weight_decay": 0.0001},
    "schedule": {"type": "piecewise", "milestones": [0.5, 0.75]},
    "warmup": {"steps": 1000},
    "ema": None,
    "sample_transforms": [{"RandomFlip": {}}],
    "batch_transforms": [],
    "deploy": {"arch": "RCNN", "min_subgraph_size": 40, "use_dynamic_shape": True, "preprocess": []},
    "network": {"width": 3},
}


def build_nothing(**options: Any) -> Any:
    """Stands for a builder: shows what it was given."""
    return options


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**RECIPE, **changes}), encoding="utf-8")
    return path


def test_a_recipe_stretches_photos_and_trains_on_dense_masks_unless_it_says_otherwise(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path))
    assert (recipe.input_size, recipe.keep_ratio, recipe.masks) == ((800, 1333), False, "dense")
    (tmp_path / "other").mkdir()
    recipe = read_recipe(written(tmp_path / "other", keep_ratio=True, masks="shapes"))
    assert (recipe.keep_ratio, recipe.masks) == (True, "shapes")


@pytest.mark.parametrize(("keep_ratio", "told"), [(False, {"eval_size": (64, 96)}), (True, {})])
def test_builders_are_told_the_size_only_where_it_is_fixed(
    tmp_path: Path, keep_ratio: bool, told: dict[str, Any]
) -> None:
    spec = dataclasses.replace(
        MODELS["Mask-RT-DETR-S"],
        builder="test_recipe:build_nothing",
        recipe_file=written(tmp_path, keep_ratio=keep_ratio),
    )
    given = spec.build(num_classes=2, eval_size=(64, 96), depth=5)
    assert given == {"num_classes": 2, "width": 3, "depth": 5, **told}
    assert "eval_size" not in spec.build(num_classes=2)


@pytest.mark.parametrize("name", MODELS)
def test_every_shipped_recipe_resizes_as_its_deployment_does(name: str) -> None:
    recipe = MODELS[name].recipe
    (resize,) = (step for step in recipe.deploy.preprocess if step["type"] == "Resize")
    assert tuple(resize["target_size"]) == recipe.input_size
    assert resize["keep_ratio"] is recipe.keep_ratio
