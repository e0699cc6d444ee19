"""Training of a semantic segmentation model."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from paddlex.data.semantic_dataset import SemanticDataset
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.modules.inference_config import preprocess_operations
from paddlex.modules.semantic_segmentation.evaluator import evaluate_network
from paddlex.modules.semantic_segmentation.exporter import export
from paddlex.modules.semantic_segmentation.train_data import read_datasets
from paddlex.modules.training_run import TrainingRun, TrainingTask, run_training
from paddlex.repo_apis.spec import ModelSpec
from paddlex.training.options import TrainOptions
from paddlex.utils.logging import logger

__all__ = ["SEMANTIC_TRAINING", "train"]


def _read(
    spec: ModelSpec, dataset_dir: Path, options: TrainOptions
) -> tuple[SemanticDataset, SemanticDataset]:
    if options.batch_size == 1:
        logger.warning(
            "Train.batch_size is 1: normalisation after pooling to one pixel sees a single value and learns "
            "nothing; use at least 2 for %s",
            spec.name,
        )
    return read_datasets(dataset_dir, num_classes=options.num_classes, num_workers=options.num_workers)


def _describe(train: SemanticDataset, val: SemanticDataset) -> str:
    return f"{len(train)} training photos, {len(val)} validation photos"


def _evaluate(run: TrainingRun[SemanticDataset]) -> dict[str, Any]:
    operations = preprocess_operations(run.spec, short_side=run.options.short_side)
    return evaluate_network(
        run.network,
        dataset=run.datasets[1],
        preprocess=Preprocessor(operations, where=run.spec.name),
        batch_size=run.options.batch_size,
        num_workers=run.options.num_workers,
    )


SEMANTIC_TRAINING = TrainingTask(
    read_datasets=_read,
    describe=_describe,
    evaluate=_evaluate,
    export=export,
    curves=("mIoU", "Acc"),
    file_stem="model",
)

# As `run_training`, with what this task brings.
train = partial(run_training, SEMANTIC_TRAINING)
