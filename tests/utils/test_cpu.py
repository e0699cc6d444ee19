"""CPU settings: only where they help, never over the user's own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from paddlex.utils import cpu


def _settings_in_a_new_process(**environment: str) -> dict[str, str]:
    code = (
        "import json, os; from paddlex.utils.cpu import prepare_cpu; prepare_cpu();"
        "print(json.dumps({k: os.environ.get(k) for k in ('OMP_NUM_THREADS', 'MKL_DEBUG_CPU_TYPE')}))"
    )
    clean = {k: v for k, v in os.environ.items() if k not in {"OMP_NUM_THREADS", "MKL_DEBUG_CPU_TYPE"}}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clean | environment
    )
    import json

    values: dict[str, str] = json.loads(result.stdout)
    return values


def test_the_users_environment_wins() -> None:
    values = _settings_in_a_new_process(OMP_NUM_THREADS="3", MKL_DEBUG_CPU_TYPE="4")
    assert values == {"OMP_NUM_THREADS": "3", "MKL_DEBUG_CPU_TYPE": "4"}


def test_settings_follow_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = str(cpu.available_cores())
    expected = {
        ("AuthenticAMD", frozenset({"avx2", "avx512f"})): {
            "OMP_NUM_THREADS": cores,
            "MKL_DEBUG_CPU_TYPE": "7",
        },
        ("AuthenticAMD", frozenset({"avx2"})): {"OMP_NUM_THREADS": cores, "MKL_DEBUG_CPU_TYPE": "5"},
        ("AuthenticAMD", frozenset()): {},
        ("GenuineIntel", frozenset({"avx2", "avx512f"})): {},
    }
    for processor, settings in expected.items():
        monkeypatch.setattr(cpu, "_processor", lambda processor=processor: processor)
        assert cpu._settings() == settings
