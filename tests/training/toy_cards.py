"""A run of one or more processes, started by `test_distributed`: python toy_cards.py OUTPUT BATCH_SIZE."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn

from paddlex.data.loader import BatchLoader
from paddlex.structures.masks import MaskCrops
from paddlex.structures.sample import Sample
from paddlex.training import distributed
from paddlex.training.hooks import Hook
from paddlex.training.loop import Loop, StepReport
from paddlex.training.metrics_log import MetricsLog
from paddlex.training.optim import build_optimizer, trainable_parameters
from paddlex.training.schedules import LearningRate

_PHOTOS = 16


class Photos:
    """Random photos; no annotations."""

    def __len__(self) -> int:
        return _PHOTOS

    def __getitem__(self, index: int, /) -> Sample:
        pixels = np.random.default_rng(index).random((3, 8, 8), dtype=np.float32)
        return Sample(
            image=pixels,
            path=Path(f"{index}.png"),
            image_id=index,
            original_size=(8, 8),
            boxes=np.zeros((0, 4), np.float32),
            class_ids=np.zeros(0, np.int64),
            masks=MaskCrops.empty((8, 8)),
        )

    def describe(self, index: int, /) -> str:
        return str(index)


class Network(nn.Layer):
    """Its loss is a mean over photos, so that halves of a batch average to the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2D(3, 4, 3)
        self.sometimes = nn.Linear(4, 1)
        self.never = nn.Linear(4, 1)

    def forward(self, batch: dict[str, Any]) -> dict[str, paddle.Tensor]:
        features = paddle.tanh(self.conv(batch["image"])).mean([2, 3])
        losses = (features**2).sum(1)
        chosen = [number for number, photo in enumerate(batch["image_id"]) if int(photo) % 5 == 0]
        first = losses.mean()
        second = paddle.zeros([])
        if chosen:
            second = (self.sometimes(features[chosen]) - 1).square().sum() / len(losses)
        return {"first": first, "second": second, "loss": first + second}


class StopOnMain(Hook):
    """Asks to stop after step 7, in the main process only."""

    def after_step(self, loop: Loop, report: StepReport) -> None:
        loop.stop_requested = distributed.is_main_rank() and loop.position.step == 7


def main() -> None:
    output, batch_size = Path(sys.argv[1]), int(sys.argv[2])
    paddle.set_device("cpu")
    distributed.join_processes()
    # Whatever the others begin with, the main one's weights count.
    paddle.seed(7 + distributed.rank())
    network = Network()
    distributed.copy_from_main_rank(network)
    loader = BatchLoader(
        Photos(),
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        rank=distributed.rank(),
        world_size=distributed.world_size(),
    )
    loop = Loop(
        network=network,
        loader=loader,
        optimizer=build_optimizer(
            trainable_parameters(network).values(), algorithm="adamw", weight_decay=0.01
        ),
        learning_rate=LearningRate(base=0.01, total_steps=12, warmup_steps=3),
        epochs=3,
        output_dir=output,
        clip_norm=0.5,
        hooks=[StopOnMain(), *([MetricsLog(output)] if distributed.is_main_rank() else [])],
    )
    loop.run()
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    np.savez(output / f"weights_{distributed.rank()}.npz", steps=loop.position.step, **weights)


if __name__ == "__main__":
    main()
