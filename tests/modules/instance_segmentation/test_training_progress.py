"""A network whose training changes on the way learns from the trainer where in the run it is."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from tiny_coco import write_tiny_coco
from tiny_model import tiny_options

from paddlex.modules.instance_segmentation.trainer import INSTANCE_TRAINING
from paddlex.modules.start_weights import StartWeights
from paddlex.modules.training_run import TrainingRun
from paddlex.repo_apis.paddle_detection.ppyoloe_seg import build_ppyoloe_seg
from paddlex.repo_apis.paddle_detection.suite import MODELS
from paddlex.training.checkpoint_store import CheckpointStore
from paddlex.training.hooks import Hook
from paddlex.training.loop import Loop, StepReport


def build_tiny_ppyoloe_seg(**options: Any) -> Any:
    """The smallest PP-YOLOE_seg; static assignment has the first half of its runs."""
    return build_ppyoloe_seg(depth=0.1, width=0.125, static_fraction=0.5, static_anchor_scale=2.0, **options)


class Observer(Hook):
    """Notes the network's progress at every step."""

    def __init__(self) -> None:
        self.progress: list[float] = []

    def after_step(self, loop: Loop, report: StepReport) -> None:
        self.progress.append(loop.network.progress)


def run(dataset: Path, output: Path, *, resume: Path | None = None) -> tuple[list[float], list[float]]:
    """Train for two epochs of two steps; return the progress at each, and the losses in metrics.jsonl."""
    spec = dataclasses.replace(
        MODELS["PP-YOLOE_seg-S"], builder="test_training_progress:build_tiny_ppyoloe_seg"
    )
    options, observer = tiny_options(), Observer()
    training = TrainingRun(
        INSTANCE_TRAINING,
        spec,
        datasets=INSTANCE_TRAINING.read_datasets(spec, dataset, options),
        store=CheckpointStore(output),
        options=options,
        start=StartWeights(from_scratch=True),
    )
    training.loop.hooks.append(observer)
    if resume is not None:
        training.checkpoints.resume(training.loop, resume)
    training.train()
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return observer.progress, [line["loss"] for line in lines if "loss" in line]


def test_progress_is_the_part_of_the_run_that_lies_behind_also_after_resuming(tmp_path: Path) -> None:
    dataset, output = write_tiny_coco(tmp_path / "data"), tmp_path / "output"
    progress, losses = run(dataset, output)
    later_progress, all_losses = run(dataset, output, resume=output / "0" / "0.pdparams")

    assert progress == [0.0, 0.25, 0.5, 0.75]
    assert later_progress == [0.5, 0.75]
    # The resumed half, too, was assigned as in the run that went through.
    assert all_losses == pytest.approx(losses, rel=1e-4)
