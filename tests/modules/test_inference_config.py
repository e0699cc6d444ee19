"""`inference.yml` is what official PaddleX writes, key by key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paddlex.inference.folder import read_model_folder
from paddlex.modules.inference_config import inference_config, preprocess_operations, write_inference_config
from paddlex.repo_apis.paddle_detection.suite import MODELS

GOLDEN = Path(__file__).parents[1] / "parity" / "engine"
ALL_GOLDEN = json.loads((GOLDEN / "inference_yml.json").read_text(encoding="utf-8"))
GOLDEN_NAMES = ["person", "bottle", "__ignore__", "chair", "sofa", "bus", "car"]


@pytest.mark.parametrize("name", ["Mask-RT-DETR-L", "MaskRCNN-ResNet50-FPN"])
def test_the_file_equals_the_official_one(tmp_path: Path, name: str) -> None:
    size = MODELS[name].recipe.input_size
    path = write_inference_config(
        tmp_path, inference_config(MODELS[name], class_names=GOLDEN_NAMES, input_size=size)
    )
    golden = (GOLDEN / f"inference_{name}.yml").read_text(encoding="utf-8")
    assert path.read_text(encoding="utf-8") == golden


@pytest.mark.parametrize("name", ALL_GOLDEN)
def test_every_model_has_the_official_settings(name: str) -> None:
    config = inference_config(MODELS[name], class_names=GOLDEN_NAMES, input_size=None)
    golden = dict(ALL_GOLDEN[name])
    assert list(config) == golden.pop("_key_order")
    assert config == golden


def test_the_target_size_follows_the_input_size() -> None:
    operations = preprocess_operations(MODELS["Mask-RT-DETR-S"], input_size=(96, 128))
    assert operations[0]["target_size"] == [96, 128]
    assert MODELS["Mask-RT-DETR-S"].recipe.deploy.preprocess[0]["target_size"] == [640, 640]


def test_names_in_any_script_stay_readable_and_are_read_back(tmp_path: Path) -> None:
    names = ["螺母", "écrou", "yes", "1", "a: b"]
    write_inference_config(
        tmp_path, inference_config(MODELS["Mask-RT-DETR-S"], class_names=names, input_size=(96, 96))
    )
    (tmp_path / "inference.onnx").touch()
    assert "- 螺母" in (tmp_path / "inference.yml").read_text(encoding="utf-8")
    assert read_model_folder(tmp_path).class_names == tuple(names)
