"""Quantisation of a semantic segmentation model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.data.semantic_dataset import SemanticDataset
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.inference.backends.base import GraphSession
from paddlex.inference.backends.pixels import PixelBackend
from paddlex.modules.quantize_run import QuantizationTask, run_quantize
from paddlex.modules.semantic_segmentation.class_names import SEMANTIC_CLASSES
from paddlex.modules.semantic_segmentation.evaluator import evaluate_network, run_network
from paddlex.modules.semantic_segmentation.exporter import export_network
from paddlex.modules.semantic_segmentation.trainer import SEMANTIC_TRAINING
from paddlex.modules.trained_network import TrainedNetwork
from paddlex.repo_apis.spec import ModelSpec

__all__ = ["SEMANTIC_QUANTIZATION", "quantize"]


def _evaluate(
    spec: ModelSpec, trained: TrainedNetwork, dataset: SemanticDataset, session: GraphSession | None
) -> dict[str, float]:
    found: dict[str, Any] = evaluate_network(
        trained.network,
        dataset=dataset,
        preprocess=Preprocessor(trained.operations, where=spec.name),
        run=None if session is None else PixelBackend(session).run,
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
        folder=folder,
        sample_images=images,
        short_side=trained.short_side,
        operations=trained.operations,
        options=trained.options,
    )


SEMANTIC_QUANTIZATION = QuantizationTask(
    training=SEMANTIC_TRAINING,
    classes=SEMANTIC_CLASSES,
    run=lambda network, batch: run_network(network, batch["image"]),
    evaluate=_evaluate,
    export=_export,
    score="mIoU",
)

# As `run_quantize`, with what this task brings.
quantize = partial(run_quantize, SEMANTIC_QUANTIZATION)
