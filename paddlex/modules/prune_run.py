"""Pruning of a trained model of any task: sensitivities measured, channels removed, smaller weights saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import paddle
from paddle import nn

from paddlex.compression.criteria import Criterion
from paddlex.compression.dependencies import Dependencies, find_dependencies
from paddlex.compression.flops import count_flops
from paddlex.compression.prune import MULTIPLE, PruneResult, prune, require_whole
from paddlex.compression.sensitivity import Sensitivities, analyze_sensitivity
from paddlex.modules.model_info import ModelInfo, read_model_info, write_model_info
from paddlex.modules.paddle_device import use_device
from paddlex.modules.prune_forms import traced_form
from paddlex.modules.trained_network import ClassNames, TrainedNetwork, load_trained_network
from paddlex.modules.training_run import ClassifiedDataset
from paddlex.repo_apis.spec import ModelSpec
from paddlex.training.checkpoint_store import CheckpointStore
from paddlex.training.tensors import snapshot
from paddlex.utils.charts_pruning import sensitivity_chart
from paddlex.utils.errors import PruneError
from paddlex.utils.logging import logger
from paddlex.utils.progress import silenced

__all__ = [
    "FOLDER",
    "SENSITIVITIES",
    "PrunableDataset",
    "PruneOptions",
    "PruneTask",
    "network_dependencies",
    "run_prune",
    "save_pruned",
]

FOLDER, SENSITIVITIES, _CHART = "pruned", "sensitivities.json", "sensitivities.png"
_WEIGHTS = "model"
# Inputs that keep the photo's aspect are padded to this, which every stride of every model divides.
_MULTIPLE = 32


class PrunableDataset(ClassifiedDataset, Protocol):
    """Annotated photos of which some can be taken."""

    def select(self, indices: Sequence[int]) -> PrunableDataset:
        """The photos of `indices`."""


Photos = TypeVar("Photos", bound=PrunableDataset)


@dataclass(frozen=True, kw_only=True)
class PruneOptions:
    """What a user may choose.

    Attributes:
        pruned_flops: share of the multiply-adds to remove, in (0, 1).
        criterion: which channels go first, see `rank_channels`.
        channel_multiple: see `removed_count`.
        sensitivity_file: where sensitivities are kept, and found again; None: in the output folder.
        photos: validation photos that they are measured on, at most; None takes all.
        batch_size: photos run at once.
        num_workers: threads that read photos.
        device: `cpu`, `gpu`, ...; None takes a GPU if there is one.
    """

    pruned_flops: float = 0.2
    criterion: Criterion = "l1_norm"
    channel_multiple: int = MULTIPLE
    sensitivity_file: Path | None = None
    photos: int | None = None
    batch_size: int = 1
    num_workers: int = 4
    device: str | None = None


@dataclass(frozen=True, kw_only=True)
class PruneTask(Generic[Photos]):
    """What differs between tasks.

    Attributes:
        classes: where names of classes are found.
        read_photos: the validation photos of a folder, checked against the network's classes; takes the
            trained network, the folder, and what the weights are called in messages.
        evaluate: metrics of a network on photos.
        score: the metric that sensitivities are losses of.
    """

    classes: ClassNames
    read_photos: Callable[[TrainedNetwork, Path, str], Photos]
    evaluate: Callable[[ModelSpec, TrainedNetwork, Photos, PruneOptions], dict[str, float]]
    score: str


def run_prune(
    task: PruneTask[Any],
    *,
    spec: ModelSpec,
    dataset_dir: Path,
    output_dir: Path,
    weight_path: str | Path,
    options: PruneOptions,
) -> dict[str, Any]:
    """Prune trained weights: what the network can do without goes for good, and training goes on from there.

    Args:
        task: what the model predicts.
        spec: the model.
        dataset_dir: the data set.
        output_dir: gets `pruned/` with weights and `model_info.json`, from which training, evaluation and
            export go on; the sensitivities, which a rerun uses again; and a chart of them.
        weight_path: `.pdparams` file or URL of weights that have not been pruned.
        options: the user's choices.

    Returns:
        Fields of prune_result.json: operations, parameters and scores before and after, ratios by group.

    Raises:
        PruneError: if the weights are pruned already, the share cannot be had, or the sensitivities are
            another network's.
        PaddleXError: another of its kinds, for whatever else the user can mend.
    """
    use_device(options.device)
    trained = load_trained_network(
        spec, weight_path=weight_path, classes=task.classes, dataset_dir=dataset_dir
    )
    _require_prunable(trained, source=str(weight_path))
    photos = task.read_photos(trained, dataset_dir, str(weight_path))
    dependencies = network_dependencies(trained.network, input_size=trained.input_size)
    logger.info(
        "%d groups of channels, %.2f billion multiply-adds",
        len(dependencies.groups),
        count_flops(dependencies) / 1e9,
    )
    found = _sensitivities(task, spec, trained, photos, dependencies, output_dir=output_dir, options=options)
    before = _score(task, spec, trained, photos, options)
    result = prune(
        trained.network,
        dependencies,
        losses=found.losses,
        pruned_flops=options.pruned_flops,
        criterion=options.criterion,
        multiple=options.channel_multiple,
    )
    after = _score(task, spec, trained, photos, options)
    info = _info(trained, spec, photos, weight_path)
    weights = save_pruned(trained.network, info, result, output_dir=output_dir)
    sensitivity_chart(output_dir / _CHART, losses=found.losses, ratios=result.ratios, score=task.score)
    _tell(task, result, before, after, weights=weights)
    return {
        "model_name": spec.name,
        "class_names": list(trained.class_names),
        "criterion": options.criterion,
        **result.to_json(),
        "metrics_before": before,
        "metrics_after": after,
        "weights": weights.relative_to(output_dir).as_posix(),
        "files": [_CHART],
    }


def network_dependencies(network: nn.Layer, *, input_size: tuple[int, int]) -> Dependencies:
    """How the channels of a network of the zoo depend on one another.

    Args:
        network: any of the zoo.
        input_size: (height, width) that operations are counted for, rounded up to multiples of 32 pixels.
    """
    size = tuple(-(-side // _MULTIPLE) * _MULTIPLE for side in input_size)
    form = traced_form(network, input_size=(size[0], size[1]))
    return find_dependencies(network, inputs=form.inputs, form=form.layer)


def _require_prunable(trained: TrainedNetwork, *, source: str) -> None:
    if trained.options.get("quantization") is not None:
        raise PruneError(f"{source}: quantised weights; prune the float weights, then quantise")
    try:
        require_whole(trained.network)
    except PruneError as error:
        raise PruneError(f"{source}: {error}") from error


def _sensitivities(
    task: PruneTask[Any],
    spec: ModelSpec,
    trained: TrainedNetwork,
    photos: PrunableDataset,
    dependencies: Dependencies,
    *,
    output_dir: Path,
    options: PruneOptions,
) -> Sensitivities:
    count = min(options.photos or len(photos), len(photos))
    some = photos.select(np.linspace(0, len(photos) - 1, count).round().astype(int).tolist())

    def evaluate() -> float:
        score = _score(task, spec, trained, some, options)[task.score]
        if not np.isfinite(score):
            raise PruneError(
                f"{task.score} is undefined on the {count} photos that sensitivities are measured on, where "
                "nothing is annotated; raise Prune.photos"
            )
        return score

    return analyze_sensitivity(
        trained.network,
        dependencies,
        evaluate=evaluate,
        file=options.sensitivity_file or output_dir / SENSITIVITIES,
        criterion=options.criterion,
        about={"score": task.score, "photos": count, "first": Path(some.describe(0)).name},
    )


def _score(
    task: PruneTask[Any],
    spec: ModelSpec,
    trained: TrainedNetwork,
    photos: PrunableDataset,
    options: PruneOptions,
) -> dict[str, float]:
    with silenced():
        return task.evaluate(spec, trained, photos, options)


def save_pruned(network: nn.Layer, info: ModelInfo, result: PruneResult, *, output_dir: Path) -> Path:
    """Write `pruned/model.pdparams` and the `model_info.json` that the network is built anew from.

    Args:
        network: pruned.
        info: of the network before.
        result: of the pruning.
        output_dir: gets the folder, as a whole.

    Returns:
        The weight file.
    """
    info = replace(info, network={**info.network, "channels": dict(result.channels)})
    weights = snapshot(network.state_dict())
    stem = CheckpointStore(output_dir, file_stem=_WEIGHTS).write(
        FOLDER,
        {
            f"{_WEIGHTS}.pdparams": lambda path: paddle.save(weights, str(path)),
            "model_info.json": partial(write_model_info, info=info),
        },
    )
    return Path(f"{stem}.pdparams")


def _info(
    trained: TrainedNetwork, spec: ModelSpec, photos: PrunableDataset, weight_path: str | Path
) -> ModelInfo:
    """What came with the weights, else what the data set tells."""
    return read_model_info(weight_path) or ModelInfo(
        model_name=spec.name,
        class_names=trained.class_names,
        category_ids=photos.category_ids,
        input_size=trained.input_size,
        network=trained.options,
    )


def _tell(
    task: PruneTask[Any],
    result: PruneResult,
    before: dict[str, float],
    after: dict[str, float],
    *,
    weights: Path,
) -> None:
    logger.info(
        "%.1f%% of the multiply-adds removed, parameters %.2f -> %.2f million, %s %.4f -> %.4f",
        100 * result.pruned_flops,
        result.parameters[0] / 1e6,
        result.parameters[1] / 1e6,
        task.score,
        before[task.score],
        after[task.score],
    )
    logger.info("train it again to win the score back: -o Train.pretrain_weight_path=%s", weights)
