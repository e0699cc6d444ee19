"""Mode quantize of instance segmentation, on R-CNN with a narrow pyramid: two-stage graphs in integers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import paddle
import pytest
from tiny_coco import CLASSES, write_tiny_coco
from tiny_mask_rcnn import INPUT_SIZE, filled, photos, tiny_spec

from paddlex.modules.inference_config import preprocess_operations
from paddlex.modules.instance_segmentation.class_names import INSTANCE_CLASSES
from paddlex.modules.instance_segmentation.predictor import InstancePredictor
from paddlex.modules.instance_segmentation.quantizer import INSTANCE_QUANTIZATION, quantize
from paddlex.modules.model_info import ModelInfo, write_model_info
from paddlex.modules.quantize_run import QuantizeOptions, calibrated_network
from paddlex.modules.trained_network import TrainedNetwork, load_trained_network
from paddlex.nn.quantization import QuantizationConfig, input_scales
from paddlex.repo_apis.paddle_detection.suite import MODELS as DETECTION
from paddlex.training.options import TrainOptions
from paddlex.utils.errors import UsageError

pytestmark = pytest.mark.onnx_export

SPEC = tiny_spec("fpn")


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The output folder and the result's fields."""
    folder = tmp_path_factory.mktemp("quantize")
    write_tiny_coco(folder / "dataset")
    network = filled(SPEC.build(num_classes=len(CLASSES)))
    paddle.save(network.state_dict(), str(folder / "best_model.pdparams"))
    info = ModelInfo(model_name=SPEC.name, class_names=CLASSES, category_ids=(1, 2), input_size=INPUT_SIZE)
    write_model_info(folder / "best_model.pdparams", info)
    fields = quantize(
        spec=SPEC,
        dataset_dir=folder / "dataset",
        output_dir=folder / "output",
        weight_path=folder / "best_model.pdparams",
        options=QuantizeOptions(photos=2, calibration="minmax", device="cpu"),
        training=TrainOptions(batch_size=1, epochs=1),
        config_text="",
    )
    return folder, fields


def test_both_scores_are_told(quantized: tuple[Path, dict[str, Any]]) -> None:
    _, fields = quantized
    assert fields["score"] == "AP" and fields["calibration_photos"] == 2
    lost = fields["metrics"]["float"]["AP"] - fields["metrics"]["quantized"]["AP"]
    assert fields["score_lost"] == pytest.approx(lost)


def kinds_at_runtime(file: Path, folder: Path) -> Counter[str]:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node)


def test_the_pyramid_is_in_integers_and_the_heads_are_not(
    quantized: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, _ = quantized
    kinds = kinds_at_runtime(folder / "output" / "quantized" / "inference" / "inference.onnx", tmp_path)
    # 53 convolutions of the backbone, 4 lateral ones, 4 behind the sums.
    assert kinds["QLinearConv"] == 61
    assert kinds["QLinearAdd"] == 16 + 3
    assert kinds["RoiAlign"] > 0 and kinds["NonMaxSuppression"] > 0


def test_the_quantised_model_predicts(quantized: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = quantized
    model = InstancePredictor(folder / "output" / "quantized" / "inference", device="cpu", threshold=0.0)
    (found,) = model.predict(photos()[0])
    assert len(found) > 0


def test_its_weights_are_loaded_as_quantised(quantized: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = quantized
    weights = folder / "output" / "quantized" / "model.pdparams"
    trained = load_trained_network(SPEC, weight_path=weights, classes=INSTANCE_CLASSES)
    assert all(scale > 0 for scale in input_scales(trained.network).values())
    assert json.loads((weights.parent / "model_info.json").read_text())["category_ids"] == [1, 2]
    with pytest.raises(UsageError, match="quantised already"):
        calibrated_network(INSTANCE_QUANTIZATION, trained, spec=SPEC, images=photos())


def test_calibration_leaves_the_float_network_alone(quantized: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = quantized
    trained = load_trained_network(SPEC, weight_path=folder / "best_model.pdparams", classes=INSTANCE_CLASSES)
    before = {name: value.numpy() for name, value in trained.network.state_dict().items()}
    config = QuantizationConfig(skip=("backbone",))
    made = calibrated_network(INSTANCE_QUANTIZATION, trained, spec=SPEC, images=photos(), config=config)
    after = trained.network.state_dict()
    assert list(after) == list(before) and all((after[name].numpy() == before[name]).all() for name in before)
    assert not any(name.startswith("backbone") for name in input_scales(made.network))


def test_re_parameterised_and_activated_convolutions_are_in_integers(tmp_path: Path) -> None:
    """PP-YOLOE_seg folds branches and normalisations, and its activation is no ReLU."""
    spec, size = DETECTION["PP-YOLOE_seg-S"], (96, 96)
    trained = TrainedNetwork(
        network=filled(spec.build(num_classes=2, eval_size=size)),
        class_names=CLASSES,
        names_known=True,
        input_size=size,
        operations=preprocess_operations(spec, input_size=size),
    )
    made = calibrated_network(INSTANCE_QUANTIZATION, trained, spec=spec, images=photos(), method="minmax")
    INSTANCE_QUANTIZATION.export(spec, made, tmp_path, photos())
    kinds = kinds_at_runtime(tmp_path / "inference.onnx", tmp_path)
    # The nine predictions and the fixed weights behind them stay float, so does enlarging.
    assert (kinds["QLinearConv"], kinds["Conv"]) == (85, 10)
    assert kinds["QLinearSigmoid"] == kinds["QLinearMul"] == 81
