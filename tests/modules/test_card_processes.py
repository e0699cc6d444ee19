"""Processes of a training on several cards."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from paddlex.modules import card_processes
from paddlex.modules.card_processes import in_card_process
from paddlex.utils.device import parse_device


def _process(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code])


def test_the_environment_tells_each_process_its_number_and_card() -> None:
    first, second = card_processes._environments(parse_device("gpu:2,5"))

    assert [each["PADDLE_TRAINER_ID"] for each in (first, second)] == ["0", "1"]
    assert [each["FLAGS_selected_gpus"] for each in (first, second)] == ["2", "5"]
    assert first["PADDLE_TRAINER_ENDPOINTS"] == second["PADDLE_TRAINER_ENDPOINTS"]
    endpoints = first["PADDLE_TRAINER_ENDPOINTS"].split(",")
    assert [each["PADDLE_CURRENT_ENDPOINT"] for each in (first, second)] == endpoints
    assert len({*endpoints, first["PADDLE_MASTER"]}) == 3


def test_a_process_knows_whether_it_is_one_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PADDLE_TRAINER_ID", "PADDLE_TRAINERS_NUM"):
        monkeypatch.delenv(name, raising=False)
    assert in_card_process() is None
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "4")
    monkeypatch.setenv("PADDLE_TRAINER_ID", "3")
    assert in_card_process() == 3


def test_all_ending_well_is_success(tmp_path: Path) -> None:
    assert card_processes._wait([_process(""), _process("")], tmp_path) == 0


def test_when_one_dies_the_others_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card_processes, "_GRACE_SECONDS", 0.5)
    started = time.monotonic()
    waiting = _process("import time; time.sleep(60)")

    assert card_processes._wait([waiting, _process("raise SystemExit(3)")], tmp_path) == 3
    assert time.monotonic() - started < 20
    assert waiting.returncode not in (None, 0)


def test_the_main_process_may_tell_its_own_error(tmp_path: Path) -> None:
    main = _process("import time; time.sleep(1); raise SystemExit(7)")

    assert card_processes._wait([main, _process("raise SystemExit(3)")], tmp_path) == 7
