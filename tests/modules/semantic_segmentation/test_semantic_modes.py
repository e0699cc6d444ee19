"""Every mode of semantic segmentation through the engine, on the demo photos made small."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import paddlex
from paddlex.config import CONFIG_FOLDER
from paddlex.data.formats.index_mask import read_mask
from paddlex.engine import EXIT_FAILURE, EXIT_SUCCESS, run
from paddlex.utils.pdparams import read_pickle

CONFIG = CONFIG_FOLDER / "semantic_segmentation" / "FastSCNN.yaml"


def run_mode(output: Path, mode: str, **settings: object) -> int:
    options = {"Global.mode": mode, "Global.output": output, "Global.device": "cpu", **settings}
    return run(CONFIG, [f"{key}={value}" for key, value in options.items()])


def result(output: Path, mode: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((output / f"{mode}_result.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, nuts_labelme: Path) -> Path:
    """The demo photos, LabelMe form (the conversion works in place), and room for output."""
    folder = tmp_path_factory.mktemp("nuts 照片")
    shutil.copytree(nuts_labelme, folder / "dataset")
    settings = {"CheckDataset.convert.enable": True, "CheckDataset.convert.src_dataset_type": "LabelMe"}
    code = run_mode(
        folder / "output", "check_dataset", **{"Global.dataset_dir": folder / "dataset", **settings}
    )
    assert code == EXIT_SUCCESS
    return folder


def train(workspace: Path, **settings: object) -> int:
    return run_mode(
        workspace / "output",
        "train",
        **{
            "Global.dataset_dir": workspace / "dataset",
            "Train.epochs_iters": 5,
            "Train.eval_interval": 3,
            "Train.log_interval": 1,
            "Train.batch_size": 4,
            "Train.input_size": 64,
            "Train.short_side": 64,
            "Train.pretrain_weight_path": "none",
            "Train.use_mixed_loss": True,
            "Train.num_workers": 0,
            **settings,
        },
    )


@pytest.fixture(scope="module")
def trained(workspace: Path) -> Path:
    """The output folder after five iterations with an evaluation after the third."""
    assert train(workspace) == EXIT_SUCCESS
    return workspace / "output"


def test_check_dataset_converts_labelme_to_masks(workspace: Path) -> None:
    found = result(workspace / "output", "check_dataset")
    assert (found["done_flag"], found["check_pass"], found["dataset_type"]) == (True, True, "SegDataset")
    assert found["attributes"]["train_samples"] == 14
    assert found["attributes"]["num_classes"] == len(
        (workspace / "dataset" / "class_name.txt").read_text(encoding="utf-8").split()
    )


def test_train_leaves_the_layout_of_the_original_module(trained: Path) -> None:
    for name in ("iter_3", "iter_5", "best_model"):
        files = {path.name for path in (trained / name).iterdir() if path.is_file()}
        suffixes = ("pdparams", "pdopt", "pdstates", "info.json")
        assert files == {"model_info.json", *(f"model.{suffix}" for suffix in suffixes)}
    results = json.loads((trained / "train_results.json").read_text(encoding="utf-8"))
    assert results["done_flag"] is True and results["model_name"] == "FastSCNN"
    last = results["models"]["last_1"]
    assert last["pdparams"] == "iter_5/model.pdparams"
    assert last["inference_config"] == "iter_5/inference/inference.yml"
    fields = result(trained, "train")
    assert (fields["steps"], fields["epochs"]) == (5, 1)
    assert set(fields["models"]) == {"best_model", "iter_5"}
    assert (trained / "training_curve.png").stat().st_size > 1000


def test_the_best_model_has_the_largest_miou(trained: Path) -> None:
    states = read_pickle(trained / "best_model" / "model.pdstates")
    scores = {item["name"]: item["metrics"]["mIoU"] for item in states["history"]}
    assert states["metric"] == max(scores.values()) == result(trained, "train")["best_score"]


def test_train_says_what_it_decided(trained: Path) -> None:
    text = (trained / "train.log").read_text(encoding="utf-8")
    for said in (
        "training from scratch",
        "learning rate 0.0125: the recipe's 0.05 for 16 photos a step",
        "5 steps in 1.667 epochs",
        "14 training photos, 4 validation photos, ",
        "the network is built with use_mixed_loss=True",
        "first batch: image: float32 (4, 3, 64, 64)",
        "Iter: [5/5] learning_rate: ",
        "[EVAL] #Images: 4 mIoU: ",
    ):
        assert said in text, said


def test_a_run_goes_on_from_its_newest_checkpoint(trained: Path) -> None:
    copy = trained.parent / "resumed"
    shutil.copytree(trained, copy / "output")
    shutil.copytree(trained.parent / "dataset", copy / "dataset")
    settings = {"Train.resume_path": "auto", "Train.epochs_iters": 6}
    assert train(copy, **settings) == EXIT_SUCCESS
    lines = [json.loads(line) for line in (copy / "output" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "evaluation" not in line] == [0, 1, 2, 3, 4, 5]
    assert (copy / "output" / "iter_6" / "model.pdparams").is_file()


@pytest.fixture(scope="module")
def evaluated(trained: Path, workspace: Path) -> dict[str, Any]:
    weights = {"Evaluate.weight_path": trained / "best_model" / "model.pdparams"}
    settings = {"Global.dataset_dir": workspace / "dataset", "Evaluate.num_workers": 2, **weights}
    assert run_mode(workspace / "evaluated", "evaluate", **settings) == EXIT_SUCCESS
    return result(workspace / "evaluated", "evaluate")


def test_evaluate_repeats_what_training_measured(trained: Path, evaluated: dict[str, Any]) -> None:
    assert evaluated["metrics"] == pytest.approx(result(trained, "train")["metrics"], abs=1e-9)
    assert list(evaluated["metrics"]) == ["mIoU", "Acc", "Kappa", "Dice"]


def test_evaluate_writes_the_numbers_of_each_class(evaluated: dict[str, Any], workspace: Path) -> None:
    folder = workspace / "evaluated" / "evaluate"
    assert sorted(evaluated["files"]) == sorted(path.name for path in folder.iterdir())
    content = json.loads((folder / "per_class.json").read_text(encoding="utf-8"))
    ious = [row["IoU"] for row in content["per_class"]]
    counted = [1.0 if iou is None else iou for iou in ious]
    assert np.mean(counted) == pytest.approx(evaluated["metrics"]["mIoU"])
    confusion = np.array(content["confusion_matrix"])
    masks = [read_mask(path) for path in _val_masks(workspace)]
    assert confusion.sum() == sum((mask != 255).sum() for mask in masks)


def _val_masks(workspace: Path) -> list[Path]:
    lines = (workspace / "dataset" / "val.txt").read_text(encoding="utf-8").splitlines()
    return [workspace / "dataset" / line.split()[1] for line in lines]


@pytest.mark.onnx_export
def test_predictions_are_what_was_evaluated(
    trained: Path, workspace: Path, evaluated: dict[str, Any]
) -> None:
    """Pixels that prediction gets right on the validation photos are the accuracy that evaluation told."""
    model = paddlex.create_model(trained / "best_model" / "inference", device="cpu")
    lines = (workspace / "dataset" / "val.txt").read_text(encoding="utf-8").splitlines()
    right = counted = 0
    for line in lines:
        photo, mask = (workspace / "dataset" / name for name in line.split())
        (found,) = model.predict(str(photo))
        truth = read_mask(mask)
        right += int((found.label_map == truth).sum())
        counted += int((truth != 255).sum())
    assert right / counted == pytest.approx(evaluated["metrics"]["Acc"], abs=1e-4)


def test_export_then_predict_every_photo(trained: Path, workspace: Path) -> None:
    settings = {"Export.weight_path": trained / "best_model" / "model.pdparams"}
    assert run_mode(workspace / "exported", "export", **settings) == EXIT_SUCCESS
    assert result(workspace / "exported", "export")["done_flag"] is True
    output = workspace / "predicted"
    settings = {"Predict.model_dir": trained / "best_model" / "inference", "Predict.batch_size": 3}
    photos = workspace / "dataset" / "images"
    assert run_mode(output, "predict", **{"Predict.input": photos, **settings}) == EXIT_SUCCESS
    found = result(output, "predict")
    assert found["images"] == 18
    for pattern in ("nuts_*_res.json", "nuts_*_res.jpg", "nuts_*_mask.png"):
        assert len(list(output.glob(pattern))) == 18
    pixels = sum(read_mask(path).size for path in output.glob("nuts_*_mask.png"))
    assert sum(found["class_pixels"].values()) == pixels


@pytest.mark.onnx_export
def test_every_backend_finds_the_same(trained: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    photo = cv2.GaussianBlur(photo, (0, 0), 5)
    maps = {}
    for backend in ("onnx", "openvino", "paddle"):
        if backend == "openvino":
            pytest.importorskip("openvino")
        model = paddlex.create_model(trained / "best_model" / "inference", device="cpu", backend=backend)
        (found,) = model.predict(photo)
        maps[backend] = found.label_map
    assert (maps["onnx"] == maps["openvino"]).mean() > 0.999
    # This graph decides on the network's input: edges follow its pixels.
    assert (maps["onnx"] == maps["paddle"]).mean() > 0.9


def test_a_failed_mode_says_so(tmp_path: Path) -> None:
    assert run_mode(tmp_path, "train", **{"Global.dataset_dir": "/nowhere"}) == EXIT_FAILURE
    assert "/nowhere: no such folder" in result(tmp_path, "train")["err_msg"]
