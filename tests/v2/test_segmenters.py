"""Segmenters of PaddleX 2: trained, saved, loaded, resumed, scored, asked, exported."""

from __future__ import annotations

import json
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import yaml
from v2.conftest import pixel_sets

import paddlex as pdx
from paddlex.modules.semantic_segmentation.evaluator import evaluate
from paddlex.modules.zoo import find_model
from paddlex.seg import BiSeNetV2, DeepLabV3P, FastSCNN, HRNet, UNet
from paddlex.utils.errors import ConfigError, DownloadError, InputError, UsageError, WeightsError
from paddlex.utils.pdparams import read_pdparams
from paddlex.v2.early_stop import has_stalled

METRICS = ["miou", "category_iou", "oacc", "category_acc", "kappa", "category_F1-score"]


def train(data: Path, save_dir: Path, *, epochs: int = 2, **options: Any) -> FastSCNN:
    train_set, val_set = pixel_sets(data)
    model = options.pop("model", None) or FastSCNN(num_classes=3)
    options = {"pretrain_weights": None, "learning_rate": 0.05, "use_vdl": False, **options}
    options.setdefault("eval_dataset", val_set)
    model.train(epochs, train_set, 2, save_dir=str(save_dir), **options)
    return model


@pytest.fixture(scope="module")
def run(pixel_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FastSCNN, Path]:
    folder = tmp_path_factory.mktemp("run") / "output"
    paddle.seed(1)
    return train(pixel_data, folder), folder


# ---------------------------------------------------------------- constructors


@pytest.mark.parametrize(
    ("kind", "arguments", "model", "options"),
    [
        (DeepLabV3P, {}, "DeepLabV3P-ResNet50_vd", {"output_stride": 8, "aspp_ratios": [1, 12, 24, 36]}),
        (UNet, {"use_deconv": True}, "UNet-deconv", {"align_corners": False}),
        (HRNet, {"width": "18"}, "HRNet-W18", {"use_mixed_loss": False}),
        (
            BiSeNetV2,
            {"use_mixed_loss": [("DiceLoss", 1)]},
            "BiSeNetV2",
            {"use_mixed_loss": [["DiceLoss", 1]]},
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_arguments_choose_the_network(kind: Any, arguments: Any, model: str, options: Any) -> None:
    made = kind(num_classes=3, **arguments)
    assert made.spec.name == model and made.net.num_classes == 3
    assert made._options.items() >= options.items()
    assert made.init_params.items() >= {**arguments, **options}.items() or "width" in arguments


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: DeepLabV3P(backbone="ResNet34"), "ResNet50_vd, ResNet101_vd"),
        (lambda: HRNet(width=32), "18, 48"),
        (lambda: FastSCNN(num_classes=0), "num_classes: found 0"),
        (lambda: FastSCNN(use_mixed_loss=[("FocalLoss", 1)]), "CrossEntropyLoss"),
        (lambda: FastSCNN(use_mixed_loss=3), "use_mixed_loss: found 3"),
    ],
)
def test_arguments_that_make_no_sense_are_told(make: Any, told: str) -> None:
    with pytest.raises((UsageError, ConfigError), match=told):
        make()


# ---------------------------------------------------------------- training


def test_a_training_leaves_the_folders_of_paddlex_2(run: tuple[FastSCNN, Path]) -> None:
    folder = run[1]
    assert {"best_model", "epoch_1", "epoch_2", "train.log"} <= {path.name for path in folder.iterdir()}
    files = {path.name for path in (folder / "epoch_2").iterdir()}
    assert files >= {"model.pdparams", "model.pdopt", "model.yml", "eval_details.json", ".success"}
    content = yaml.safe_load((folder / "epoch_2" / "model.yml").read_text())
    assert content["Model"] == "FastSCNN" and content["status"] == "Normal"
    assert content["completed_epochs"] == 2
    assert content["_init_params"] == {"num_classes": 3, "use_mixed_loss": False, "align_corners": False}
    assert content["_Attributes"]["labels"] == ["background", "leaf", "stem"]
    assert content["Transforms"][0] == {
        "Resize": {"target_size": 64, "interp": "LINEAR", "keep_ratio": False}
    }
    details = json.loads((folder / "epoch_2" / "eval_details.json").read_text())
    # Two photos of 32 x 48, a quarter of the columns ignored.
    assert np.sum(details["confusion_matrix"]) == 2 * 32 * 36


def test_the_best_model_is_the_first_with_the_highest_miou(run: tuple[FastSCNN, Path]) -> None:
    scores = {
        path.name: yaml.safe_load((path / "model.yml").read_text())["_Attributes"]["eval_metrics"]["miou"]
        for path in run[1].glob("*_*")
        if path.is_dir()
    }
    assert scores["best_model"] == max(scores["epoch_1"], scores["epoch_2"])


def test_a_resumed_run_ends_as_one_that_never_stopped(pixel_data: Path, tmp_path: Path) -> None:
    paddle.seed(3)
    start = FastSCNN(num_classes=3)
    start.save_model(tmp_path / "start")
    weights = str(tmp_path / "start" / "model.pdparams")
    train(pixel_data, tmp_path / "whole", epochs=2, pretrain_weights=weights)
    # The rate falls to zero over the whole run, so that the first part must know its length.
    train(pixel_data, tmp_path / "parts", epochs=2, pretrain_weights=weights)
    again = FastSCNN(num_classes=3)
    train(
        pixel_data,
        tmp_path / "parts",
        epochs=2,
        model=again,
        resume_checkpoint=str(tmp_path / "parts" / "epoch_1"),
    )
    whole, parts = (
        read_pdparams(tmp_path / name / "epoch_2" / "model.pdparams") for name in ("whole", "parts")
    )
    for name, value in whole.items():
        np.testing.assert_array_equal(parts[name], value, err_msg=name)


def test_an_optimiser_of_ones_own_follows_its_scheduler(pixel_data: Path, tmp_path: Path) -> None:
    model = FastSCNN(num_classes=3)
    before = model.net.classifier.conv.bias.numpy().copy()
    scheduler = paddle.optimizer.lr.StepDecay(0.1, step_size=1, gamma=0.1)
    optimizer = paddle.optimizer.SGD(scheduler, parameters=model.net.parameters())
    train(pixel_data, tmp_path, epochs=1, model=model, optimizer=optimizer)
    rates = [json.loads(line)["learning_rate"] for line in _steps(tmp_path)]
    assert rates == pytest.approx([0.1, 0.01])
    assert not np.array_equal(model.net.classifier.conv.bias.numpy(), before)


def _steps(folder: Path) -> list[str]:
    return [line for line in (folder / "metrics.jsonl").read_text().splitlines() if "evaluation" not in line]


def test_polynomial_decay_falls_over_all_steps(run: tuple[FastSCNN, Path]) -> None:
    rates = [json.loads(line)["learning_rate"] for line in _steps(run[1])]
    assert rates == pytest.approx([0.05 * (1 - step / 4) ** 0.9 for step in range(4)])


def test_visualdl_gets_its_folder(pixel_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("visualdl", reason="the extra visualdl is not installed")
    train(pixel_data, tmp_path, epochs=1, use_vdl=True)
    assert list((tmp_path / "vdl_log").iterdir())


def test_without_visualdl_a_line_says_how_to_get_it(
    pixel_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "visualdl", None)
    train(pixel_data, tmp_path, epochs=1, use_vdl=True)
    assert 'pip install "paddlex[visualdl]"' in told.text
    assert (tmp_path / "best_model" / ".success").is_file()


def test_a_run_stops_early_after_scores_that_stand_still(pixel_data: Path, tmp_path: Path) -> None:
    options = {"learning_rate": 1e-12, "early_stop": True, "early_stop_patience": 1}
    model = train(pixel_data, tmp_path, epochs=9, **options)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    scores = [line["evaluation"]["miou"] for line in lines if "evaluation" in line]
    assert len(scores) == model.completed_epochs
    assert model.completed_epochs == 9 or has_stalled(scores, patience=1)
    assert not has_stalled(scores[:-1], patience=1)


def test_without_eval_dataset_nothing_is_best_and_prediction_asks_for_transforms(
    pixel_data: Path, tmp_path: Path
) -> None:
    model = train(pixel_data, tmp_path, epochs=1, eval_dataset=None)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"epoch_1"}
    photo = np.zeros((20, 30, 3), np.uint8)
    with pytest.raises(UsageError, match="eval_dataset"):
        model.predict(photo)
    chain = pixel_sets(pixel_data)[1].transforms
    assert model.predict(photo, transforms=chain)["label_map"].shape == (20, 30)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"num_epochs": 0}, "num_epochs: found 0"),
        ({"train_batch_size": 5}, "train_batch_size: found 5, train_dataset has 4 photos"),
        ({"pretrain_weights": "x", "resume_checkpoint": "y"}, "only one"),
        ({"resume_checkpoint": "nowhere"}, "resume_checkpoint nowhere: lacks model.pdparams"),
        ({"pretrain_weights": "weights.txt"}, "no such file; expected a .pdparams file"),
        ({"train_dataset": "photos"}, "train_dataset: found str"),
    ],
)
def test_what_cannot_be_trained_is_told(pixel_data: Path, tmp_path: Path, options: Any, told: str) -> None:
    train_set, val_set = pixel_sets(pixel_data)
    arguments = {
        "num_epochs": 1,
        "train_dataset": train_set,
        "train_batch_size": 2,
        "eval_dataset": val_set,
        "pretrain_weights": None,
        "save_dir": str(tmp_path),
        **options,
    }
    with pytest.raises((UsageError, WeightsError), match=told):
        FastSCNN(num_classes=3).train(**arguments)
    assert not list(tmp_path.iterdir())


def test_another_count_of_classes_is_explained(pixel_data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="background included: give num_classes=3"):
        train(pixel_data, tmp_path, model=FastSCNN(num_classes=2))


def test_default_weights_that_cannot_be_had_warn_and_named_ones_fail(
    pixel_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PADDLE_PDX_OFFLINE", "1")
    monkeypatch.setenv("PADDLE_PDX_CACHE_HOME", str(tmp_path / "cache"))
    train(pixel_data, tmp_path / "run", epochs=1, pretrain_weights="CITYSCAPES")
    assert "NO PRETRAINED WEIGHTS" in told.text
    assert "has no weights 'COCO' (it has CITYSCAPES" in _told_of_unknown_name(pixel_data, tmp_path, told)
    with pytest.raises(DownloadError):
        train(pixel_data, tmp_path / "run2", epochs=1, model=HRNet(3, width=18), pretrain_weights="PascalVOC")


def _told_of_unknown_name(data: Path, folder: Path, told: pytest.LogCaptureFixture) -> str:
    told.clear()
    train(data, folder / "other", epochs=1, pretrain_weights="COCO")
    return told.text


# ---------------------------------------------------------------- scores and predictions


def test_scores_are_ordered_and_follow_from_the_confusion_matrix(
    run: tuple[FastSCNN, Path], pixel_data: Path
) -> None:
    metrics, details = run[0].evaluate(pixel_sets(pixel_data)[1], return_details=True)
    assert isinstance(metrics, OrderedDict) and list(metrics) == METRICS
    counts = np.array(details["confusion_matrix"])
    hits, union = counts.diagonal(), counts.sum(0) + counts.sum(1) - counts.diagonal()
    np.testing.assert_allclose(metrics["category_iou"], hits / union)
    assert metrics["miou"] == pytest.approx((hits / union).mean())
    assert metrics["oacc"] == pytest.approx(hits.sum() / counts.sum())
    assert list(run[0].evaluate(pixel_sets(pixel_data)[1], batch_size=2)) == METRICS


def test_confusion_matrices_of_a_training_can_be_drawn(run: tuple[FastSCNN, Path], tmp_path: Path) -> None:
    file = run[1] / "epoch_2" / "eval_details.json"
    pdx.seg.draw_confusion_matrix(str(file), run[0].labels, save_dir=str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["confusion_matrix.png"]


def test_predictions_have_the_photos_size_and_probabilities(run: tuple[FastSCNN, Path]) -> None:
    photos = [np.full((40, 30, 3), 90, np.uint8), np.full((17, 80, 3), 10, np.uint8)]
    results = run[0].predict(photos)
    for photo, result in zip(photos, results, strict=True):
        assert result["label_map"].shape == photo.shape[:2] and result["label_map"].dtype == np.int32
        assert result["score_map"].shape == (*photo.shape[:2], 3)
        np.testing.assert_allclose(result["score_map"].sum(axis=2), 1, rtol=1e-5)
        np.testing.assert_array_equal(result["score_map"].argmax(axis=2), result["label_map"])
    alone = run[0].predict(photos[0])
    np.testing.assert_array_equal(alone["score_map"], results[0]["score_map"])


def test_a_path_and_its_bgr_array_give_the_same(run: tuple[FastSCNN, Path], pixel_data: Path) -> None:
    import cv2

    path = pixel_data / "images" / "photo0.png"
    np.testing.assert_array_equal(
        run[0].predict(str(path))["score_map"], run[0].predict(cv2.imread(str(path)))["score_map"]
    )


@pytest.mark.parametrize(
    ("photo", "told"),
    [
        ([], "empty list"),
        (np.zeros((4, 4), np.uint8), r"\(4, 4\), expected \(height, width, 3\)"),
        ([3], r"img_file\[0\]: found int"),
        (np.full((4, 4, 3), 300.0), "beyond 0 to 255"),
    ],
)
def test_what_is_no_photo_is_told(run: tuple[FastSCNN, Path], photo: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        run[0].predict(photo)


# ---------------------------------------------------------------- files


def test_a_loaded_model_predicts_the_same(run: tuple[FastSCNN, Path]) -> None:
    model, folder = run
    loaded = pdx.load_model(str(folder / "epoch_2"))
    assert isinstance(loaded, FastSCNN) and loaded.labels == model.labels
    assert (loaded.completed_epochs, loaded.status) == (2, "Normal")
    photo = np.full((40, 30, 3), 90, np.uint8)
    np.testing.assert_array_equal(model.predict(photo)["score_map"], loaded.predict(photo)["score_map"])


def test_a_loaded_model_trains_on(run: tuple[FastSCNN, Path], pixel_data: Path, tmp_path: Path) -> None:
    loaded = pdx.load_model(run[1] / "epoch_2")
    before = read_pdparams(run[1] / "epoch_2" / "model.pdparams")
    train(pixel_data, tmp_path, epochs=1, model=loaded, learning_rate=1e-9)
    after = read_pdparams(tmp_path / "epoch_1" / "model.pdparams")
    np.testing.assert_allclose(after["classifier.conv.bias"], before["classifier.conv.bias"], atol=1e-6)


def test_the_command_line_scores_the_folder_alike(
    run: tuple[FastSCNN, Path], pixel_data: Path, tmp_path: Path
) -> None:
    report = evaluate(
        spec=find_model("FastSCNN"),
        dataset_dir=pixel_data,
        output_dir=tmp_path,
        weight_path=run[1] / "epoch_2" / "model.pdparams",
        num_workers=0,
    )
    expected = run[0].evaluate(pixel_sets(pixel_data)[1])
    assert report["metrics"]["mIoU"] == pytest.approx(expected["miou"], abs=1e-12)


@pytest.mark.onnx_export
def test_an_export_opens_in_create_model(run: tuple[FastSCNN, Path], tmp_path: Path) -> None:
    fields = run[0].export_inference_model(tmp_path)
    assert set(fields["files"]) >= {"inference.json", "inference.onnx", "inference.yml"}
    photo = np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    (result,) = pdx.create_model(tmp_path / "inference_model").predict(photo)
    assert (result["label_map"] == run[0].predict(photo)["label_map"]).mean() > 0.99
    with pytest.raises(InputError, match="create_model"):
        pdx.load_model(tmp_path / "inference_model")


def test_what_cannot_be_loaded_is_told(run: tuple[FastSCNN, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no model\.yml"):
        pdx.load_model(tmp_path)
    of_command_line = tmp_path / "best_model"
    of_command_line.mkdir()
    (of_command_line / "model_info.json").write_text("{}")
    with pytest.raises(InputError, match="weights that the command line has trained"):
        pdx.load_model(of_command_line)
    text = (run[1] / "epoch_2" / "model.yml").read_text()
    for change, told in (
        (text.replace("Model: FastSCNN", "Model: YOLOv3"), "YOLOv3; known models"),
        (text.replace("version: 2.1.0", "version: 1.3.0"), "PaddleX 1"),
        (text.replace("num_classes: 3\n  use", "sides: 3\n  use"), "save the model again"),
        ("!!python/object/apply:os.system [echo]", "cannot be read"),
        ("[1, 2]", "lacks version"),
        (text, r"model\.pdparams: no such file"),
    ):
        (tmp_path / "model.yml").write_text(change)
        with pytest.raises(pdx.utils.errors.PaddleXError, match=told):
            pdx.load_model(tmp_path)
