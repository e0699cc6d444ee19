"""The command line from end to end, in process, on the demo photos: what a newcomer does, made small."""

from __future__ import annotations

import importlib.util
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from paddlex.cli import main

CONFIG = "paddlex/configs/instance_segmentation/Mask-RT-DETR-S.yaml"


def _result(output: Path, mode: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((output / f"{mode}_result.json").read_text(encoding="utf-8"))
    return content


def _run(output: Path, mode: str, *overrides: str) -> int:
    options = [f"Global.mode={mode}", f"Global.output={output}", "Global.device=cpu", *overrides]
    return main(["-c", CONFIG, *(part for option in options for part in ("-o", option))])


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, nuts_labelme: Path) -> Path:
    """A copy of the demo photos (the conversion works in place) and room for output."""
    folder = tmp_path_factory.mktemp("nuts 照片")
    shutil.copytree(nuts_labelme, folder / "dataset")
    return folder


@pytest.fixture(scope="module")
def trained(workspace: Path) -> Path:
    """The output folder after check_dataset and a training of one short epoch."""
    output, data = workspace / "output", f"Global.dataset_dir={workspace / 'dataset'}"
    convert = ["CheckDataset.convert.enable=True", "CheckDataset.convert.src_dataset_type=LabelMe"]
    assert _run(output, "check_dataset", data, *convert) == 0
    code = _run(
        output,
        "train",
        data,
        "Train.epochs_iters=1",
        "Train.batch_size=7",
        "Train.input_size=64",
        "Train.pretrain_weight_path=scratch",
        "Train.num_workers=0",
        "Evaluate.num_workers=0",
    )
    assert code == 0
    return output


def test_training_in_two_processes_records_one_failure(tmp_path: Path) -> None:
    # What every card needs and is not there: each process ends, the main one says why.
    assert _run(tmp_path, "train", "Global.device=cpu:0,1", "Global.dataset_dir=/nowhere") == 1
    result = _result(tmp_path, "train")
    assert result["done_flag"] is False
    assert "/nowhere" in result["err_msg"]
    assert "/nowhere" in (tmp_path / "train_card_1.log").read_text(encoding="utf-8")


def test_check_dataset_converts_and_passes(trained: Path) -> None:
    result = _result(trained, "check_dataset")
    assert list(result)[:2] == ["done_flag", "check_pass"]
    assert (result["done_flag"], result["check_pass"]) == (True, True)
    assert result["attributes"]["train_samples"] == 14
    assert (trained / "check_dataset" / "histogram.png").stat().st_size > 1000


def test_train_leaves_weights_logs_and_an_inference_folder(trained: Path) -> None:
    assert _result(trained, "train")["done_flag"] is True
    for name in ("best_model.pdparams", "best_model.pdema", "best_model.pdopt", "best_model.pdstates"):
        assert (trained / "best_model" / name).stat().st_size > 0
    graphs = ["inference.json", "inference.pdiparams", "inference.yml"]
    if importlib.util.find_spec("paddle2onnx"):
        graphs.append("inference.onnx")
    for name in graphs:
        assert (trained / "best_model" / "inference" / name).stat().st_size > 0
    assert (trained / "train.log").stat().st_size > 0
    assert (trained / "config.yaml").stat().st_size > 0


def test_evaluate_reports_average_precision(trained: Path, workspace: Path) -> None:
    weights = f"Evaluate.weight_path={trained / 'best_model' / 'best_model.pdparams'}"
    code = _run(
        trained, "evaluate", f"Global.dataset_dir={workspace / 'dataset'}", weights, "Evaluate.batch_size=3"
    )
    assert code == 0
    assert 0 <= _result(trained, "evaluate")["metrics"]["AP"] <= 1


def test_export_then_predict_every_photo(trained: Path, workspace: Path) -> None:
    weights = f"Export.weight_path={trained / 'best_model' / 'best_model.pdparams'}"
    assert _run(workspace / "exported", "export", weights) == 0
    assert _result(workspace / "exported", "export")["done_flag"] is True

    output = workspace / "predicted"
    model = f"Predict.model_dir={trained / 'best_model' / 'inference'}"
    photos = f"Predict.input={workspace / 'dataset' / 'images'}"
    assert _run(output, "predict", model, photos, "Predict.threshold=0.0", "Predict.batch_size=4") == 0
    assert _result(output, "predict")["done_flag"] is True
    assert len(list(output.glob("nuts_*_res.json"))) == 18
    assert len(list(output.glob("nuts_*_res.jpg"))) == 18


def test_a_failed_mode_says_so_in_json_and_exit_code(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _run(tmp_path, "check_dataset", "Global.dataset_dir=/nowhere") == 1
    result = _result(tmp_path, "check_dataset")
    assert result["done_flag"] is False
    assert result["err_type"].startswith("<class 'paddlex.utils.errors.")
    assert "/nowhere" in result["err_msg"]
    assert "Traceback" not in capfd.readouterr().err


def test_a_stale_result_does_not_survive(tmp_path: Path) -> None:
    (tmp_path / "check_dataset_result.json").write_text('{"done_flag": true}')
    assert _run(tmp_path, "check_dataset", "Global.dataset_dir=/nowhere") == 1
    assert _result(tmp_path, "check_dataset")["done_flag"] is False


def test_configuration_errors_are_recorded_too(tmp_path: Path) -> None:
    assert _run(tmp_path, "train", "Train.epoch_iters=3") == 1
    assert "did you mean epochs_iters?" in _result(tmp_path, "train")["err_msg"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "no/such/file.yaml"],
        ["-c", CONFIG, "-o", "nonsense"],
        [],
        ["-c", CONFIG, "-o", "Global.model=Mask-RT-DETR-Z", "-o", "Global.output={tmp}"],
    ],
    ids=["missing file", "override without value", "nothing", "unknown model"],
)
def test_misuse_exits_with_two(arguments: list[str], tmp_path: Path) -> None:
    assert main([part.format(tmp=tmp_path) for part in arguments]) == 2


def test_models_prints_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    from paddlex.modules.zoo import ALL_MODELS

    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ALL_MODELS)


def test_help_teaches_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    printed = capsys.readouterr().out
    assert "Global.mode=check_dataset" in printed
    assert "Predict.input=" in printed
    assert "configs/semantic_segmentation/" in printed


def test_keys_that_mean_nothing_to_a_task_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("paddlex"), "propagate", True)
    assert _run(tmp_path, "train", "Global.dataset_dir=/nowhere", "Train.short_side=96") == 1
    assert "Train.short_side: no effect in instance segmentation; left alone" in caplog.text
