"""Runs whose length, evaluations and checkpoints are counted in iterations, not epochs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from toy import ToyLoader, toy_loop

from paddlex.training.checkpoint import Checkpoints
from paddlex.training.checkpoint_store import CheckpointStore
from paddlex.training.hooks import ProgressReport
from paddlex.training.loop import Loop

# An epoch has 5 steps (ToyLoader).


def build(folder: Path, *, iterations: int, scores: list[float], **options: Any) -> tuple[Loop, Checkpoints]:
    iterator = iter(scores)
    checkpoints = Checkpoints(
        CheckpointStore(folder, file_stem="model"),
        evaluate=lambda: ((score := next(iterator)), {"mIoU": score}),
        model_name="Toy",
        **options,
    )
    hooks = [ProgressReport(2), checkpoints]
    loop = toy_loop(folder, epochs=None, iterations=iterations, hooks=hooks, loader=ToyLoader(5))
    return loop, checkpoints


def folders(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()}


def test_evaluations_fall_due_after_iterations_and_at_the_end(tmp_path: Path) -> None:
    loop, checkpoints = build(tmp_path, iterations=8, scores=[0.2, 0.4, 0.3], eval_interval=3)
    loop.run()
    assert (loop.position.epoch, loop.position.step_in_epoch, loop.position.step) == (1, 3, 8)
    assert [(item.name, item.step, item.score) for item in checkpoints.history] == [
        ("iter_3", 3, 0.2),
        ("iter_6", 6, 0.4),
        ("iter_8", 8, 0.3),
    ]
    assert folders(tmp_path) == {"iter_3", "iter_6", "iter_8", "best_model"}
    results = json.loads((tmp_path / "train_results.json").read_text())
    assert results["done_flag"] is True
    assert results["models"]["best"]["score"] == 0.4
    assert results["models"]["last_1"]["pdparams"] == "iter_8/model.pdparams"
    assert (tmp_path / "best_model" / "model.pdparams").is_file()


def test_training_goes_on_after_an_evaluation_within_an_epoch(tmp_path: Path) -> None:
    loop, _ = build(tmp_path, iterations=4, scores=[0.1, 0.2], eval_interval=2)
    modes = []
    forward = loop.network.forward
    loop.network.forward = lambda batch: modes.append(loop.network.training) or forward(batch)
    loop.run()
    assert modes == [True] * 4


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    build(tmp_path, iterations=4, scores=[0.1, 0.5], eval_interval=2)[0].run()
    loop, checkpoints = build(tmp_path, iterations=7, scores=[0.3, 0.4], eval_interval=2)
    checkpoints.resume(loop, tmp_path / "iter_4" / "model.pdparams")
    loop.run()
    assert [item.step for item in checkpoints.history] == [2, 4, 6, 7]
    assert checkpoints.best is not None and checkpoints.best.name == "iter_4"


@pytest.mark.parametrize("stop", [True, False])
def test_patience_counts_evaluations(tmp_path: Path, stop: bool) -> None:
    loop, checkpoints = build(
        tmp_path, iterations=6, scores=[0.5, 0.4, 0.3], eval_interval=2, patience=1 if stop else 2
    )
    loop.run()
    assert [item.step for item in checkpoints.history] == ([2, 4] if stop else [2, 4, 6])
    assert json.loads((tmp_path / "train_results.json").read_text())["done_flag"] is True
