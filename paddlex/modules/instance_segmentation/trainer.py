"""Training of an instance segmentation model: recipe and options in, checkpoints and inference models out."""

from __future__ import annotations

import contextlib
import faulthandler
import platform
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn

import paddlex
from paddlex.data.instance_dataset import InstanceDataset
from paddlex.modules.instance_segmentation.evaluator import evaluate_network
from paddlex.modules.instance_segmentation.exporter import export
from paddlex.modules.instance_segmentation.model_info import ModelInfo, write_model_info
from paddlex.modules.instance_segmentation.start_weights import StartWeights, find_start_weights
from paddlex.modules.instance_segmentation.train_data import read_datasets, train_loader
from paddlex.modules.paddle_device import use_device
from paddlex.modules.recipe_loop import build_loop
from paddlex.nn.draws import UniformDraws
from paddlex.repo_apis.spec import ModelSpec
from paddlex.training import distributed
from paddlex.training.checkpoint import Checkpoints, read_facts
from paddlex.training.checkpoint_store import CheckpointStore
from paddlex.training.hooks import Hook, ProgressReport, StopOnSignal
from paddlex.training.loop import Loop
from paddlex.training.metrics_log import METRICS_FILE, MetricsLog, read_curves
from paddlex.training.optim import freeze_parameters
from paddlex.training.options import TrainOptions
from paddlex.training.random_state import seed_everything
from paddlex.training.results import BEST, FINAL
from paddlex.training.run_log import RunLog
from paddlex.utils.charts_curves import training_curve
from paddlex.utils.errors import PaddleXError, WeightsError
from paddlex.utils.files import write_text
from paddlex.utils.logging import logger

__all__ = ["train"]

_LOG_FILE, _CONFIG_FILE, _CURVE_FILE = "train.log", "config.yaml", "training_curve.png"
_INFERENCE = "inference"
_CURVES = ("AP", "AP50", "bbox_AP")
# What belongs to a run beside its checkpoints, and is moved out of a new run's way with them.
_RUN_FILES = (_LOG_FILE, _CONFIG_FILE, _CURVE_FILE, METRICS_FILE, "train_result.json", "train_results.json")


def train(
    *, spec: ModelSpec, dataset_dir: Path, output_dir: Path, options: TrainOptions, config_text: str
) -> dict[str, Any]:
    """Train a model, evaluate it as it goes, and export the best and the last.

    Args:
        spec: the model.
        dataset_dir: holds images/, annotations/instance_train.json and annotations/instance_val.json.
        output_dir: gets the layout that `Checkpoints` describes, train.log, metrics.jsonl, a chart,
            config.yaml and train_results.json. Checkpoints of an earlier run are moved to previous_<n>/.
        options: the user's choices.
        config_text: what config.yaml shall hold.

    Returns:
        Fields of train_result.json.

    Raises:
        PaddleXError: one of its kinds, for whatever the user can mend.
    """
    started = time.monotonic()
    if not faulthandler.is_enabled():
        faulthandler.enable()
    with RunLog() as log, _plain_memory_errors():
        resumed_from = _checkpoint_to_resume(options.resume_path, output_dir)
        datasets = read_datasets(
            dataset_dir,
            num_classes=options.num_classes,
            allow_empty=options.allow_empty,
            masks=spec.recipe.masks,
        )
        # Before an earlier run is moved: the start weights may be that run's.
        start = _start_weights(options, spec, resumed_from=resumed_from)
        if resumed_from is None:
            _make_room(output_dir)
        log.open(output_dir / _LOG_FILE, append=resumed_from is not None)
        write_text(output_dir / _CONFIG_FILE, config_text)
        device = use_device(options.device)
        _log_environment(device=str(device), options=options)
        run = _Run(spec, datasets=datasets, output_dir=output_dir, options=options, start=start)
        if resumed_from is not None:
            run.checkpoints.resume(run.loop, resumed_from)
            logger.info("resumed from %s after step %d", resumed_from, run.loop.position.step)
        run.train()
        fields = _finish(run, dataset_dir=dataset_dir)
    return {**fields, "seconds": round(time.monotonic() - started, 1)}


# --------------------------------------------------------------------------- before the run


def _checkpoint_to_resume(resume_path: str | None, output_dir: Path) -> Path | None:
    """The `.pdparams` file to go on from."""
    if not resume_path:
        return None
    if resume_path.lower() == "auto":
        newest = CheckpointStore(output_dir).newest()
        if newest is None:
            logger.info("Train.resume_path auto: no checkpoint in %s, starting anew", output_dir)
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
    # The checkpoint brings the weights; all to know is whether the network was unfrozen for scratch.
    from_scratch = bool(read_facts(resumed_from)["from_scratch"])
    return StartWeights(from_scratch=from_scratch)


def _make_room(output_dir: Path) -> None:
    previous = CheckpointStore(output_dir).set_aside(*_RUN_FILES)
    if previous is not None:
        logger.info("the checkpoints of an earlier run in %s were moved to %s", output_dir, previous)


def _log_environment(*, device: str, options: TrainOptions) -> None:
    logger.info(
        "paddlex %s, paddle %s, numpy %s, python %s, %s, device %s",
        paddlex.__version__,
        paddle.__version__,
        np.__version__,
        platform.python_version(),
        platform.platform(),
        device,
    )
    logger.info("options: %s", options)


@contextlib.contextmanager
def _plain_memory_errors() -> Iterator[None]:
    """Turn Paddle's page about exhausted memory into a line with a remedy."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error)
        if not isinstance(error, MemoryError) and "ResourceExhausted" not in text:
            raise
        raise PaddleXError(
            "memory exhausted; lower Train.batch_size (and raise Train.accumulate_steps as much to keep the "
            "photos per step), lower Train.input_size, or set Train.multi_scale=False"
        ) from error


# --------------------------------------------------------------------------- the run


@dataclass(frozen=True)
class _FreshDraws(Hook):
    """Gives the network its own source of randomness for each step: a resumed run draws alike."""

    network: nn.Layer

    def before_step(self, loop: Loop, seed: int) -> None:
        """Replace the source."""
        self.network.draws = UniformDraws(seed)


class _Run:
    """All parts of a run, put together from recipe and options."""

    def __init__(
        self,
        spec: ModelSpec,
        *,
        datasets: tuple[InstanceDataset, InstanceDataset],
        output_dir: Path,
        options: TrainOptions,
        start: StartWeights,
    ) -> None:
        self.spec, self.options, self.output_dir = spec, options, output_dir
        self.datasets = datasets
        self.input_size = spec.recipe.input_size_for(options.input_size)
        seed_everything(options.seed)
        self.network = self._build_network(start)
        self.loader = train_loader(datasets[0], spec.recipe, options, input_size=self.input_size)
        self.metrics_log, self.stop_on_signal = MetricsLog(output_dir), StopOnSignal()
        self.progress = ProgressReport(options.log_interval)
        self.checkpoints = self._checkpoints(from_scratch=start.from_scratch)
        self.loop = build_loop(
            self.network,
            self.loader,
            recipe=spec.recipe,
            options=options,
            from_scratch=start.from_scratch,
            output_dir=output_dir,
            hooks=[
                _FreshDraws(self.network),
                self.stop_on_signal,
                self.progress,
                self.metrics_log,
                self.checkpoints,
            ],
        )

    def train(self) -> None:
        """Run to the end."""
        train, val = self.datasets
        logger.info(
            "%d training photos with %d objects, %d validation photos with %d, %d classes: %s",
            *(len(train), train.num_instances, len(val), val.num_instances, train.num_classes),
            ", ".join(train.class_names),
        )
        try:
            self.loop.run()
        finally:
            self.stop_on_signal.restore()
            self.progress.close()
            self.metrics_log.close()
            self.loader.close()

    def _build_network(self, start: StartWeights) -> nn.Layer:
        network = self.spec.build(num_classes=self.datasets[0].num_classes, eval_size=self.input_size)
        start.apply(network)
        frozen = freeze_parameters(network, self.options.freeze)
        if frozen:
            logger.info("Train.freeze: %d parameters stay as they are", len(frozen))
        return network

    def _checkpoints(self, *, from_scratch: bool) -> Checkpoints:
        options, train = self.options, self.datasets[0]
        info = ModelInfo(
            model_name=self.spec.name,
            class_names=train.class_names,
            category_ids=train.category_ids,
            input_size=self.input_size,
        )
        return Checkpoints(
            CheckpointStore(self.output_dir),
            evaluate=self._evaluate,
            model_name=self.spec.name,
            eval_interval=options.eval_interval,
            save_interval=options.save_interval,
            patience=options.patience,
            keep=options.keep_checkpoints,
            extra_files={"model_info.json": partial(write_model_info, info=info)},
            facts={"from_scratch": from_scratch},
        )

    def _evaluate(self) -> tuple[float, dict[str, float]]:
        found = evaluate_network(
            self.network,
            spec=self.spec,
            dataset=self.datasets[1],
            input_size=self.input_size,
            batch_size=self.options.batch_size,
            num_workers=self.options.num_workers,
        )
        return found["metrics"]["AP"], found["metrics"]


# --------------------------------------------------------------------------- after the run


def _finish(run: _Run, *, dataset_dir: Path) -> dict[str, Any]:
    """Draw the curves, export, and gather the result's fields."""
    if not distributed.is_main_rank():
        return {}
    losses, scores = read_curves(run.output_dir)
    scores = {name: scores[name] for name in _CURVES if name in scores}
    training_curve(run.output_dir / _CURVE_FILE, losses=losses, scores=scores)
    checkpoints = run.checkpoints
    best, last = checkpoints.best, checkpoints.history[-1]
    fields: dict[str, Any] = {
        "model_name": run.spec.name,
        "class_names": list(run.datasets[0].class_names),
        "epochs": run.loop.position.epoch,
        "steps": run.loop.position.step,
        "best_score": best.score if best else None,
        "best_epoch": best.epoch if best else None,
        "last_score": last.score,
        "metrics": best.metrics if best else {},
        "models": {},
    }
    fields["models"][BEST] = _export(run, BEST, dataset_dir=dataset_dir)
    if best == last and fields["models"][BEST]["inference"]:
        _copy_folder(run.output_dir / BEST / _INFERENCE, run.output_dir / FINAL / _INFERENCE)
        fields["models"][FINAL] = _model_entry(FINAL)
    else:
        fields["models"][FINAL] = _export(run, FINAL, dataset_dir=dataset_dir)
    return fields


def _copy_folder(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def _model_entry(name: str) -> dict[str, Any]:
    return {"weights": f"{name}/{name}.pdparams", "inference": f"{name}/{_INFERENCE}"}


def _export(run: _Run, name: str, *, dataset_dir: Path) -> dict[str, Any]:
    """Export a checkpoint; a failing export must not make a finished training a failed one."""
    weight_path = run.output_dir / name / f"{name}.pdparams"
    entry = _model_entry(name)
    try:
        export(
            spec=run.spec,
            weight_path=weight_path,
            output_dir=run.output_dir / name / _INFERENCE,
            dataset_dir=dataset_dir,
        )
    except Exception as error:  # a bug there must not cost the days of a training
        unexpected = not isinstance(error, PaddleXError)
        logger.error("%s was not exported: %s", weight_path, error, exc_info=unexpected)
        entry |= {"inference": None, "export_error": str(error)}
    return entry
