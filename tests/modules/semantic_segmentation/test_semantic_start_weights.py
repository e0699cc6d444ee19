"""Published weights by the names of their benchmarks, with the network that they need."""

from __future__ import annotations

import dataclasses
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from tiny_semantic import NAMES, write_tiny_semantic

from paddlex.modules.model_info import read_model_info
from paddlex.modules.semantic_segmentation.class_names import SEMANTIC_CLASSES
from paddlex.modules.semantic_segmentation.trainer import SEMANTIC_TRAINING
from paddlex.modules.start_weights import StartWeights, find_start_weights
from paddlex.modules.trained_network import load_trained_network
from paddlex.modules.training_run import run_training
from paddlex.repo_apis.paddle_seg.suite import MODELS
from paddlex.repo_apis.pretrained import PretrainedWeights
from paddlex.repo_apis.spec import ModelSpec
from paddlex.training.options import TrainOptions
from paddlex.utils.download import cached_path
from paddlex.utils.errors import WeightsError

HOST = "http://weights.example"


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    """FastSCNN with weights of 19 classes and, as an archive, of some layers; both already downloaded."""
    monkeypatch.setenv("PADDLE_PDX_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PADDLE_PDX_OFFLINE", "1")
    whole, archive = f"{HOST}/whole/model.pdparams", f"{HOST}/backbone.tar.gz"
    for url in (whole, archive):
        cached_path(url).parent.mkdir(parents=True, exist_ok=True)
    paddle.seed(1)
    network = MODELS["FastSCNN"].build(num_classes=19, align_corners=True)
    paddle.save(network.state_dict(), str(cached_path(whole)))
    paddle.save({"conv_bn_relu._conv.bias": np.ones(32, np.float32)}, str(tmp_path / "model.pdparams"))
    with tarfile.open(cached_path(archive), "w:gz") as file:
        file.add(tmp_path / "model.pdparams", arcname="some/model.pdparams")
    weights = {
        "CITYSCAPES": PretrainedWeights(url=whole, network={"align_corners": True}),
        "IMAGENET": PretrainedWeights(url=archive, part="backbone"),
    }
    return dataclasses.replace(MODELS["FastSCNN"], pretrained=weights)


@pytest.mark.parametrize("wanted", [None, "CITYSCAPES", "cityscapes"])
def test_the_whole_network_brings_what_it_was_built_with(spec: ModelSpec, wanted: str | None) -> None:
    start = find_start_weights(wanted, spec)
    assert len(start.arrays) == 246 and start.network == {"align_corners": True}


def test_an_archive_is_unpacked(spec: ModelSpec) -> None:
    start = find_start_weights("IMAGENET", spec)
    assert list(start.arrays) == ["conv_bn_relu._conv.bias"] and start.network == {}


def test_none_is_from_scratch(spec: ModelSpec) -> None:
    assert find_start_weights("none", spec) == StartWeights(from_scratch=True)


def test_an_unknown_name_lists_those_of_the_model(spec: ModelSpec) -> None:
    with pytest.raises(WeightsError, match=r"no weights of FastSCNN .* one of CITYSCAPES, IMAGENET, scratch"):
        find_start_weights("PascalVOC", spec)


def test_every_model_starts_from_what_is_published_for_it() -> None:
    assert list(MODELS["DeepLabV3P-ResNet50_vd"].start_weights) == ["CITYSCAPES", "PascalVOC", "IMAGENET"]
    assert MODELS["UNet-deconv"].start_weights == {}


def test_a_trained_network_is_built_again_as_its_start_weights_needed_it(
    spec: ModelSpec, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"batch_size": 2, "input_size": 64, "num_workers": 0, "device": "cpu"}
    run_training(
        SEMANTIC_TRAINING,
        spec=spec,
        dataset_dir=write_tiny_semantic(tmp_path / "tiny"),
        output_dir=tmp_path / "output",
        options=TrainOptions(iterations=1, **options),
        config_text="",
    )
    weights = tmp_path / "output" / "best_model" / "model.pdparams"
    info = read_model_info(weights)
    assert info is not None and info.network == {"align_corners": True}
    trained = load_trained_network(spec, weight_path=weights, classes=SEMANTIC_CLASSES)
    assert trained.network.align_corners is True and trained.class_names == NAMES
    log = (tmp_path / "output" / "train.log").read_text(encoding="utf-8")
    assert "classifier.conv.weight [19, 128, 1, 1] in the file, [3, 128, 1, 1] here" in log
