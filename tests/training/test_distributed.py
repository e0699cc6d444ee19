"""Several processes train as one with their batches joined."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from paddlex.modules.card_processes import _environments
from paddlex.utils.device import parse_device

SCRIPT = Path(__file__).with_name("toy_cards.py")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Output folders of the same run: a batch of 4 in one process, and of 2 in each of two."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("one", "two")}
    environments = {"one": [dict(os.environ)], "two": _environments(parse_device("cpu:0,1"))}
    for name, batch_size in (("one", 4), ("two", 2)):
        command = [sys.executable, str(SCRIPT), str(folders[name]), str(batch_size)]
        repository = {"PYTHONPATH": str(SCRIPT.parents[2])}
        processes = [
            subprocess.Popen(command, env={**environment, **repository}, stdout=subprocess.DEVNULL)
            for environment in environments[name]
        ]
        assert [process.wait(timeout=120) for process in processes] == [0] * len(processes)
    return folders


def _steps(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_two_processes_report_the_losses_of_one_with_the_whole_batch(runs: dict[str, Path]) -> None:
    for key in ("loss", "first", "second", "gradient_norm", "learning_rate"):
        one, two = ([step[key] for step in _steps(runs[name])] for name in ("one", "two"))
        np.testing.assert_allclose(two, one, rtol=2e-5, err_msg=key)


def test_all_processes_end_with_the_weights_of_one(runs: dict[str, Path]) -> None:
    expected = np.load(runs["one"] / "weights_0.npz")
    for number in (0, 1):
        weights = np.load(runs["two"] / f"weights_{number}.npz")
        for name in expected.files:
            np.testing.assert_allclose(weights[name], expected[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_all_processes_stop_when_the_main_one_does(runs: dict[str, Path]) -> None:
    assert [int(np.load(runs["two"] / f"weights_{number}.npz")["steps"]) for number in (0, 1)] == [7, 7]
