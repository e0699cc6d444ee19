"""Pruning and quantisation of the 2.x models; the engines themselves are tested under `compression`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from v2.conftest import TINY, coco_sets, pixel_sets

import paddlex as pdx
from paddlex.compression.sensitivity import RATIOS, read_sensitivities
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.seg import FastSCNN
from paddlex.utils.errors import PruneError, UsageError
from paddlex.v2.slimming import SENSITIVITY_FILE, analyze


def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)


def train(model: FastSCNN, data: Path, save_dir: Path, **options: Any) -> None:
    train_set, val_set = pixel_sets(data)
    options = {"pretrain_weights": None, "use_vdl": False, **options}
    model.train(1, train_set, 2, val_set, save_dir=str(save_dir), **options)


@pytest.fixture(scope="module")
def small_analysis(pixel_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model and its sensitivities, measured once."""
    folder = tmp_path_factory.mktemp("analysed")
    paddle.seed(5)
    model = FastSCNN(num_classes=3)
    model.test_transforms = pixel_sets(pixel_data)[1].transforms
    model.save_model(folder / "model")
    model.analyze_sensitivity(pixel_sets(pixel_data)[1], save_dir=str(folder / "analysis"))
    return folder


@pytest.fixture
def analysed(small_analysis: Path, pixel_data: Path) -> FastSCNN:
    """A loaded model that goes on from the analysis made before, which is complete."""
    model = pdx.load_model(small_analysis / "model")
    assert isinstance(model, FastSCNN)
    model.analyze_sensitivity(pixel_sets(pixel_data)[1], save_dir=str(small_analysis / "analysis"))
    return model


def test_sensitivities_are_json_of_every_group_and_ratio(small_analysis: Path, pixel_data: Path) -> None:
    file = small_analysis / "analysis" / SENSITIVITY_FILE
    content = json.loads(file.read_text())["sensitivities"]
    assert len(content) > 5
    assert all(list(losses) == [str(ratio) for ratio in RATIOS] for losses in content.values())
    model = pdx.load_model(small_analysis / "model")
    assert read_sensitivities(file).baseline == model.evaluate(pixel_sets(pixel_data)[1])["miou"]


def test_a_pruned_model_is_smaller_saved_loaded_and_trained_on(
    analysed: FastSCNN, pixel_data: Path, tmp_path: Path
) -> None:
    result = analysed.prune(0.3, save_dir=str(tmp_path / "pruned"))
    assert result.pruned_flops == pytest.approx(0.3, abs=0.03)
    assert analysed.status == "Pruned"
    loaded = pdx.load_model(tmp_path / "pruned")
    assert loaded.status == "Pruned"
    np.testing.assert_array_equal(
        loaded.predict(photo())["score_map"], analysed.predict(photo())["score_map"]
    )
    train(loaded, pixel_data, tmp_path / "run")
    again = pdx.load_model(tmp_path / "run" / "best_model")
    shapes = {name: value.shape for name, value in analysed.net.state_dict().items()}
    assert {name: value.shape for name, value in again.net.state_dict().items()} == shapes
    resumed = FastSCNN(num_classes=3)
    train_set, val_set = pixel_sets(pixel_data)
    resumed.train(
        2,
        train_set,
        2,
        val_set,
        save_dir=str(tmp_path / "run"),
        pretrain_weights=None,
        use_vdl=False,
        resume_checkpoint=str(tmp_path / "run" / "epoch_1"),
    )
    assert {name: value.shape for name, value in resumed.net.state_dict().items()} == shapes


def test_pruning_asks_for_an_analysis_and_happens_once(analysed: FastSCNN, pixel_data: Path) -> None:
    with pytest.raises(PruneError, match="call analyze_sensitivity first"):
        FastSCNN(num_classes=3).prune(0.2)
    with pytest.raises(PruneError):
        analysed.prune(1.5)
    analysed.prune(0.2)
    with pytest.raises(PruneError, match="pruned already"):
        analysed.analyze_sensitivity(pixel_sets(pixel_data)[1], save_dir="unused")
    with pytest.raises(UsageError, match="criterion: found 'l2'"):
        FastSCNN(num_classes=3).analyze_sensitivity(pixel_sets(pixel_data)[1], criterion="l2")


def test_an_optimiser_of_the_network_before_is_refused(
    analysed: FastSCNN, pixel_data: Path, tmp_path: Path
) -> None:
    optimizer = paddle.optimizer.SGD(0.1, parameters=analysed.net.parameters())
    analysed.prune(0.2)
    with pytest.raises(UsageError, match="after loading, pruning or quantising"):
        train(analysed, pixel_data, tmp_path, optimizer=optimizer)


@pytest.mark.onnx_export
def test_training_under_quantisation_exports_an_int8_graph(pixel_data: Path, tmp_path: Path) -> None:
    train_set, val_set = pixel_sets(pixel_data)
    model = FastSCNN(num_classes=3)
    config = {"activation_quantize_type": "moving_average_abs_max", "moving_rate": 0.8}
    model.quant_aware_train(
        1, train_set, 2, val_set, save_dir=str(tmp_path / "run"), use_vdl=False, quant_config=config
    )
    assert model.status == "Quantized"
    with pytest.raises(UsageError, match="moving_rate"):
        model.quant_aware_train(1, train_set, 2, val_set, quant_config={"moving_rate": 0.5})
    loaded = pdx.load_model(tmp_path / "run" / "best_model")
    assert loaded.status == "Quantized" and loaded._options["quantization"]["moving_rate"] == 0.8
    np.testing.assert_array_equal(loaded.predict(photo())["score_map"], model.predict(photo())["score_map"])
    fields = loaded.export_inference_model(tmp_path, sample_photos=pixel_data / "images")
    assert fields["int8"]["speedup"] > 0
    (result,) = pdx.create_model(tmp_path / "inference_model").predict(photo())
    assert result["label_map"].shape == (48, 64)


@pytest.mark.onnx_export
def test_quantising_a_trained_model_takes_one_line(pixel_data: Path, tmp_path: Path) -> None:
    val_set = pixel_sets(pixel_data)[1]
    model = FastSCNN(num_classes=3)
    train(model, pixel_data, tmp_path / "run", learning_rate=0.05)
    before = model.predict(photo())["score_map"]
    fields = model.quantize(val_set, save_dir=str(tmp_path / "int8"))
    assert fields is not None and "inference.onnx" in fields["files"]
    assert model.status == "Quantized"
    np.testing.assert_allclose(model.predict(photo())["score_map"], before, atol=0.1)
    with pytest.raises(UsageError, match="quantised already"):
        model.quantize(val_set)
    with pytest.raises(UsageError, match=r"quant_config\.bits: unknown key"):
        FastSCNN(num_classes=3).quantize(val_set, quant_config={"bits": 4})


def test_a_detector_is_pruned_through_its_pyramid_and_quantised(coco_data: Path, tmp_path: Path) -> None:
    train_set, val_set = coco_sets(coco_data)
    model = pdx.det.MaskRCNN(num_classes=2, **TINY)
    model.labels, model.test_transforms = train_set.labels, val_set.transforms
    # Measured with a score that costs nothing: every group is worth the same.
    model._analysis = analyze(
        model.net,
        dataset=val_set,
        preprocess=Preprocessor(model._operations(val_set.transforms)),
        evaluate=lambda: 0.5,
        criterion="fpgm",
        save_dir=tmp_path / "analysis",
    )
    result = model.prune(0.2, save_dir=str(tmp_path / "pruned"))
    assert result.pruned_flops == pytest.approx(0.2, abs=0.03)
    assert any(name.startswith("neck.") for name in result.channels)
    loaded = pdx.load_model(tmp_path / "pruned")
    assert [one["score"] for one in loaded.predict(photo())] == [
        one["score"] for one in model.predict(photo())
    ]
    assert loaded.quantize(val_set, num_photos=1) is None
    assert loaded.status == "Quantized" and loaded.predict(photo()) is not None
