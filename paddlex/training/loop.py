"""The training loop. It knows no task: batches go in, a dict of losses with their sum "loss" comes out."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import paddle
from paddle import nn

from paddlex.nn.conv_cpu import fast_convolutions
from paddlex.training import distributed
from paddlex.training.divergence import require_finite_losses, stop_for_gradients
from paddlex.training.ema import Ema
from paddlex.training.hooks import Hook, describe_batch
from paddlex.training.optim import (
    clip_gradients,
    nonfinite_gradients,
    trainable_parameters,
    wind_scheduler,
)
from paddlex.training.precision import Precision
from paddlex.training.random_state import seed_everything, step_seed
from paddlex.training.tensors import to_tensors

__all__ = ["Loader", "Loop", "Position", "StepReport"]

Batch = Mapping[str, Any]


class Loader(Protocol):
    """Batches of NumPy arrays whose content depends on (seed, epoch, index) alone."""

    def epoch(self, epoch: int, *, start: int = 0) -> Iterable[Batch]:
        """Yield the batches of an epoch from number `start` on."""

    def __len__(self) -> int:
        """Batches of an epoch."""


@dataclass(kw_only=True)
class Position:
    """How far a run has come.

    Attributes:
        epoch: epochs finished.
        step_in_epoch: optimiser steps done in the epoch that is under way.
        step: optimiser steps done in all.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What one optimiser step did.

    Attributes:
        step: its number, from 0.
        epoch: the epoch it belongs to, from 0.
        losses: terms and "loss", mean over cards and accumulated batches.
        learning_rate: before the parameters' own factors.
        gradient_norm: global L2 norm before clipping.
        images: photos seen, on all cards.
        data_seconds: spent waiting for batches.
        seconds: in all.
    """

    step: int
    epoch: int
    losses: dict[str, float]
    learning_rate: float
    gradient_norm: float
    images: int
    data_seconds: float
    seconds: float


class Loop:
    """Runs epochs of steps, or so many steps, and calls hooks around them.

    Args:
        network: in training mode maps a batch to its losses.
        loader: source of batches.
        optimizer: over the network's trainable parameters.
        learning_rate: rate of each step; None leaves it to the optimizer's own rate or scheduler, which is
            moved on after every step.
        epochs: length of the run; or
        iterations: its length in steps, which may end within an epoch.
        output_dir: where a batch that breaks the numbers is saved.
        accumulate_steps: batches per optimiser step.
        clip_norm: largest global gradient norm, or None.
        ema: average to keep up to date, or None.
        precision: how numbers are held; None is float32.
        seed: of all that the network draws.
        hooks: called in this order.

    Attributes:
        position: how far the run has come; a resumed run sets it.
        stop_requested: set by a hook to end the run after the present step or epoch.
    """

    def __init__(
        self,
        *,
        network: nn.Layer,
        loader: Loader,
        optimizer: paddle.optimizer.Optimizer,
        learning_rate: Callable[[int], float] | None,
        output_dir: Path,
        epochs: int | None = None,
        iterations: int | None = None,
        accumulate_steps: int = 1,
        clip_norm: float | None = None,
        ema: Ema | None = None,
        precision: Precision | None = None,
        seed: int = 0,
        hooks: Sequence[Hook] = (),
    ) -> None:
        assert (epochs is None) != (iterations is None), "a run has one length"
        self.network, self.loader, self.optimizer = network, loader, optimizer
        self.learning_rate, self.output_dir = learning_rate, output_dir
        self.ema, self.precision, self.seed, self.hooks = (
            ema,
            precision or Precision("off"),
            seed,
            list(hooks),
        )
        self.parameters = trainable_parameters(network)
        self.position = Position()
        self.stop_requested = False
        self._accumulate_steps, self._clip_norm = accumulate_steps, clip_norm
        self._epochs, self._iterations = epochs, iterations

    @property
    def counts_iterations(self) -> bool:
        """Whether the run's length was given in steps."""
        return self._iterations is not None

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch."""
        return -(-len(self.loader) // self._accumulate_steps)

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the run."""
        if self._iterations is not None:
            return self._iterations
        assert self._epochs is not None
        return self.steps_per_epoch * self._epochs

    @property
    def epochs(self) -> int:
        """Epochs of the run, the last of which may be cut short."""
        return -(-self.total_steps // self.steps_per_epoch)

    @property
    def finished(self) -> bool:
        """Whether all steps, and what belongs to the end of an epoch, are done."""
        if self._iterations is not None:
            return self.position.step >= self._iterations
        return self.position.epoch >= self.epochs

    def run(self) -> None:
        """Train from `position` to the end, or until a hook asks to stop."""
        if self.learning_rate is None:
            wind_scheduler(self.optimizer, steps=self.position.step)
        self._call_hooks("before_training")
        self._agree_on_stopping()
        while not self.finished and not self.stop_requested:
            self._run_epoch()
            self._agree_on_stopping()
        self._call_hooks("after_training")

    def _run_epoch(self) -> None:
        self.network.train()
        start = self.position.step_in_epoch * self._accumulate_steps
        batches = self.loader.epoch(self.position.epoch, start=start)
        clock = time.perf_counter()
        for group in _grouped(batches, self._accumulate_steps):
            if self.position.step_in_epoch == 0 and self.position.epoch == 0:
                describe_batch(group[0])
            report = self._step(group, started=clock)
            self.position.step += 1
            self.position.step_in_epoch += 1
            for hook in self.hooks:
                hook.after_step(self, report)
            self._agree_on_stopping()
            whole = self.position.step_in_epoch == self.steps_per_epoch
            if self.stop_requested or (self.finished and not whole):
                return
            clock = time.perf_counter()
        self.position.epoch += 1
        self.position.step_in_epoch = 0
        self._call_hooks("after_epoch")

    def _step(self, batches: Sequence[Batch], *, started: float) -> StepReport:
        loaded = time.perf_counter()
        step = self.position.step
        seed = step_seed(self.seed, rank=distributed.rank(), step=step)
        seed_everything(seed)
        for hook in self.hooks:
            hook.before_step(self, seed)
        if self.learning_rate is not None:
            self.optimizer.set_lr(self.learning_rate(step))
        rate = float(self.optimizer.get_lr())
        losses = self._backward(batches)
        norm = self._update(batches)
        if self.learning_rate is None:
            wind_scheduler(self.optimizer, steps=1)
        return StepReport(
            step=step,
            epoch=self.position.epoch,
            losses=losses,
            learning_rate=rate,
            gradient_norm=norm,
            images=sum(len(batch["image"]) for batch in batches) * distributed.world_size(),
            data_seconds=loaded - started,
            seconds=time.perf_counter() - started,
        )

    def _backward(self, batches: Sequence[Batch]) -> dict[str, float]:
        """Add up the gradients of `batches`; return their mean losses."""
        totals: dict[str, float] = {}
        for batch in batches:
            with self.precision.autocast(), fast_convolutions():
                losses = self.network(to_tensors(batch))
            # One transfer for all terms; it also waits for the card, so that the times are true.
            values = paddle.stack([value.reshape([]).astype("float32") for value in losses.values()]).numpy()
            values = distributed.average_over_ranks(values)
            named = dict(zip(losses, map(float, values), strict=True))
            require_finite_losses(named, batch=batch, step=self.position.step, folder=self.output_dir)
            self.precision.backward(losses["loss"] / len(batches))
            for name, value in named.items():
                totals[name] = totals.get(name, 0.0) + value / len(batches)
        return totals

    def _update(self, batches: Sequence[Batch]) -> float:
        """Clip, step and average; return the gradients' norm."""
        distributed.average_gradients(self.parameters.values())
        self.precision.unscale(self.optimizer)
        norm = clip_gradients(self.parameters.values(), max_norm=self._clip_norm)
        if not np.isfinite(norm) and not self.precision.rescues_overflow:
            names = nonfinite_gradients(self.parameters)
            stop_for_gradients(names, batches=batches, step=self.position.step, folder=self.output_dir)
        self.precision.step(self.optimizer)
        # None rather than zeros: a parameter that a batch does not use must not be decayed by that batch.
        self.optimizer.clear_grad(set_to_zero=False)
        if self.ema is not None:
            self.ema.update()
        return norm

    def _agree_on_stopping(self) -> None:
        """The hooks of the main process may ask to stop; those of the others need not know why."""
        self.stop_requested = distributed.main_rank_decides(self.stop_requested)

    def _call_hooks(self, moment: str) -> None:
        for hook in self.hooks:
            getattr(hook, moment)(self)


def _grouped(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    iterator = iter(batches)
    while group := list(itertools.islice(iterator, size)):
        yield group
