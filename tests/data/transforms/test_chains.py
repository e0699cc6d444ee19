"""Building chains from recipes: every fault is reported, with its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from samples import make_sample

import paddlex
from paddlex.data.transforms.base import build_batch_transforms, build_transforms
from paddlex.data.transforms.geometry import Resize
from paddlex.utils.errors import ConfigError

RECIPES = sorted((Path(paddlex.__file__).parent / "repo_apis").rglob("recipes/*.yaml"))


def test_build_applies_steps_in_order():
    chain = build_transforms([{"Resize": {"target_size": [20, 30]}}, {"Pad": {"size": [40, 40]}}])
    assert chain(make_sample(), np.random.default_rng(0)).size == (40, 40)
    assert chain.steps[0] == Resize(target_size=(20, 30))


def test_build_accepts_a_name_without_parameters():
    assert build_transforms([{"RandomFlip": None}]) == build_transforms([{"RandomFlip": {"prob": 0.5}}])


def test_build_batch_applies_sample_transforms_to_each_photo():
    chain = build_batch_transforms([{"BatchRandomResize": {"target_sizes": [32]}}, {"Permute": {}}])
    samples = chain([make_sample(), make_sample(seed=1)], np.random.default_rng(0))
    assert [sample.image.shape for sample in samples] == [(3, 32, 32)] * 2


def test_build_reports_all_faults_with_place_and_remedy():
    specs = [
        {"RandomFlipp": {}},
        {"RandomFlip": {"prob": 2}},
        {"Resize": {}},
        {"Resize": {"target": 3}},
        {"RandomFlip": {}},
        3,
        {"BatchRandomResize": {"target_sizes": [32]}},
        {"Resize": {"target_size": "640"}},
    ]
    with pytest.raises(ConfigError) as caught:
        build_transforms(specs, where="Train.sample_transforms")
    place = "Train.sample_transforms"
    assert caught.value.problems[:5] == [
        f"{place}[0]: unknown transform 'RandomFlipp'; did you mean RandomFlip?",
        f"{place}[1].RandomFlip.prob: found 2, expected a number from 0 to 1",
        f"{place}[2].Resize.target_size: missing; this transform needs it",
        f"{place}[3].Resize.target: unknown parameter; did you mean target_size?",
        f"{place}[5]: found 3, expected one {{Name: {{parameters}}}}",
    ]
    assert caught.value.problems[5].startswith(f"{place}[6]: unknown transform 'BatchRandomResize'")
    assert (
        caught.value.problems[6]
        == f"{place}[7].Resize.target_size: found '640', expected [height, width] in pixels"
    )


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_builds(recipe):
    content = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    build_transforms(content.get("sample_transforms", []))
    build_batch_transforms(content.get("batch_transforms", []))
