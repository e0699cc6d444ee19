"""What may happen around the steps of a run."""

from __future__ import annotations

import signal
import statistics
import threading
from collections import deque
from collections.abc import Mapping
from datetime import timedelta
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
import paddle
from rich.progress import Progress, TaskID

from paddlex.utils.errors import PaddleXError
from paddlex.utils.logging import logger
from paddlex.utils.progress import progress_bar

if TYPE_CHECKING:
    from paddlex.training.loop import Loop, StepReport

__all__ = ["Hook", "ProgressReport", "StopOnSignal", "describe_batch", "memory_megabytes"]

_TERMS_OF_A_LINE = 8


class Hook:
    """Does nothing at each moment; subclasses override the moments they need."""

    def before_training(self, loop: Loop) -> None:
        """Called once, with `loop.position` where the run begins or resumes."""

    def before_step(self, loop: Loop, seed: int) -> None:
        """Called before each step; `seed` is the step's own, for generators that `loop` does not know."""

    def after_step(self, loop: Loop, report: StepReport) -> None:
        """Called after each step, with `loop.position` already past it."""

    def after_epoch(self, loop: Loop) -> None:
        """Called after each whole epoch, with `loop.position` at the beginning of the next."""

    def before_evaluation(self, loop: Loop) -> None:
        """Called before each evaluation."""

    def after_evaluation(self, loop: Loop, metrics: Mapping[str, float]) -> None:
        """Called after each evaluation."""

    def after_training(self, loop: Loop) -> None:
        """Called once, at the end or after a request to stop; not after an error."""


class ProgressReport(Hook):
    """A bar for people, and every `interval` steps a line with the medians since the last one.

    Args:
        interval: steps between lines.
    """

    def __init__(self, interval: int) -> None:
        self._interval = interval
        self._window: deque[StepReport] = deque(maxlen=interval)
        self._recent_seconds: deque[float] = deque(maxlen=100)
        self._bar: tuple[Progress, TaskID] | None = None

    def after_step(self, loop: Loop, report: StepReport) -> None:
        """Advance the bar; write a line when due."""
        self._window.append(report)
        self._recent_seconds.append(report.seconds)
        status = (
            f"epoch {report.epoch + 1}/{loop.epochs}  loss {report.losses['loss']:.4f}  "
            f"lr {report.learning_rate:.2e}  {report.images / report.seconds:.1f} images/s  "
            f"{memory_megabytes():.0f} MB"
        )
        bar, task = self._shown(loop)
        bar.update(task, completed=loop.position.step, status=status)
        ends_epoch = loop.position.step_in_epoch == loop.steps_per_epoch and not loop.counts_iterations
        if loop.position.step % self._interval == 0 or ends_epoch or loop.position.step == loop.total_steps:
            logger.info("%s", self._line(loop, report))
            self._window.clear()

    def before_evaluation(self, loop: Loop) -> None:
        """Make room for the bar of an evaluation; the next step brings this one back."""
        self.close()

    def after_training(self, loop: Loop) -> None:
        """Take the bar away."""
        self.close()

    def close(self) -> None:
        """Take the bar away; also to be called after an error."""
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None

    def _shown(self, loop: Loop) -> tuple[Progress, TaskID]:
        if self._bar is None:
            bar = progress_bar(transient=True)
            bar.start()
            self._bar = bar, bar.add_task("Training", total=loop.total_steps, status="")
        return self._bar

    def _line(self, loop: Loop, report: StepReport) -> str:
        window = list(self._window)
        done, steps, unit = loop.position.step_in_epoch, loop.steps_per_epoch, ""
        if loop.counts_iterations:
            done, steps, unit = loop.position.step, loop.total_steps, "Iter: "
        count = f"{unit}[{done:>{len(str(steps))}}/{steps}]"
        losses = " ".join(
            f"{name}: {statistics.median(item.losses.get(name, 0.0) for item in window):.6f}"
            for name in _headline(list(report.losses))
        )
        seconds = statistics.mean(item.seconds for item in window)
        data_seconds = statistics.mean(item.data_seconds for item in window)
        left = statistics.mean(self._recent_seconds) * (loop.total_steps - loop.position.step)
        return (
            f"Epoch: [{report.epoch}] {count} learning_rate: {report.learning_rate:.6g} {losses} "
            f"grad_norm: {statistics.median(item.gradient_norm for item in window):.4f} "
            f"eta: {timedelta(seconds=round(left))} batch_cost: {seconds:.4f} data_cost: {data_seconds:.4f} "
            f"ips: {report.images / seconds:.4f} images/s memory: {memory_megabytes():.0f} MB"
        )


def _headline(names: list[str]) -> list[str]:
    """The terms a line can hold: of many, those that are not auxiliary; metrics.jsonl has them all."""
    if len(names) <= _TERMS_OF_A_LINE:
        return names
    return [name for name in names if not name.endswith(("_aux", "_dn"))]


def memory_megabytes() -> float:
    """Most memory held so far: of the current GPU, else resident memory of this process; 0 if unknown."""
    if paddle.get_device().startswith("gpu"):
        return float(paddle.device.cuda.max_memory_allocated()) / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) / (1e6 if sys.platform == "darwin" else 1e3)


def describe_batch(batch: Mapping[str, Any]) -> None:
    """Log names, shapes, types and ranges: most faults of data or transforms show there."""
    for name, value in batch.items():
        logger.info("first batch: %s: %s", name, _described(value))


def _described(value: Any) -> str:  # noqa: ANN401 (what a batch may hold)
    if isinstance(value, np.ndarray):
        span = f", {value.min():.6g} to {value.max():.6g}" if value.size else ""
        return f"{value.dtype} {tuple(value.shape)}{span}"
    if isinstance(value, (list, tuple)):
        return "[" + "; ".join(_described(item) for item in value) + "]"
    return str(value)


class StopOnSignal(Hook):
    """On SIGINT (Ctrl-C) or SIGTERM, finish the step, let a checkpoint be saved, and stop with one line.

    A second signal has its usual effect. Signals can be caught in the main thread only; elsewhere this does
    nothing. Put it before the hook that saves.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self._previous: dict[signal.Signals, Any] = {}
        self._received: signal.Signals | None = None

    def before_training(self, loop: Loop) -> None:
        """Take over the signals."""
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._receive) for number in self._SIGNALS}

    def after_step(self, loop: Loop, report: StepReport) -> None:
        """Pass the request on to the loop."""
        if self._received is not None:
            loop.stop_requested = True

    def after_training(self, loop: Loop) -> None:
        """Give the signals back; raise if one ended the run."""
        self.restore()
        if self._received is not None and not loop.finished:
            raise PaddleXError(
                f"training stopped by {self._received.name} after step {loop.position.step} of "
                f"{loop.total_steps}; continue with Train.resume_path=auto"
            )

    def restore(self) -> None:
        """Give the signals back to whom they belonged; also to be called after an error."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _receive(self, number: int, _: FrameType | None) -> None:
        self._received = signal.Signals(number)
        logger.warning("%s: stopping after this step; once more stops at once", self._received.name)
        self.restore()
