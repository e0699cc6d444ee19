"""Mode prune and what comes after it, through the engine, on a tiny data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from tiny_semantic import NAMES, write_tiny_semantic

import paddlex
from paddlex.config import CONFIG_FOLDER
from paddlex.engine import EXIT_FAILURE, EXIT_SUCCESS, run
from paddlex.modules.model_info import ModelInfo, write_model_info
from paddlex.repo_apis.paddle_seg.suite import MODELS
from paddlex.utils.pdparams import read_pdparams

SPEC = MODELS["FastSCNN"]
CONFIG = CONFIG_FOLDER / "semantic_segmentation" / "FastSCNN.yaml"


def run_mode(output: Path, mode: str, **settings: object) -> int:
    options = {
        "Global.mode": mode,
        "Global.output": output,
        "Global.device": "cpu",
        "Global.dataset_dir": output.parent / "dataset",
        **settings,
    }
    return run(CONFIG, [f"{key}={value}" for key, value in options.items()])


def result(output: Path, mode: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((output / f"{mode}_result.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set, and weights that nobody trained."""
    folder = tmp_path_factory.mktemp("work")
    write_tiny_semantic(folder / "dataset")
    paddle.seed(0)
    network = SPEC.build(num_classes=3)
    network.train()
    with paddle.no_grad():
        network.heads(paddle.randn([2, 3, 64, 96]))  # statistics of normalisations
    (folder / "full").mkdir()
    paddle.save(network.state_dict(), str(folder / "full" / "model.pdparams"))
    info = ModelInfo(
        model_name=SPEC.name, class_names=NAMES, category_ids=(0, 1, 2), input_size=(64, 96), short_side=32
    )
    write_model_info(folder / "full" / "model.pdparams", info)
    return folder


def prune(workspace: Path, output: str, **settings: object) -> int:
    return run_mode(
        workspace / output,
        "prune",
        **{
            "Prune.weight_path": workspace / "full" / "model.pdparams",
            "Prune.pruned_flops": 0.5,
            "Prune.photos": 1,
            "Prune.num_workers": 0,
            **settings,
        },
    )


@pytest.fixture(scope="module")
def pruned(workspace: Path) -> Path:
    """The output folder."""
    assert prune(workspace, "output") == EXIT_SUCCESS
    return workspace / "output"


def test_prune_says_what_went_and_what_it_cost(pruned: Path) -> None:
    found = result(pruned, "prune")
    assert found["done_flag"] is True and found["criterion"] == "l1_norm"
    assert found["pruned_flops"] == pytest.approx(0.5, abs=0.03)
    assert found["flops_after"] / found["flops_before"] == pytest.approx(1 - found["pruned_flops"], abs=1e-3)
    assert found["parameters_after"] < found["parameters_before"]
    assert list(found["metrics_before"]) == list(found["metrics_after"]) == ["mIoU", "Acc", "Kappa", "Dice"]
    assert len(found["ratios"]) == 24 and max(found["ratios"].values()) <= 0.9
    assert {path.name for path in pruned.iterdir()} == {
        "prune_result.json",
        "pruned",
        "sensitivities.json",
        "sensitivities.png",
    }


def test_prune_keeps_what_came_with_the_weights(pruned: Path, workspace: Path) -> None:
    before, after = (
        json.loads((folder / "model_info.json").read_text(encoding="utf-8"))
        for folder in (workspace / "full", pruned / "pruned")
    )
    channels = after.pop("network")["channels"]
    assert after == before
    weights = read_pdparams(pruned / "pruned" / "model.pdparams")
    for name, shape in channels.items():
        assert all(size in (None, length) for size, length in zip(shape, weights[name].shape, strict=True))
    assert weights["classifier.conv.weight"].shape[0] == 3


def test_a_rerun_measures_nothing_again(pruned: Path, workspace: Path) -> None:
    file = pruned / "sensitivities.json"
    before = file.stat().st_mtime_ns
    settings = {"Prune.sensitivity_file": file, "Prune.pruned_flops": 0.3}
    assert prune(workspace, "again", **settings) == EXIT_SUCCESS
    assert result(workspace / "again", "prune")["pruned_flops"] == pytest.approx(0.3, abs=0.03)
    assert file.stat().st_mtime_ns == before
    assert prune(workspace, "again", **settings, **{"Prune.criterion": "fpgm"}) == EXIT_FAILURE
    assert "of another criterion than the present" in result(workspace / "again", "prune")["err_msg"]


def test_what_is_pruned_is_not_pruned_again(pruned: Path, workspace: Path) -> None:
    settings = {"Prune.weight_path": pruned / "pruned" / "model.pdparams"}
    assert prune(workspace, "twice", **settings) == EXIT_FAILURE
    assert "the network is pruned already" in result(workspace / "twice", "prune")["err_msg"]


def test_pruned_weights_are_evaluated(pruned: Path, workspace: Path) -> None:
    settings = {"Evaluate.weight_path": pruned / "pruned" / "model.pdparams", "Evaluate.num_workers": 0}
    assert run_mode(workspace / "evaluated", "evaluate", **settings) == EXIT_SUCCESS
    metrics = result(workspace / "evaluated", "evaluate")["metrics"]
    assert metrics == pytest.approx(result(pruned, "prune")["metrics_after"], abs=1e-9)


@pytest.fixture(scope="module")
def retrained(pruned: Path, workspace: Path) -> Path:
    """The output folder of two iterations from pruned weights, and a third one after a resumption."""
    output = workspace / "retrained"
    settings = {
        "Train.pretrain_weight_path": pruned / "pruned" / "model.pdparams",
        "Train.batch_size": 2,
        "Train.input_size": 64,
        "Train.short_side": 64,
        "Train.eval_interval": 5,
        "Train.num_workers": 0,
    }
    assert run_mode(output, "train", **settings, **{"Train.epochs_iters": 2}) == EXIT_SUCCESS
    resumed = {"Train.resume_path": "auto", "Train.epochs_iters": 3}
    assert run_mode(output, "train", **{**settings, **resumed}) == EXIT_SUCCESS
    return output


def test_training_goes_on_in_pruned_form(retrained: Path, pruned: Path) -> None:
    assert result(retrained, "train")["steps"] == 3
    before = read_pdparams(pruned / "pruned" / "model.pdparams")
    after = read_pdparams(retrained / "iter_3" / "model.pdparams")
    assert {name: value.shape for name, value in after.items()} == {
        name: value.shape for name, value in before.items()
    }
    name = "learning_to_downsample.conv_bn_relu._conv.weight"
    difference = np.abs(after[name] - before[name]).max()
    assert 0 < difference < 0.5 * np.abs(before[name]).max()


@pytest.mark.onnx_export
def test_what_was_retrained_is_exported_and_predicts(retrained: Path, pruned: Path, workspace: Path) -> None:
    assert result(retrained, "train")["models"]["iter_3"]["inference"] is not None
    model = paddlex.create_model(retrained / "iter_3" / "inference", device="cpu")
    (found,) = model.predict(str(workspace / "dataset" / "images" / "photo0.png"))
    assert found.label_map.shape == (32, 48)
    settings = {"Export.weight_path": pruned / "pruned" / "model.pdparams"}
    assert run_mode(pruned / "pruned" / "inference", "export", **settings) == EXIT_SUCCESS
    assert (pruned / "pruned" / "inference" / "inference.onnx").is_file()
