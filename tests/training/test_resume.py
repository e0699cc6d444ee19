"""A run that is killed and resumed is the run that was never killed, to the last bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from paddlex.training.checkpoint_store import CheckpointStore
from paddlex.utils.pdparams import read_pdparams, read_pickle

TOY = Path(__file__).with_name("toy.py")
REPOSITORY = TOY.parents[2]


def start(output: Path, *arguments: object) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        [sys.executable, str(TOY), str(output), *map(str, arguments)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def run(output: Path, *arguments: object) -> int:
    return start(output, *arguments).wait(timeout=120)


def losses(output: Path) -> list[tuple[int, float, float, float]]:
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [
        (line["step"], line["loss"], line["gradient_norm"], line["learning_rate"])
        for line in lines
        if "loss" in line
    ]


@pytest.mark.parametrize(
    ("arguments", "kill_after"),
    [
        (["--save-interval", 1], 7),
        (["--save-interval", 3], 8),
        ([], 12),
        (["--accumulate", 2, "--save-interval", 1], 4),
    ],
    ids=["inside_an_epoch", "steps_after_the_checkpoint", "after_an_epoch", "accumulating"],
)
def test_killed_and_resumed_equals_one_go(tmp_path: Path, arguments: list[object], kill_after: int) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(whole, *arguments) == 0
    assert run(parts, *arguments, "--kill-after", kill_after) == -signal.SIGKILL
    assert len(losses(parts)) == kill_after - 1 or len(losses(parts)) == kill_after
    assert run(parts, *arguments, "--resume") == 0
    assert losses(parts) == losses(whole)
    for suffix in ("pdparams", "pdema"):
        one = read_pdparams(whole / "model_final" / f"model_final.{suffix}")
        two = read_pdparams(parts / "model_final" / f"model_final.{suffix}")
        for name, array in one.items():
            np.testing.assert_array_equal(array, two[name], err_msg=name)


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    """Every step writes a checkpoint, so nearly every kill hits the writing of one."""
    draws = random.Random(0)
    newest_step = 0
    for _ in range(4):
        process = start(tmp_path, "--epochs", 100_000, "--save-interval", 1, "--resume")
        first = time.monotonic()
        while CheckpointStoreView(tmp_path).step() <= newest_step and time.monotonic() < first + 60:
            time.sleep(0.05)
        time.sleep(draws.random() * 0.3)
        process.kill()
        process.wait(timeout=60)
        newest = CheckpointStore(tmp_path).newest()
        assert newest is not None
        step = read_pickle(Path(f"{newest}.pdstates"))["step"]
        assert step > newest_step
        newest_step = step
        for suffix in ("pdparams", "pdema"):
            assert read_pdparams(Path(f"{newest}.{suffix}"))
        assert read_pickle(Path(f"{newest}.pdopt"))["optimizer"]


class CheckpointStoreView:
    """Looks at a run's folder from outside, without the repairs that a store makes on opening."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def step(self) -> int:
        steps = [0]
        for states in self._folder.glob("[!.]*/*.pdstates"):
            try:
                steps.append(int(read_pickle(states)["step"]))
            except Exception:
                continue
        return max(steps)
