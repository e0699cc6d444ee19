"""Training of an instance segmentation model."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from paddlex.data.instance_dataset import InstanceDataset
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.modules.inference_config import preprocess_operations
from paddlex.modules.instance_segmentation.evaluator import evaluate_network
from paddlex.modules.instance_segmentation.exporter import export
from paddlex.modules.instance_segmentation.train_data import read_datasets
from paddlex.modules.training_run import TrainingRun, TrainingTask, run_training
from paddlex.repo_apis.spec import ModelSpec
from paddlex.training.options import TrainOptions

__all__ = ["INSTANCE_TRAINING", "train"]


def _read(
    spec: ModelSpec, dataset_dir: Path, options: TrainOptions
) -> tuple[InstanceDataset, InstanceDataset]:
    return read_datasets(
        dataset_dir,
        num_classes=options.num_classes,
        allow_empty=options.allow_empty,
        masks=spec.recipe.masks,
    )


def _describe(train: InstanceDataset, val: InstanceDataset) -> str:
    return (
        f"{len(train)} training photos with {train.num_instances} objects, "
        f"{len(val)} validation photos with {val.num_instances}"
    )


def _evaluate(run: TrainingRun[InstanceDataset]) -> dict[str, Any]:
    operations = preprocess_operations(run.spec, input_size=run.input_size)
    return evaluate_network(
        run.network,
        spec=run.spec,
        dataset=run.datasets[1],
        preprocess=Preprocessor(operations, where=run.spec.name),
        batch_size=run.options.batch_size,
        num_workers=run.options.num_workers,
    )


INSTANCE_TRAINING = TrainingTask(
    read_datasets=_read,
    describe=_describe,
    evaluate=_evaluate,
    export=export,
    curves=("AP", "AP50", "bbox_AP"),
)

# As `run_training`, with what this task brings.
train = partial(run_training, INSTANCE_TRAINING)
