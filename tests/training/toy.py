"""A tiny real network, loader and run, for tests and (as a script) for runs that are killed.

python toy.py OUTPUT [--epochs N] [--resume] [--save-interval N] [--kill-after STEPS] [--accumulate N]
"""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn

from paddlex.nn.convolution import Conv2D
from paddlex.training.checkpoint import Checkpoints
from paddlex.training.checkpoint_store import CheckpointStore
from paddlex.training.ema import Ema
from paddlex.training.hooks import Hook
from paddlex.training.loop import Loop, StepReport
from paddlex.training.metrics_log import MetricsLog
from paddlex.training.optim import build_optimizer, trainable_parameters
from paddlex.training.schedules import LearningRate


class ToyNetwork(nn.Layer):
    """Convolution, batch statistics, dropout, and a parameter that only some batches use."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = Conv2D(3, 4, 3, padding=1)
        self.bn = nn.BatchNorm2D(4)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(4, 2)
        self.sometimes = nn.Linear(4, 1)

    def forward(self, batch: dict[str, Any]) -> dict[str, paddle.Tensor]:
        features = self.bn(self.conv(batch["image"])).mean(axis=[2, 3])
        target = batch["target"]
        first = ((self.head(self.dropout(features)) - target) ** 2).mean()
        second = paddle.zeros([])
        if batch["image_id"][0] % 4 == 0:
            second = (self.sometimes(features) ** 2).mean()
        noise = paddle.rand([1]).mean() + float(np.random.rand())
        return {"loss_first": first, "loss_second": second, "loss": first + second + noise * first}


class ToyLoader:
    """Five batches of two random photos, a function of (epoch, index)."""

    def __init__(self, batches: int = 5) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return self._batches

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[dict[str, Any]]:
        for index in range(start, self._batches):
            draws = np.random.default_rng([epoch, index])
            yield {
                "image": draws.random((2, 3, 8, 8), dtype=np.float32),
                "target": draws.random((2, 2), dtype=np.float32),
                "image_id": [2 * index, 2 * index + 1],
            }


class KillAfter(Hook):
    """Kills the process the hard way after so many steps."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def after_step(self, loop: Loop, report: StepReport) -> None:
        if loop.position.step == self._steps:
            os.kill(os.getpid(), signal.SIGKILL)


def toy_loop(
    output: Path, *, epochs: int | None = 3, hooks: list[Hook] | None = None, **options: Any
) -> Loop:
    paddle.seed(7)
    network = ToyNetwork()
    optimizer = build_optimizer(trainable_parameters(network).values(), algorithm="adamw", weight_decay=0.01)
    loader = options.pop("loader", None) or ToyLoader()
    learning_rate = LearningRate(base=0.01, total_steps=len(loader) * (epochs or 3), warmup_steps=3)
    if (scheduler := options.pop("scheduler", None)) is not None:
        optimizer.set_lr_scheduler(scheduler)
        learning_rate = None
    return Loop(
        network=network,
        loader=loader,
        optimizer=optimizer,
        learning_rate=learning_rate,
        epochs=epochs,
        output_dir=output,
        clip_norm=options.pop("clip_norm", 1.0),
        ema=options.pop("ema", None) or Ema(network, decay=0.99),
        hooks=hooks or [],
        **options,
    )


def toy_checkpoints(output: Path, scores: list[float] | None = None, **options: Any) -> Checkpoints:
    """Checkpoints whose evaluation returns `scores` one after the other (0.5 without them)."""
    iterator = iter(scores or [])
    return Checkpoints(
        CheckpointStore(output),
        evaluate=lambda: ((score := next(iterator) if scores else 0.5), {"AP": score}),
        model_name="Toy",
        **options,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--save-interval", type=int)
    parser.add_argument("--kill-after", type=int)
    parser.add_argument("--accumulate", type=int, default=1)
    arguments = parser.parse_args()
    checkpoints = toy_checkpoints(arguments.output, save_interval=arguments.save_interval)
    hooks = [MetricsLog(arguments.output), checkpoints]
    if arguments.kill_after:
        hooks.append(KillAfter(arguments.kill_after))
    loop = toy_loop(
        arguments.output, epochs=arguments.epochs, hooks=hooks, accumulate_steps=arguments.accumulate
    )
    newest = CheckpointStore(arguments.output).newest()
    if arguments.resume and newest is not None:
        checkpoints.resume(loop, newest.with_name(newest.name + ".pdparams"))
    loop.run()


if __name__ == "__main__":
    main()
