"""Pruning of an instance segmentation model."""

from __future__ import annotations

from functools import partial

from paddlex.data.instance_dataset import InstanceDataset
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.modules.instance_segmentation.class_names import INSTANCE_CLASSES
from paddlex.modules.instance_segmentation.evaluator import evaluate_network, read_photos
from paddlex.modules.prune_run import PruneOptions, PruneTask, run_prune
from paddlex.modules.trained_network import TrainedNetwork
from paddlex.repo_apis.spec import ModelSpec

__all__ = ["INSTANCE_PRUNING", "prune"]


def _evaluate(
    spec: ModelSpec, trained: TrainedNetwork, photos: InstanceDataset, options: PruneOptions
) -> dict[str, float]:
    report = evaluate_network(
        trained.network,
        spec=spec,
        dataset=photos,
        preprocess=Preprocessor(trained.operations, where=spec.name),
        batch_size=options.batch_size,
        num_workers=options.num_workers,
    )
    metrics: dict[str, float] = report["metrics"]
    return metrics


INSTANCE_PRUNING = PruneTask(
    classes=INSTANCE_CLASSES, read_photos=read_photos, evaluate=_evaluate, score="AP"
)

# As `run_prune`, with what this task brings.
prune = partial(run_prune, INSTANCE_PRUNING)
