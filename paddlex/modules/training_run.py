"""A training run of any task: recipe and options in, checkpoints and inference models out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from paddle import nn

from paddlex.data.loader import Dataset
from paddlex.modules.model_info import ModelInfo, write_model_info
from paddlex.modules.paddle_device import use_device
from paddlex.modules.recipe_loop import build_loop
from paddlex.modules.run_environment import ReadyForStep, log_environment, plain_memory_errors
from paddlex.modules.start_weights import StartWeights, find_start_weights
from paddlex.modules.train_loader import train_loader
from paddlex.repo_apis.spec import ModelSpec
from paddlex.training import distributed
from paddlex.training.checkpoint import Checkpoints, read_facts
from paddlex.training.checkpoint_store import CheckpointStore
from paddlex.training.hooks import ProgressReport, StopOnSignal
from paddlex.training.metrics_log import METRICS_FILE, MetricsLog, read_curves
from paddlex.training.optim import freeze_parameters
from paddlex.training.options import TrainOptions
from paddlex.training.random_state import seed_everything
from paddlex.training.results import BEST
from paddlex.training.run_log import RunLog
from paddlex.utils.charts_curves import training_curve
from paddlex.utils.errors import DatasetError, PaddleXError, WeightsError
from paddlex.utils.files import write_text
from paddlex.utils.logging import logger

__all__ = ["ClassifiedDataset", "TrainingRun", "TrainingTask", "require_chosen_classes", "run_training"]

_LOG_FILE, _CONFIG_FILE, _CURVE_FILE = "train.log", "config.yaml", "training_curve.png"
_INFERENCE = "inference"
_LESS_MEMORY = (
    "lower Train.batch_size (and raise Train.accumulate_steps as much to keep the photos per step), lower "
    "Train.input_size, or set Train.multi_scale=False"
)
# What belongs to a run beside its checkpoints, and is moved out of a new run's way with them.
_RUN_FILES = (_LOG_FILE, _CONFIG_FILE, _CURVE_FILE, METRICS_FILE, "train_result.json", "train_results.json")


class ClassifiedDataset(Dataset, Protocol):
    """Photos annotated with classes."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in order of class index."""

    @property
    def category_ids(self) -> tuple[int, ...]:
        """Id of each class in the annotation files."""


Photos = TypeVar("Photos", bound=ClassifiedDataset)


@dataclass(frozen=True, kw_only=True)
class TrainingTask(Generic[Photos]):
    """What differs between tasks.

    Attributes:
        read_datasets: training and validation photos of a folder, in the form that the model wants.
        describe: both in a few words, for the log.
        evaluate: scores the network of a run as it is; the entry `metrics` of what it returns is used.
        export: `export` of the task, as `run_training` calls it.
        curves: metrics that are drawn; the first chooses the best model.
        file_stem: as `CheckpointStore` takes it.
    """

    read_datasets: Callable[[ModelSpec, Path, TrainOptions], tuple[Photos, Photos]]
    describe: Callable[[Photos, Photos], str]
    evaluate: Callable[[TrainingRun[Photos]], dict[str, Any]]
    export: Callable[..., dict[str, Any]]
    curves: Sequence[str]
    file_stem: str | None = None


def run_training(
    task: TrainingTask[Photos],
    *,
    spec: ModelSpec,
    dataset_dir: Path,
    output_dir: Path,
    options: TrainOptions,
    config_text: str,
    start: StartWeights | None = None,
) -> dict[str, Any]:
    """Train a model, evaluate it as it goes, and export the best and the last.

    Args:
        task: what the model predicts.
        spec: the model.
        dataset_dir: the data set.
        output_dir: gets the layout that `Checkpoints` describes, train.log, metrics.jsonl, a chart,
            config.yaml and train_results.json. Checkpoints of an earlier run are moved to previous_<n>/.
        options: the user's choices.
        config_text: what config.yaml shall hold.
        start: what to begin with, in place of `options.pretrain_weights`; a resumed run goes on with what it
            began with.

    Returns:
        Fields of train_result.json.

    Raises:
        PaddleXError: one of its kinds, for whatever the user can mend.
    """
    started = time.monotonic()
    with RunLog() as log, plain_memory_errors(_LESS_MEMORY):
        device = use_device(options.device)
        distributed.join_processes()
        store = CheckpointStore(output_dir, file_stem=task.file_stem)
        resumed_from = _checkpoint_to_resume(options.resume_path, store)
        datasets = task.read_datasets(spec, dataset_dir, options)
        # Before an earlier run is moved: the start weights may be that run's.
        if start is None or resumed_from is not None:
            with distributed.main_rank_first():
                start = _start_weights(options, spec, resumed_from=resumed_from)
        distributed.wait_for_all()
        if distributed.is_main_rank():
            if resumed_from is None:
                _make_room(store)
            log.open(output_dir / _LOG_FILE, append=resumed_from is not None)
            write_text(output_dir / _CONFIG_FILE, config_text)
        log_environment(device=str(device), options=options)
        run = TrainingRun(task, spec, datasets=datasets, store=store, options=options, start=start)
        if resumed_from is not None:
            run.checkpoints.resume(run.loop, resumed_from)
            logger.info("resumed from %s after step %d", resumed_from, run.loop.position.step)
            distributed.wait_for_all()  # the main process may rename the checkpoint that the others read
        run.train()
        fields = _finish(run, dataset_dir=dataset_dir)
    return {**fields, "seconds": round(time.monotonic() - started, 1)}


def require_chosen_classes(num_classes: int | None, class_names: Sequence[str]) -> None:
    """Check the number of classes that the user expects, if any.

    Raises:
        DatasetError: if the data set has another.
    """
    if num_classes is not None and num_classes != len(class_names):
        raise DatasetError(
            f"Train.num_classes is {num_classes}, but the data set has {len(class_names)} classes "
            f"({', '.join(class_names)}); correct one of them, or leave Train.num_classes out"
        )


# --------------------------------------------------------------------------- before the run


def _checkpoint_to_resume(resume_path: str | None, store: CheckpointStore) -> Path | None:
    """The `.pdparams` file to go on from."""
    if not resume_path:
        return None
    if resume_path.lower() == "auto":
        newest = store.newest()
        if newest is None:
            logger.info("Train.resume_path auto: no checkpoint in %s, starting anew", store.folder)
        return None if newest is None else Path(f"{newest}.pdparams")
    path = Path(resume_path).expanduser().resolve()
    if path.suffix != ".pdparams" or not path.is_file():
        raise WeightsError(
            f"Train.resume_path {resume_path}: not a .pdparams file; give that of a checkpoint, or auto"
        )
    return path


def _start_weights(options: TrainOptions, spec: ModelSpec, *, resumed_from: Path | None) -> StartWeights:
    if resumed_from is None:
        return find_start_weights(options.pretrain_weights, spec)
    # The checkpoint brings the weights; all to know is what the network was built and unfrozen for.
    facts = read_facts(resumed_from)
    return StartWeights(from_scratch=bool(facts["from_scratch"]), network=facts.get("network", {}))


def _make_room(store: CheckpointStore) -> None:
    previous = store.set_aside(*_RUN_FILES)
    if previous is not None:
        logger.info("the checkpoints of an earlier run in %s were moved to %s", store.folder, previous)


# --------------------------------------------------------------------------- the run


class TrainingRun(Generic[Photos]):
    """All parts of a run, put together from recipe and options.

    Args:
        task: what the model predicts.
        spec: the model.
        datasets: training and validation photos.
        store: where checkpoints go.
        options: the user's choices.
        start: what the network begins with.

    Attributes:
        network: being trained.
        input_size: of its input, as `Recipe.input_size_for` gives it.
    """

    def __init__(
        self,
        task: TrainingTask[Photos],
        spec: ModelSpec,
        *,
        datasets: tuple[Photos, Photos],
        store: CheckpointStore,
        options: TrainOptions,
        start: StartWeights,
    ) -> None:
        self.task, self.spec, self.options, self.store = task, spec, options, store
        self.datasets = datasets
        self.input_size = spec.recipe.input_size_for(options.input_size)
        seed_everything(options.seed)
        self.network = self._build_network(start)
        self.loader = train_loader(datasets[0], spec.recipe, options, input_size=self.input_size)
        self.metrics_log, self.stop_on_signal = MetricsLog(store.folder), StopOnSignal()
        self.progress = ProgressReport(options.log_interval)
        self.checkpoints = self._checkpoints(start)
        reporting = [self.progress, self.metrics_log, self.checkpoints] if distributed.is_main_rank() else []
        self.loop = build_loop(
            self.network,
            self.loader,
            recipe=spec.recipe,
            options=options,
            from_scratch=start.from_scratch,
            output_dir=store.folder,
            hooks=[ReadyForStep(self.network), self.stop_on_signal, *reporting],
        )

    def train(self) -> None:
        """Run to the end."""
        names = self.datasets[0].class_names
        logger.info("%s, %d classes: %s", self.task.describe(*self.datasets), len(names), ", ".join(names))
        try:
            self.loop.run()
        finally:
            self.stop_on_signal.restore()
            self.progress.close()
            self.metrics_log.close()
            self.loader.close()

    def _build_network(self, start: StartWeights) -> nn.Layer:
        for name, value in self.options.network.items():
            logger.info("the network is built with %s=%s", name, value)
        network = self.spec.build(
            num_classes=len(self.datasets[0].class_names),
            eval_size=self.input_size,
            **{**start.network, **self.options.network},
        )
        start.apply(network)
        frozen = freeze_parameters(network, self.options.freeze)
        if frozen:
            logger.info("Train.freeze: %d parameters stay as they are", len(frozen))
        distributed.copy_from_main_rank(network)
        criterion: Any = getattr(network, "criterion", None)
        if distributed.world_size() > 1 and hasattr(criterion, "average"):
            criterion.average = distributed.average_number
        return network

    def _checkpoints(self, start: StartWeights) -> Checkpoints:
        options, train = self.options, self.datasets[0]
        info = ModelInfo(
            model_name=self.spec.name,
            class_names=train.class_names,
            category_ids=train.category_ids,
            input_size=self.input_size,
            short_side=options.short_side,
            network=start.network,
        )
        return Checkpoints(
            self.store,
            evaluate=self._evaluate,
            model_name=self.spec.name,
            eval_interval=options.eval_interval,
            save_interval=options.save_interval,
            patience=options.patience,
            keep=options.keep_checkpoints,
            extra_files={"model_info.json": partial(write_model_info, info=info)},
            facts={"from_scratch": start.from_scratch, "network": dict(start.network)},
        )

    def _evaluate(self) -> tuple[float, dict[str, float]]:
        metrics = self.task.evaluate(self)["metrics"]
        return metrics[self.task.curves[0]], metrics


# --------------------------------------------------------------------------- after the run


def _finish(run: TrainingRun[Any], *, dataset_dir: Path) -> dict[str, Any]:
    """Draw the curves, export, and gather the result's fields."""
    if not distributed.is_main_rank():
        return {}
    folder = run.store.folder
    losses, scores = read_curves(folder)
    scores = {name: scores[name] for name in run.task.curves if name in scores}
    training_curve(folder / _CURVE_FILE, losses=losses, scores=scores)
    checkpoints = run.checkpoints
    best, last = checkpoints.best, checkpoints.history[-1]
    fields: dict[str, Any] = {
        "model_name": run.spec.name,
        "class_names": list(run.datasets[0].class_names),
        "epochs": run.loop.position.epoch,
        "steps": run.loop.position.step,
        "best_score": best.score if best else None,
        "best_epoch": best.epoch if best else None,
        "best_step": best.step if best else None,
        "last_score": last.score,
        "metrics": best.metrics if best else {},
        "models": {},
    }
    fields["models"][BEST] = _export(run, BEST, dataset_dir=dataset_dir)
    if best == last and fields["models"][BEST]["inference"]:
        _copy_folder(folder / BEST / _INFERENCE, folder / last.name / _INFERENCE)
        fields["models"][last.name] = _model_entry(run, last.name)
    else:
        fields["models"][last.name] = _export(run, last.name, dataset_dir=dataset_dir)
    return fields


def _copy_folder(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def _model_entry(run: TrainingRun[Any], name: str) -> dict[str, Any]:
    weights = Path(f"{run.store.stem(name)}.pdparams").relative_to(run.store.folder)
    return {"weights": weights.as_posix(), "inference": f"{name}/{_INFERENCE}"}


def _export(run: TrainingRun[Any], name: str, *, dataset_dir: Path) -> dict[str, Any]:
    """Export a checkpoint; a failing export must not make a finished training a failed one."""
    entry = _model_entry(run, name)
    weight_path = run.store.folder / entry["weights"]
    try:
        run.task.export(
            spec=run.spec,
            weight_path=weight_path,
            output_dir=run.store.folder / entry["inference"],
            dataset_dir=dataset_dir,
        )
    except Exception as error:  # a bug there must not cost the days of a training
        unexpected = not isinstance(error, PaddleXError)
        logger.error("%s was not exported: %s", weight_path, error, exc_info=unexpected)
        entry |= {"inference": None, "export_error": str(error)}
    return entry
