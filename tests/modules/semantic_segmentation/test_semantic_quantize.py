"""Mode quantize of semantic segmentation: by calibration, and by training; through the engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import paddle
import pytest
from onnx import numpy_helper
from tiny_semantic import NAMES, write_tiny_semantic

import paddlex
from paddlex.config import CONFIG_FOLDER
from paddlex.engine import EXIT_FAILURE, EXIT_SUCCESS, EXIT_USAGE, run
from paddlex.modules.model_info import ModelInfo, read_model_info, write_model_info
from paddlex.modules.semantic_segmentation.class_names import SEMANTIC_CLASSES
from paddlex.modules.semantic_segmentation.train_data import read_datasets
from paddlex.modules.semantic_segmentation.trainer import SEMANTIC_TRAINING
from paddlex.modules.start_weights import StartWeights
from paddlex.modules.trained_network import load_trained_network
from paddlex.modules.training_run import TrainingRun
from paddlex.nn.quantization import input_scales, quantization_of
from paddlex.repo_apis.paddle_seg.suite import MODELS
from paddlex.training.checkpoint import read_facts
from paddlex.training.checkpoint_store import CheckpointStore
from paddlex.training.options import TrainOptions
from paddlex.utils.pdparams import read_pdparams

pytestmark = pytest.mark.onnx_export

CONFIG = CONFIG_FOLDER / "semantic_segmentation" / "FastSCNN.yaml"
SPEC = MODELS["FastSCNN"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 32 x 48 photos, and float weights of an untrained network."""
    folder = tmp_path_factory.mktemp("quantize")
    write_tiny_semantic(folder / "dataset")
    paddle.seed(0)
    network = SPEC.build(num_classes=len(NAMES))
    paddle.save(network.state_dict(), str(folder / "model.pdparams"))
    info = ModelInfo(
        model_name=SPEC.name, class_names=NAMES, category_ids=tuple(range(len(NAMES))), input_size=None
    )
    write_model_info(folder / "model.pdparams", info)
    return folder


def run_mode(workspace: Path, output: Path, mode: str, **settings: object) -> int:
    options = {
        "Global.mode": mode,
        "Global.output": output,
        "Global.device": "cpu",
        "Global.dataset_dir": workspace / "dataset",
        **settings,
    }
    return run(CONFIG, [f"{key}={value}" for key, value in options.items()])


def result(output: Path, mode: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((output / f"{mode}_result.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def calibrated(workspace: Path) -> Path:
    output = workspace / "calibrated"
    settings = {"Quantize.weight_path": workspace / "model.pdparams", "Quantize.photos": 3}
    assert run_mode(workspace, output, "quantize", **settings) == EXIT_SUCCESS
    return output


def test_quantize_leaves_weights_a_graph_and_both_scores(calibrated: Path) -> None:
    found = result(calibrated, "quantize")
    assert found["done_flag"] is True and found["method"] == "ptq" and found["calibration_photos"] == 3
    assert set(found["metrics"]) == {"float", "quantized"}
    lost = found["metrics"]["float"]["mIoU"] - found["metrics"]["quantized"]["mIoU"]
    assert found["score_lost"] == pytest.approx(lost)
    assert found["int8"]["speedup"] == pytest.approx(
        found["int8"]["float_ms"] / found["int8"]["int8_ms"], rel=0.05
    )
    folder = calibrated / "quantized"
    assert {path.name for path in folder.iterdir()} == {"model.pdparams", "model_info.json", "inference"}
    files = {path.name for path in (folder / "inference").iterdir()}
    assert files == {"inference.json", "inference.pdiparams", "inference.onnx", "inference.yml"}


def test_runtimes_compute_the_convolutions_in_integers(calibrated: Path, tmp_path: Path) -> None:
    """All 47 convolutions but the auxiliary head's two and the last one, whose logits users see."""
    file = calibrated / "quantized" / "inference" / "inference.onnx"
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert kinds.count("QLinearConv") == 44
    assert kinds.count("Conv") + kinds.count("FusedConv") == 1
    properties = {p.key: p.value for p in onnx.load(file).metadata_props}
    assert json.loads(properties["quantization"])["weight_bits"] == 8


def test_quantised_weights_are_found_by_the_other_modes(calibrated: Path, workspace: Path) -> None:
    weights = calibrated / "quantized" / "model.pdparams"
    assert read_model_info(weights).network["quantization"]["activation_bits"] == 8
    trained = load_trained_network(SPEC, weight_path=weights, classes=SEMANTIC_CLASSES)
    assert quantization_of(trained.network) is not None
    scales = input_scales(trained.network)
    assert all(scale > 0 for name, scale in scales.items() if not name.startswith("auxlayer"))
    output = workspace / "again"
    settings = {"Evaluate.weight_path": weights, "Evaluate.num_workers": 0}
    assert run_mode(workspace, output, "evaluate", **settings) == EXIT_SUCCESS
    quantized = result(calibrated, "quantize")["metrics"]["quantized"]
    assert result(output, "evaluate")["metrics"]["Acc"] == pytest.approx(quantized["Acc"], abs=0.05)
    assert run_mode(workspace, output, "export", **{"Export.weight_path": weights}) == EXIT_SUCCESS
    differences = result(output, "export")["differences"]
    assert set(differences) == {"paddle", "paddle, batch 2", "onnx, int8", "onnx, batch 2, int8"}
    assert "QuantizeLinear" in {node.op_type for node in onnx.load(output / "inference.onnx").graph.node}


def test_predictors_open_both_graphs(calibrated: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    for backend in ("onnx", "paddle"):
        model = paddlex.create_model(calibrated / "quantized" / "inference", device="cpu", backend=backend)
        (found,) = model.predict(photo)
        assert found.label_map.shape == (40, 56)


def test_dtype_float32_leaves_a_float_graph_of_rounded_weights(workspace: Path, tmp_path: Path) -> None:
    settings = {
        "Quantize.weight_path": workspace / "model.pdparams",
        "Quantize.weight_bits": 4,
        "Quantize.dtype": "float32",
    }
    assert run_mode(workspace, tmp_path, "quantize", **settings) == EXIT_SUCCESS
    assert result(tmp_path, "quantize")["int8"] is None
    graph = onnx.load(tmp_path / "quantized" / "inference" / "inference.onnx").graph
    assert "QuantizeLinear" not in {node.op_type for node in graph.node}
    stored = {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t)
        for node in graph.node
        if node.op_type == "Constant"
    }
    stored |= {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    first = stored[next(node for node in graph.node if node.op_type == "Conv").input[1]]
    # Seven levels, zero, and seven levels below: of each channel.
    assert max(len(np.unique(channel.round(6))) for channel in first) <= 15


def test_weights_are_quantised_once(calibrated: Path, workspace: Path) -> None:
    settings = {"Quantize.weight_path": calibrated / "quantized" / "model.pdparams"}
    assert run_mode(workspace, workspace / "twice", "quantize", **settings) == EXIT_USAGE
    assert "quantised already" in result(workspace / "twice", "quantize")["err_msg"]


def test_an_unknown_value_is_told_before_work_starts(workspace: Path) -> None:
    settings = {"Quantize.weight_bits": 17, "Quantize.weight_quantize_type": "lsq"}
    assert run_mode(workspace, workspace / "wrong", "quantize", **settings) == EXIT_FAILURE
    message = result(workspace / "wrong", "quantize")["err_msg"]
    assert "Quantize.weight_bits: found 17, expected less than or equal to 16" in message
    assert "Quantize.weight_quantize_type: found 'lsq'" in message


@pytest.fixture(scope="module")
def trained(workspace: Path) -> Path:
    """The output folder of three steps under quantisation."""
    output = workspace / "trained"
    settings = {
        "Quantize.weight_path": workspace / "model.pdparams",
        "Quantize.method": "qat",
        "Quantize.activation_preprocess_type": "PACT",
        "Train.epochs_iters": 3,
        "Train.eval_interval": 3,
        "Train.batch_size": 2,
        "Train.input_size": 64,
        "Train.num_workers": 0,
        "Train.ema": True,
    }
    assert run_mode(workspace, output, "quantize", **settings) == EXIT_SUCCESS
    return output


CONV = "learning_to_downsample.conv_bn_relu._conv"


def test_training_under_quantisation_goes_on_from_float_weights(workspace: Path, trained: Path) -> None:
    assert result(trained, "quantize")["method"] == "qat"
    run_folder = trained / "quantized_training"
    assert "learning rate 0.000625, as given" in (run_folder / "train.log").read_text(encoding="utf-8")
    folders = (workspace, run_folder / "best_model", trained / "quantized")
    before, after, exported = (read_pdparams(folder / "model.pdparams") for folder in folders)
    assert set(before) < set(after) == set(exported)
    assert 0 < np.abs(before[f"{CONV}.weight"] - after[f"{CONV}.weight"]).max() < 0.1
    assert after[f"{CONV}.input_quantizer.alpha"].shape == (1,)
    # After three steps: 1, 1.9, 2.71.
    assert after[f"{CONV}.input_quantizer.scale.state"] == pytest.approx(2.71)


def test_a_run_under_quantisation_can_be_resumed(workspace: Path, trained: Path, tmp_path: Path) -> None:
    checkpoint = trained / "quantized_training" / "iter_3" / "model.pdparams"
    options = TrainOptions(iterations=4, batch_size=2, input_size=64, num_workers=0, ema=True, device="cpu")
    facts = read_facts(checkpoint)
    resumed = TrainingRun(
        SEMANTIC_TRAINING,
        SPEC,
        datasets=read_datasets(workspace / "dataset", num_classes=None),
        store=CheckpointStore(tmp_path, file_stem="model"),
        options=options,
        start=StartWeights(from_scratch=facts["from_scratch"], network=facts["network"]),
    )
    resumed.checkpoints.resume(resumed.loop, checkpoint)
    resumed.train()
    assert resumed.loop.position.step == 4
    state = dict(resumed.network.state_dict())[f"{CONV}.input_quantizer.scale.state"]
    assert state.item() == pytest.approx(0.9 * 2.71 + 1)
