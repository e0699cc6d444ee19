"""Quantisation of an instance segmentation model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.data.instance_dataset import InstanceDataset
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.inference.backends.base import GraphSession
from paddlex.inference.backends.choose import detection_backend
from paddlex.modules.instance_segmentation.class_names import INSTANCE_CLASSES
from paddlex.modules.instance_segmentation.evaluator import evaluate_network, run_network
from paddlex.modules.instance_segmentation.exporter import export_network
from paddlex.modules.instance_segmentation.trainer import INSTANCE_TRAINING
from paddlex.modules.quantize_run import QuantizationTask, run_quantize
from paddlex.modules.trained_network import TrainedNetwork
from paddlex.repo_apis.spec import ModelSpec

__all__ = ["INSTANCE_QUANTIZATION", "quantize"]


def _evaluate(
    spec: ModelSpec, trained: TrainedNetwork, dataset: InstanceDataset, session: GraphSession | None
) -> dict[str, float]:
    found: dict[str, Any] = evaluate_network(
        trained.network,
        spec=spec,
        dataset=dataset,
        preprocess=Preprocessor(trained.operations, where=spec.name),
        run=None if session is None else detection_backend(session).run,
    )
    metrics: dict[str, float] = found["metrics"]
    return metrics


def _export(
    spec: ModelSpec, trained: TrainedNetwork, folder: Path, images: Sequence[NDArray[np.uint8]]
) -> dict[str, Any]:
    return export_network(
        trained.network,
        spec=spec,
        class_names=trained.class_names,
        input_size=trained.input_size,
        folder=folder,
        sample_images=images,
        operations=trained.operations,
        options=trained.options,
    )


INSTANCE_QUANTIZATION = QuantizationTask(
    training=INSTANCE_TRAINING,
    classes=INSTANCE_CLASSES,
    run=run_network,
    evaluate=_evaluate,
    export=_export,
    score="AP",
)

# As `run_quantize`, with what this task brings.
quantize = partial(run_quantize, INSTANCE_QUANTIZATION)
