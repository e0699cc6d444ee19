"""Checkpoints: what a run needs to go on as if it had never stopped, and the choice of the best model."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import paddle

from paddlex.training import distributed
from paddlex.training.checkpoint_store import CheckpointStore, Writer
from paddlex.training.hooks import Hook
from paddlex.training.loop import Loop, Position, StepReport
from paddlex.training.optim import load_optimizer_state, optimizer_state
from paddlex.training.results import BEST, FINAL, Evaluated, train_results
from paddlex.training.tensors import assign, snapshot
from paddlex.utils.errors import WeightsError
from paddlex.utils.files import atomic_path, write_json
from paddlex.utils.logging import logger
from paddlex.utils.pdparams import read_pdparams, read_pickle

__all__ = ["LATEST", "Checkpoints", "read_facts"]

LATEST = "latest"

Evaluate = Callable[[], tuple[float, dict[str, float]]]


class Checkpoints(Hook):
    """Saves, evaluates, keeps the best, stops when nothing improves, and resumes.

    A checkpoint `<name>/` holds `<name>.pdparams` (the averaged weights where there is an average),
    `.pdema` (then the raw ones), `.pdopt`, `.pdstates` and `.info.json`. An evaluated epoch e, counted from
    0, is saved as `e/`, the last one as `model_final/`; of a run that counts iterations, those after step n
    are `iter_n/`. The best so far is `best_model/`; `latest/` is the most recent of those that were not
    evaluated.

    Args:
        store: the folders.
        evaluate: scores the network as it is; returns the score that the best is chosen by, and all metrics.
            None: nothing is scored, and no model is the best.
        model_name: public name of the model.
        eval_interval: epochs between evaluations, or steps where the run counts iterations.
        save_interval: steps between checkpoints inside an epoch, or None.
        patience: evaluations without a better score that end the run, or None.
        has_stalled: tells from all evaluations, oldest first, whether to end the run; in place of `patience`.
        keep: evaluated checkpoints to keep; None keeps all.
        name_epochs: name of the checkpoint after so many epochs, in place of the names above.
        first_of_equals: of equal scores the first is the best, else the last.
        extra_files: what writes further files of a checkpoint, by file name.
        complete: called with the folder of a checkpoint once it is written and scored, before the best is
            copied from it.
        facts: plain data that a resumed run needs before it can build its loop; see `read_facts`.
    """

    def __init__(
        self,
        store: CheckpointStore,
        *,
        evaluate: Evaluate | None,
        model_name: str,
        eval_interval: int = 1,
        save_interval: int | None = None,
        patience: int | None = None,
        has_stalled: Callable[[Sequence[Evaluated]], bool] | None = None,
        keep: int | None = 5,
        name_epochs: Callable[[int], str] | None = None,
        first_of_equals: bool = False,
        extra_files: Mapping[str, Writer] | None = None,
        complete: Callable[[Path, Evaluated], object] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.history: list[Evaluated] = []
        self.best: Evaluated | None = None
        self._store, self._evaluate, self._model_name = store, evaluate, model_name
        self._eval_interval, self._save_interval = eval_interval, save_interval
        self._has_stalled = has_stalled or partial(_without_better_score, patience=patience)
        self._keep, self._name_epochs, self._first_of_equals = keep, name_epochs, first_of_equals
        self._complete = complete
        self._extra_files, self._facts = dict(extra_files or {}), dict(facts or {})

    # ------------------------------------------------------------------ moments

    def before_training(self, loop: Loop) -> None:
        """Put a resumed run in order: name its former end by number, make up for a missed evaluation."""
        last = self.history[-1] if self.history else None
        if last and last == self.best and (self._store.folder / last.name).is_dir():
            # The run may have died after the score was recorded and before the best was copied.
            self._store.copy(last.name, BEST)
        if last and last.name == FINAL and last.epoch < loop.epochs:
            self.history[-1] = self._rename(last, str(last.epoch - 1))
        if self._is_due(loop) and not (last and _progress(loop, last) == _progress(loop, loop.position)):
            self._save_and_evaluate(loop)

    def after_step(self, loop: Loop, report: StepReport) -> None:
        """Save inside an epoch when due, or when the run is to stop."""
        if loop.counts_iterations and self._is_due(loop):
            self._save_and_evaluate(loop)
            return
        due = self._save_interval is not None and loop.position.step % self._save_interval == 0
        if loop.stop_requested or (due and loop.position.step_in_epoch < loop.steps_per_epoch):
            self.save(loop, LATEST)

    def after_epoch(self, loop: Loop) -> None:
        """Save; evaluate when due."""
        if loop.counts_iterations:
            return
        if self._is_due(loop):
            self._save_and_evaluate(loop)
        else:
            self.save(loop, LATEST)

    def after_training(self, loop: Loop) -> None:
        """Say that the run is complete, unless it was interrupted."""
        ended = loop.finished or self._has_stalled(self.history)
        if distributed.is_main_rank() and self.history and ended:
            self._write_results(loop, done=True)

    # ------------------------------------------------------------------ saving

    def save(self, loop: Loop, name: str) -> None:
        """Write checkpoint `name`; only the main rank does."""
        if not distributed.is_main_rank():
            return
        self._store.write(name, self._writers(loop, name))
        logger.info("checkpoint saved: %s after step %d", self._store.folder / name, loop.position.step)

    def _writers(self, loop: Loop, name: str) -> dict[str, Writer]:
        weights = dict(loop.network.state_dict())
        raw = snapshot(weights)
        contents: dict[str, Any] = {".pdparams": raw}
        if loop.ema is not None:
            contents = {".pdparams": loop.ema.averaged(), ".pdema": raw}
        contents[".pdopt"] = {
            "optimizer": optimizer_state(loop.optimizer, loop.parameters),
            "ema": {} if loop.ema is None else loop.ema.state_beside_averages(),
            "last_epoch": loop.position.epoch,
        }
        contents[".pdstates"] = self._states(loop, score=None)
        writers: dict[str, Writer] = {
            f"{self._store.stem(name).name}{suffix}": partial(_save, content)
            for suffix, content in contents.items()
        }
        return {**writers, **self._extra_files}

    def _states(self, loop: Loop, *, score: float | None) -> dict[str, Any]:
        return {
            "metric": score,
            **dataclasses.asdict(loop.position),
            "steps_per_epoch": loop.steps_per_epoch,
            "seed": loop.seed,
            "ema_step": loop.ema.step if loop.ema is not None else None,
            "precision": loop.precision.state(),
            "facts": self._facts,
            "history": [dataclasses.asdict(item) for item in self.history],
            "best": dataclasses.asdict(self.best) if self.best else None,
        }

    # ------------------------------------------------------------------ evaluating

    def _is_due(self, loop: Loop) -> bool:
        position = loop.position
        if position.step == 0 or (position.step_in_epoch and not loop.counts_iterations):
            return False
        return loop.finished or _progress(loop, position) % self._eval_interval == 0

    def _save_and_evaluate(self, loop: Loop) -> None:
        """Save first, so that a failing evaluation costs no training; the score is added afterwards."""
        epoch, step = loop.position.epoch, loop.position.step
        name = self._name(loop)
        self.save(loop, name)
        if not distributed.is_main_rank():
            return
        self._store.remove(LATEST)
        score, metrics = (0.0, {}) if self._evaluate is None else self._score(loop, self._evaluate)
        entry = Evaluated(name=name, epoch=epoch, step=step, score=score, metrics=metrics)
        self.history.append(entry)
        improved = self._evaluate is not None and self._is_better(score)
        if improved:
            self.best = entry
        self._record_score(loop, entry)
        if improved:
            self._store.copy(name, BEST)
        if self.best is not None:
            place = f"iteration {step}" if loop.counts_iterations else f"epoch {epoch}"
            logger.info("%s: score %.4f, best %.4f", place, score, self.best.score)
        if self._has_stalled(self.history) and not loop.finished:
            logger.info("no better score lately: stopping early")
            if not loop.counts_iterations and self._name_epochs is None:
                self.history[-1] = self._rename(entry, FINAL)
            loop.stop_requested = True
        for old in self.history[: -self._keep] if self._keep is not None else ():
            self._store.remove(old.name)
        self._write_results(loop, done=False)

    def _name(self, loop: Loop) -> str:
        if loop.counts_iterations:
            return f"iter_{loop.position.step}"
        if self._name_epochs is not None:
            return self._name_epochs(loop.position.epoch)
        return FINAL if loop.finished else str(loop.position.epoch - 1)

    def _is_better(self, score: float) -> bool:
        if self.best is None:
            return True
        return score > self.best.score if self._first_of_equals else score >= self.best.score

    def _score(self, loop: Loop, evaluate: Evaluate) -> tuple[float, dict[str, float]]:
        for hook in loop.hooks:
            hook.before_evaluation(loop)
        loop.network.eval()
        with contextlib.nullcontext() if loop.ema is None else loop.ema.applied():
            score, metrics = evaluate()
        loop.network.train()
        for hook in loop.hooks:
            hook.after_evaluation(loop, metrics)
        if not math.isfinite(score):
            logger.warning("the evaluation gave no score (no annotated objects?); counted as 0")
            score = 0.0
        return score, metrics

    def _record_score(self, loop: Loop, entry: Evaluated) -> None:
        stem = self._store.stem(entry.name)
        _save(self._states(loop, score=entry.score), Path(f"{stem}.pdstates"))
        write_json(f"{stem}.info.json", {"metric": entry.score, "epoch": entry.epoch})
        if self._complete is not None:
            self._complete(stem.parent, entry)

    def _rename(self, entry: Evaluated, name: str) -> Evaluated:
        if (self._store.folder / entry.name).is_dir():
            self._store.copy(entry.name, name)
            self._store.remove(entry.name)
        return dataclasses.replace(entry, name=name)

    def _write_results(self, loop: Loop, *, done: bool) -> None:
        content = train_results(
            model_name=self._model_name,
            history=self.history,
            best=self.best,
            with_ema=loop.ema is not None,
            done=done,
            file_stem=self._store.file_stem,
        )
        write_json(self._store.folder / "train_results.json", content)

    # ------------------------------------------------------------------ resuming

    def resume(self, loop: Loop, weight_path: Path) -> None:
        """Put `loop` where the checkpoint of `weight_path` left it.

        Args:
            loop: a loop that has not run.
            weight_path: its `.pdparams` file.

        Raises:
            WeightsError: if files are missing or belong to another network.
        """
        stem = weight_path.with_suffix("")
        states = _read_states(weight_path)
        averages = read_pdparams(weight_path)
        raw = read_pdparams(Path(f"{stem}.pdema")) if Path(f"{stem}.pdema").is_file() else averages
        weights = dict(loop.network.state_dict())
        _require_same(weights, raw, path=weight_path)
        assign(weights, raw)
        rest = read_pickle(Path(f"{stem}.pdopt"))
        load_optimizer_state(loop.optimizer, loop.parameters, rest["optimizer"])
        if loop.ema is not None and states["ema_step"] is not None:
            loop.ema.load_state({**averages, **rest["ema"]}, step=states["ema_step"])
        loop.precision.load_state(states["precision"])
        loop.position = _position(loop, states)
        self.history = [Evaluated(**item) for item in states["history"]]
        self.best = Evaluated(**states["best"]) if states["best"] else None


def _without_better_score(history: Sequence[Evaluated], *, patience: int | None) -> bool:
    """Whether so many evaluations have passed since the best score was reached last."""
    if patience is None or not history:
        return False
    best = max(item.score for item in history)
    newest = max(place for place, item in enumerate(history) if item.score == best)
    return len(history) - 1 - newest >= patience


def _progress(loop: Loop, at: Position | Evaluated) -> int:
    """What has been done in the run's own unit: epochs finished, or steps."""
    return at.step if loop.counts_iterations else at.epoch


def read_facts(weight_path: Path) -> dict[str, Any]:
    """The `facts` that the checkpoint of `weight_path` was saved with.

    Raises:
        WeightsError: if it is no checkpoint.
    """
    return dict(_read_states(weight_path)["facts"])


def _read_states(weight_path: Path) -> dict[str, Any]:
    path = weight_path.with_suffix(".pdstates")
    states = read_pickle(path)
    if not isinstance(states, dict) or "facts" not in states:
        raise WeightsError(
            f"{path}: not a checkpoint of this toolkit; to start from its weights only, give them as "
            "Train.pretrain_weight_path"
        )
    return states


def _position(loop: Loop, states: Mapping[str, Any]) -> Position:
    if states["steps_per_epoch"] == loop.steps_per_epoch and states["seed"] == loop.seed:
        return Position(**{key: states[key] for key in ("epoch", "step_in_epoch", "step")})
    if loop.counts_iterations:
        epoch, step_in_epoch = divmod(states["step"], loop.steps_per_epoch)
        return Position(epoch=epoch, step_in_epoch=step_in_epoch, step=states["step"])
    logger.warning(
        "the photos, batch size, cards or seed are not those of the first run: going on from the beginning "
        "of epoch %d, not to the last bit as it would have gone",
        states["epoch"],
    )
    return Position(epoch=states["epoch"], step=states["epoch"] * loop.steps_per_epoch)


def _require_same(weights: Mapping[str, paddle.Tensor], arrays: Mapping[str, Any], *, path: Path) -> None:
    wrong = [
        name
        for name, value in weights.items()
        if name not in arrays or tuple(arrays[name].shape) != tuple(value.shape)
    ]
    if wrong:
        raise WeightsError(
            f"{path}: {len(wrong)} of {len(weights)} weights are missing or of another shape "
            f"({wrong[0]}, ...); resume with the model and classes of the first run"
        )


def _save(content: Any, path: Path) -> None:  # noqa: ANN401 (plain data and arrays)
    with atomic_path(path) as temporary:
        paddle.save(content, str(temporary))
