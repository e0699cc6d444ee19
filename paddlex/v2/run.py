"""A training run as PaddleX 2 has it: epochs over a data set with transforms, folders `epoch_<n>`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import paddle
from paddle import nn

from paddlex.data.loader import BatchLoader, Dataset
from paddlex.data.transforms.base import BatchCompose, Compose
from paddlex.modules.model_info import ModelInfo, write_model_info
from paddlex.modules.paddle_device import use_device
from paddlex.modules.recipe_loop import build_loop
from paddlex.modules.run_environment import ReadyForStep, log_environment, plain_memory_errors
from paddlex.repo_apis.recipe import Recipe
from paddlex.training.checkpoint import Checkpoints
from paddlex.training.checkpoint_store import CheckpointStore
from paddlex.training.hooks import ProgressReport, StopOnSignal
from paddlex.training.loop import Loop
from paddlex.training.metrics_log import METRICS_FILE, MetricsLog, ScalarWriter, read_curves
from paddlex.training.options import TrainOptions
from paddlex.training.random_state import seed_everything
from paddlex.training.results import Evaluated
from paddlex.training.run_log import RunLog
from paddlex.training.schedules import LearningRate
from paddlex.utils.charts_curves import training_curve
from paddlex.utils.errors import UsageError
from paddlex.utils.logging import logger
from paddlex.v2.early_stop import has_stalled

__all__ = ["EpochRun", "Photos", "run_epochs"]

_LOG_FILE, _CURVE_FILE, _VISUALDL = "train.log", "training_curve.png", "vdl_log"
_LESS_MEMORY = "lower train_batch_size, or the sizes in the transforms of the training set"


class Photos(Protocol):
    """A data set of `paddlex.datasets`, as far as a run knows it."""

    @property
    def samples(self) -> Dataset:
        """Annotated photos by index."""

    @property
    def transforms(self) -> Any:  # noqa: ANN401 (a Compose of any namespace, or None)
        """What is done to them."""

    @property
    def shuffle(self) -> bool:
        """Whether their order is drawn anew for each epoch."""

    @property
    def num_workers(self) -> int:
        """Processes that read them."""


@dataclass(frozen=True, kw_only=True)
class EpochRun:
    """What is to be trained, and how.

    Attributes:
        network: with its start weights.
        info: goes beside every checkpoint.
        recipe: optimiser, clipping and average.
        dataset: training photos.
        batch_transforms: for each batch, after the data set's own.
        epochs: length of the run.
        batch_size: photos per step.
        learning_rate: of the recipe's optimiser, from (steps of an epoch).
        optimizer: the user's, with a rate of its own, or None.
        evaluate: scores the network as it is: (score, all metrics); None: nothing is evaluated.
        save_dir: gets the folders.
        save_interval: epochs between checkpoints and evaluations; the last epoch always has them.
        log_interval: steps between log lines.
        early_stop_patience: see `has_stalled`; None never stops.
        use_ema: average the weights.
        use_visualdl: write curves for VisualDL to `vdl_log`.
        from_scratch: the network began without weights.
        resume_from: the `.pdparams` file of a checkpoint to go on from, or None.
        complete: finishes the folder of a checkpoint.
        curves: metrics that are drawn, and their largest values.
    """

    network: nn.Layer
    info: ModelInfo
    recipe: Recipe
    dataset: Photos
    batch_transforms: BatchCompose
    epochs: int
    batch_size: int
    learning_rate: Callable[[int], LearningRate]
    optimizer: paddle.optimizer.Optimizer | None
    evaluate: Callable[[], tuple[float, dict[str, float]]] | None
    save_dir: Path
    save_interval: int
    log_interval: int
    early_stop_patience: int | None
    use_ema: bool
    use_visualdl: bool
    from_scratch: bool
    resume_from: Path | None
    complete: Callable[[Path, Evaluated], object]
    curves: Mapping[str, float]


def run_epochs(run: EpochRun) -> int:
    """Train to the end, or until it stops early.

    Returns:
        Epochs that the network has been trained for.

    Raises:
        PaddleXError: one of its kinds, for whatever the user can mend.
    """
    with RunLog() as log, plain_memory_errors(_LESS_MEMORY):
        store = CheckpointStore(run.save_dir, file_stem="model")
        if run.resume_from is None:
            previous = store.set_aside(_LOG_FILE, _CURVE_FILE, _VISUALDL, METRICS_FILE, "train_results.json")
            if previous is not None:
                logger.info("the models of an earlier run in %s were moved to %s", run.save_dir, previous)
        log.open(run.save_dir / _LOG_FILE, append=run.resume_from is not None)
        options = _options(run)
        log_environment(device=str(use_device(None)), options=options)
        loop, closing = _build(run, store, options)
        try:
            loop.run()
        finally:
            for close in closing:
                close()
        losses, scores = read_curves(run.save_dir)
        drawn = {
            name: [(step, value / most) for step, value in scores[name]]
            for name, most in run.curves.items()
            if name in scores
        }
        training_curve(run.save_dir / _CURVE_FILE, losses=losses, scores=drawn)
    return loop.position.epoch


def _options(run: EpochRun) -> TrainOptions:
    return TrainOptions(
        epochs=run.epochs,
        batch_size=run.batch_size,
        log_interval=run.log_interval,
        eval_interval=run.save_interval,
        num_workers=run.dataset.num_workers,
        ema=run.use_ema,
        clip_norm=None if run.optimizer is not None else "recipe",
    )


def _build(
    run: EpochRun, store: CheckpointStore, options: TrainOptions
) -> tuple[Loop, list[Callable[[], object]]]:
    """The loop, and what closes its parts whatever happens."""
    seed_everything(options.seed)
    loader = BatchLoader(
        run.dataset.samples,
        batch_size=run.batch_size,
        sample_transforms=_sample_transforms(run),
        batch_transforms=run.batch_transforms,
        shuffle=run.dataset.shuffle,
        drop_last=True,
        seed=options.seed,
        num_workers=options.num_workers,
    )
    progress, stop = ProgressReport(run.log_interval), StopOnSignal()
    metrics_log = MetricsLog(run.save_dir, open_writers=partial(_visualdl, run.save_dir, run.use_visualdl))
    checkpoints = _checkpoints(run, store)
    loop = build_loop(
        run.network,
        loader,
        recipe=run.recipe,
        options=options,
        from_scratch=run.from_scratch,
        output_dir=run.save_dir,
        hooks=[ReadyForStep(run.network), stop, progress, metrics_log, checkpoints],
        optimizer=run.optimizer,
        learning_rate=None if run.optimizer is not None else run.learning_rate(len(loader)),
    )
    if run.resume_from is not None:
        checkpoints.resume(loop, run.resume_from)
        logger.info("resumed from %s after epoch %d", run.resume_from.parent, loop.position.epoch)
        if loop.finished:
            raise UsageError(
                f"resume_checkpoint {run.resume_from.parent}: has {loop.position.epoch} epochs already; "
                f"found num_epochs {run.epochs}, expected more"
            )
    return loop, [stop.restore, progress.close, metrics_log.close, loader.close]


def _sample_transforms(run: EpochRun) -> Compose:
    chain: Compose = run.dataset.transforms.sample_chain()
    return chain


def _checkpoints(run: EpochRun, store: CheckpointStore) -> Checkpoints:
    patience = run.early_stop_patience if run.evaluate is not None else None
    return Checkpoints(
        store,
        evaluate=run.evaluate,
        model_name=run.info.model_name,
        eval_interval=run.save_interval,
        has_stalled=lambda history: (
            patience is not None and has_stalled((item.score for item in history), patience=patience)
        ),
        keep=None,
        name_epochs="epoch_{}".format,
        first_of_equals=True,
        extra_files={"model_info.json": partial(write_model_info, info=run.info)},
        complete=run.complete,
        facts={"from_scratch": run.from_scratch, "network": dict(run.info.network)},
    )


def _visualdl(folder: Path, wanted: bool) -> list[ScalarWriter]:
    if not wanted:
        return []
    try:
        from visualdl import LogWriter
    except ImportError:
        logger.info('use_vdl: VisualDL is not installed; `pip install "paddlex[visualdl]"` brings its curves')
        return []
    return [LogWriter(logdir=str(folder / _VISUALDL))]
