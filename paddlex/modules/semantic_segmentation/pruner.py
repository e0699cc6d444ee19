"""Pruning of a semantic segmentation model."""

from __future__ import annotations

from functools import partial

from paddlex.data.semantic_dataset import SemanticDataset
from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.modules.prune_run import PruneOptions, PruneTask, run_prune
from paddlex.modules.semantic_segmentation.class_names import SEMANTIC_CLASSES
from paddlex.modules.semantic_segmentation.evaluator import evaluate_network, read_photos
from paddlex.modules.trained_network import TrainedNetwork
from paddlex.repo_apis.spec import ModelSpec

__all__ = ["SEMANTIC_PRUNING", "prune"]


def _evaluate(
    spec: ModelSpec, trained: TrainedNetwork, photos: SemanticDataset, options: PruneOptions
) -> dict[str, float]:
    report = evaluate_network(
        trained.network,
        dataset=photos,
        preprocess=Preprocessor(trained.operations, where=spec.name),
        batch_size=options.batch_size,
        num_workers=options.num_workers,
    )
    metrics: dict[str, float] = report["metrics"]
    return metrics


SEMANTIC_PRUNING = PruneTask(
    classes=SEMANTIC_CLASSES, read_photos=read_photos, evaluate=_evaluate, score="mIoU"
)

# As `run_prune`, with what this task brings.
prune = partial(run_prune, SEMANTIC_PRUNING)
