"""Quantisation of a trained model of any task: by calibration on photos, or by training under it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from paddle import nn

from paddlex.compression.calibrate import CalibrationMethod, calibrate
from paddlex.data.transforms.batch import Batch
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.inference.backends.base import GraphSession
from paddlex.inference.backends.onnx import OnnxSession
from paddlex.modules.model_info import ModelInfo
from paddlex.modules.paddle_device import use_device
from paddlex.modules.start_weights import StartWeights
from paddlex.modules.trained_network import (
    ClassNames,
    TrainedNetwork,
    load_trained_network,
    require_same_classes,
    save_network,
)
from paddlex.modules.training_run import TrainingTask, run_training
from paddlex.nn.quantization import QuantizationConfig, quantization_of
from paddlex.repo_apis.spec import ModelSpec
from paddlex.training.options import TrainOptions
from paddlex.training.schedules import scaled_learning_rate
from paddlex.training.tensors import snapshot
from paddlex.utils.device import Device
from paddlex.utils.errors import UsageError
from paddlex.utils.images import read_image
from paddlex.utils.logging import logger

__all__ = ["QuantizationTask", "QuantizeOptions", "calibrated_network", "run_quantize", "save_quantized"]

FOLDER, WEIGHTS = "quantized", "model.pdparams"
_TRAINING, _INFERENCE = "quantized_training", "inference"
# Weights that are trained already take small steps; a tenth of the recipe's.
_RATE_FACTOR = 0.1

Image = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class QuantizationTask:
    """What differs between tasks.

    Attributes:
        training: how the task trains.
        classes: where names of classes are found.
        run: runs a network on a prepared batch, whatever comes of it.
        evaluate: scores a network, or its opened graph where one is given, on photos of a data set.
        export: writes the inference folder of a network; gets the sample photos, too.
        score: the metric that tells how good a model is.
    """

    training: TrainingTask[Any]
    classes: ClassNames
    run: Callable[[nn.Layer, Batch], object]
    evaluate: Callable[[ModelSpec, TrainedNetwork, Any, GraphSession | None], dict[str, float]]
    export: Callable[[ModelSpec, TrainedNetwork, Path, Sequence[Image]], dict[str, Any]]
    score: str


@dataclass(frozen=True, kw_only=True)
class QuantizeOptions:
    """What a user may choose.

    Attributes:
        method: `ptq` calibrates trained weights on photos, `qat` trains them further under quantisation.
        config: what is quantised, and how.
        calibration: how ranges are chosen by `ptq`, see `calibrate`.
        photos: training photos that show the ranges of activations.
        device: `cpu`, `gpu`, ...; None takes a GPU if there is one.
    """

    method: Literal["ptq", "qat"] = "ptq"
    config: QuantizationConfig = field(default_factory=QuantizationConfig)
    calibration: CalibrationMethod = "percentile"
    photos: int = 32
    device: str | None = None


def run_quantize(
    task: QuantizationTask,
    *,
    spec: ModelSpec,
    dataset_dir: Path,
    output_dir: Path,
    weight_path: str | Path,
    options: QuantizeOptions,
    training: TrainOptions,
    config_text: str,
) -> dict[str, Any]:
    """Quantise trained weights, export them, and compare scores and speed with the float model.

    Args:
        task: what the model predicts.
        spec: the model.
        dataset_dir: the data set.
        output_dir: gets `quantized/` with weights, `model_info.json` and `inference/`; with `qat` also
            `quantized_training/`, the run that led there.
        weight_path: `.pdparams` file or URL of float weights.
        options: the user's choices.
        training: those of the run, with `qat`.
        config_text: what the run's config.yaml shall hold.

    Returns:
        Fields of quantize_result.json: scores of both on the validation photos, their difference, the folder,
        and how fast the graphs are.

    Raises:
        UsageError: if the weights are quantised already.
        PaddleXError: one of its kinds, for whatever the user can mend.
    """
    use_device(options.device)
    trained = load_trained_network(
        spec, weight_path=weight_path, classes=task.classes, dataset_dir=dataset_dir
    )
    require_float(trained.network, source=str(weight_path))
    train, val = task.training.read_datasets(spec, dataset_dir, training)
    require_same_classes(trained, val.class_names, weights=str(weight_path), annotations=dataset_dir)
    images = [read_image(train.describe(index)) for index in _spread(len(train), options.photos)]
    float_metrics = task.evaluate(spec, trained, val, None)
    folder = output_dir / FOLDER
    if options.method == "qat":
        start = _start(trained, source=str(weight_path), config=options.config)
        best = _train(
            task,
            spec=spec,
            dataset_dir=dataset_dir,
            folder=output_dir / _TRAINING,
            training=training,
            start=start,
            config_text=config_text,
        )
        quantized = load_trained_network(spec, weight_path=best, classes=task.classes)
    else:
        quantized = calibrated_network(
            task, trained, spec=spec, images=images, config=options.config, method=options.calibration
        )
    exported = save_quantized(
        task, quantized, spec=spec, folder=folder, images=images, category_ids=val.category_ids
    )
    graph = folder / _INFERENCE / "inference.onnx"
    session = OnnxSession(graph, device=Device("cpu")) if graph.is_file() else None
    metrics = task.evaluate(spec, quantized, val, session)
    return {
        "model_name": spec.name,
        "method": options.method,
        "quantization": options.config.to_mapping(),
        "weights": f"{FOLDER}/{WEIGHTS}",
        "inference": f"{FOLDER}/{_INFERENCE}",
        "metrics": {"float": float_metrics, "quantized": metrics},
        "score": task.score,
        "score_lost": float_metrics[task.score] - metrics[task.score],
        "int8": exported.get("int8"),
        "calibration_photos": len(images),
    }


def require_float(network: nn.Layer, *, source: str) -> None:
    """Refuse a network that is quantised already.

    Raises:
        UsageError: if it is.
    """
    if quantization_of(network) is not None:
        raise UsageError(f"{source}: quantised already; give the float weights it was made from")


def calibrated_network(
    task: QuantizationTask,
    trained: TrainedNetwork,
    *,
    spec: ModelSpec,
    images: Iterable[Image],
    config: QuantizationConfig | None = None,
    method: CalibrationMethod = "percentile",
) -> TrainedNetwork:
    """Quantise a trained network without training.

    Args:
        task: what the model predicts.
        trained: the network, in float; it stays as it is.
        spec: the model.
        images: (H, W, 3) uint8 RGB photos that show the ranges of activations.
        config: what is quantised, and how.
        method: how ranges are chosen, see `calibrate`.

    Returns:
        A network of its own, in evaluation mode, that says what the exported graph will.
    """
    require_float(trained.network, source=spec.name)
    config = config or QuantizationConfig()
    options = {**trained.options, "quantization": config.to_mapping()}
    network = spec.build(num_classes=len(trained.class_names), eval_size=trained.input_size, **options)
    network.set_state_dict({**network.state_dict(), **trained.network.state_dict()})
    network.eval()
    preprocess = Preprocessor(trained.operations, where=spec.name)
    batches = (Preprocessor.stack([preprocess(image)]) for image in images)
    calibrate(network, lambda batch: task.run(network, batch), batches, method=method)
    return dataclasses.replace(trained, network=network, options=options)


def save_quantized(
    task: QuantizationTask,
    quantized: TrainedNetwork,
    *,
    spec: ModelSpec,
    folder: Path,
    images: Sequence[Image],
    category_ids: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Write weights and inference folder of a quantised network.

    Args:
        task: what the model predicts.
        quantized: as `calibrated_network` gives it, or loaded from weights trained under quantisation.
        spec: the model.
        folder: gets `model.pdparams`, `model_info.json` and `inference/`.
        images: photos that show the ranges of what no layer has a scale for.
        category_ids: of the classes, in annotation files; None numbers them from 0.

    Returns:
        Fields of an export's result.
    """
    names = quantized.class_names
    info = ModelInfo(
        model_name=spec.name,
        class_names=tuple(names),
        category_ids=tuple(category_ids) if category_ids else tuple(range(len(names))),
        input_size=quantized.input_size,
        short_side=quantized.short_side,
        network=quantized.options,
        preprocess=tuple(dict(operation) for operation in quantized.operations),
    )
    folder.mkdir(parents=True, exist_ok=True)
    save_network(quantized.network, folder / WEIGHTS, info=info)
    return task.export(spec, quantized, folder / _INFERENCE, images)


# --------------------------------------------------------------------------- training under quantisation


def _start(trained: TrainedNetwork, *, source: str, config: QuantizationConfig) -> StartWeights:
    return StartWeights(
        from_scratch=False,
        arrays=snapshot(trained.network.state_dict()),
        source=source,
        network={**trained.options, "quantization": config.to_mapping()},
    )


def _train(
    task: QuantizationTask,
    *,
    spec: ModelSpec,
    dataset_dir: Path,
    folder: Path,
    training: TrainOptions,
    start: StartWeights,
    config_text: str,
) -> Path:
    """Train; returns the best weights."""
    if training.learning_rate is None:
        rate = _RATE_FACTOR * scaled_learning_rate(
            spec.recipe.learning_rate,
            batch=training.batch_size * training.accumulate_steps,
            reference_batch=spec.recipe.reference_batch,
            scaling=training.lr_scaling,
        )
        logger.info("training under quantisation with a tenth of the recipe's learning rate, %.4g", rate)
        training = dataclasses.replace(training, learning_rate=rate)
    fields = run_training(
        task.training,
        spec=spec,
        dataset_dir=dataset_dir,
        output_dir=folder,
        options=training,
        config_text=config_text,
        start=start,
    )
    return folder / fields["models"]["best_model"]["weights"]


def _spread(length: int, count: int) -> list[int]:
    """Up to `count` indices of a list, evenly spaced."""
    if length <= count:
        return list(range(length))
    return [round(index) for index in np.linspace(0, length - 1, count)]
