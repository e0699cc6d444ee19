"""Numbers of a run for machines: JSON lines always, VisualDL and TensorBoard where they are installed."""

from __future__ import annotations

import contextlib
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TextIO

from paddlex.training.hooks import Hook, memory_megabytes
from paddlex.training.loop import Loop, StepReport
from paddlex.utils.files import finite_json, write_text
from paddlex.utils.logging import logger

__all__ = ["METRICS_FILE", "MetricsLog", "ScalarWriter", "read_curves"]

METRICS_FILE = "metrics.jsonl"

# What a step's line holds besides its losses, whose names are the network's own.
_BESIDE_LOSSES = frozenset(
    {"step", "epoch", "learning_rate", "gradient_norm", "images_per_second", "data_seconds", "memory_mb"}
)

Points = list[tuple[float, float]]


class ScalarWriter(Protocol):
    """What shows numbers as curves."""

    def add_scalar(self, tag: str, value: float, step: int, /) -> object:
        """Take in a number."""

    def close(self) -> object:
        """Write what is left."""


class MetricsLog(Hook):
    """Appends one JSON line a step and one an evaluation to `metrics.jsonl`.

    A step's line has `step`, `epoch`, every loss, `learning_rate`, `gradient_norm`, `images_per_second`,
    `data_seconds` and `memory_mb`; an evaluation's has `step`, `epoch` and `evaluation` with its metrics.
    Numbers are written with all their digits.

    Args:
        folder: the output folder.
        open_writers: opens what scalars are written to beside that file; None: VisualDL and TensorBoard, in
            the output folder, where they are installed.
    """

    def __init__(self, folder: Path, *, open_writers: Callable[[], list[ScalarWriter]] | None = None) -> None:
        self._folder = folder
        self._open_writers = open_writers or partial(_installed_writers, folder)
        self._file: TextIO | None = None
        self._writers: list[ScalarWriter] = []

    def before_training(self, loop: Loop) -> None:
        """Open the files; lines of steps that a resumed run will take again are dropped."""
        path = self._folder / METRICS_FILE
        kept = [line for line, content in _lines(path) if content["step"] < loop.position.step]
        write_text(path, "".join(f"{line}\n" for line in kept))
        # Line buffered: what was logged survives a kill.
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._writers = self._open_writers()

    def after_step(self, loop: Loop, report: StepReport) -> None:
        """Write the step's line."""
        content = {
            **report.losses,
            "learning_rate": report.learning_rate,
            "gradient_norm": report.gradient_norm,
            "images_per_second": report.images / report.seconds,
            "data_seconds": report.data_seconds,
            "memory_mb": memory_megabytes(),
        }
        self._write({"step": report.step, "epoch": report.epoch, **content})
        self._scalars(content, step=report.step)

    def after_evaluation(self, loop: Loop, metrics: Mapping[str, float]) -> None:
        """Write the evaluation's line; its step is the last one trained."""
        step = loop.position.step - 1
        epoch = loop.position.epoch - (loop.position.step_in_epoch == 0)
        self._write({"step": step, "epoch": epoch, "evaluation": dict(metrics)})
        self._scalars({f"evaluation/{name}": value for name, value in metrics.items()}, step=step)

    def after_training(self, loop: Loop) -> None:
        """Close the files."""
        self.close()

    def close(self) -> None:
        """Close the files; also to be called after an error."""
        if self._file is not None:
            self._file.close()
        for writer in self._writers:
            writer.close()
        self._file, self._writers = None, []

    def _write(self, content: Mapping[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(finite_json(content)) + "\n")

    def _scalars(self, content: Mapping[str, float], *, step: int) -> None:
        for writer in self._writers:
            for name, value in content.items():
                if math.isfinite(value):
                    writer.add_scalar(name, value, step)


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Whole lines with their content; a last line that a kill cut short is passed over."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            content = json.loads(line)
            if isinstance(content, dict) and "step" in content:
                yield line, content


def read_curves(folder: Path) -> tuple[dict[str, Points], dict[str, Points]]:
    """Read `metrics.jsonl` for a chart.

    Returns:
        (points of each loss, points of each evaluation metric); a point is (step, value).
    """
    losses: dict[str, Points] = defaultdict(list)
    scores: dict[str, Points] = defaultdict(list)
    for _, content in _lines(folder / METRICS_FILE):
        numbers = content.get("evaluation", content)
        target = scores if "evaluation" in content else losses
        for name, value in numbers.items():
            if name not in _BESIDE_LOSSES and isinstance(value, (int, float)):
                target[name].append((content["step"], value))
    return dict(losses), dict(scores)


def _installed_writers(folder: Path) -> list[ScalarWriter]:
    writers: list[ScalarWriter] = []
    try:
        from visualdl import LogWriter

        writers.append(LogWriter(logdir=str(folder)))
    except ImportError:
        logger.debug("VisualDL is not installed; no scalars for it")
    try:
        from tensorboardX import SummaryWriter

        writers.append(SummaryWriter(logdir=str(folder / "tensorboard")))
    except ImportError:
        logger.debug("tensorboardX is not installed; no scalars for it")
    return writers
