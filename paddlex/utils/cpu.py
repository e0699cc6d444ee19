"""CPU settings that must stand in the environment before Paddle is loaded.

Paddle's CPU wheels carry an MKL that takes its slowest path on AMD processors. Telling it which instructions
the processor has makes matrix products and training steps several times faster (benchmarks/cpu_training.py
prints the ratio on your machine). Values that the user has set are left alone.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

from paddlex.utils.logging import logger

__all__ = ["available_cores", "prepare_cpu", "uses_own_operators"]


def available_cores() -> int:
    """Cores this process may use: affinity and container quota counted, at least 1."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # Windows and macOS have no affinity call
        cores = os.cpu_count() or 1
    quota = _container_quota()
    return max(1, min(cores, quota) if quota else cores)


def uses_own_operators() -> bool:
    """Whether convolutions and RoIAlign on the CPU may be others than Paddle's.

    PADDLEX_CPU_OPERATORS=paddle in the environment says no: to compare, or to find out who is wrong.
    """
    return os.environ.get("PADDLEX_CPU_OPERATORS", "").lower() != "paddle"


@cache
def prepare_cpu() -> dict[str, str]:
    """Set what makes Paddle fast on this CPU; call before the first `import paddle`. Acts and logs once.

    Returns:
        The environment variables that were set.
    """
    if "paddle" in sys.modules:
        logger.debug("paddle was imported before paddlex: CPU settings are left as they are")
        return {}
    settings = {name: value for name, value in _settings().items() if name not in os.environ}
    os.environ.update(settings)
    if settings:
        listed = ", ".join(f"{name}={value}" for name, value in settings.items())
        logger.info("CPU settings for Paddle: %s (set them yourself to overrule)", listed)
    return settings


def _settings() -> dict[str, str]:
    vendor, flags = _processor()
    settings = {}
    if vendor == "AuthenticAMD" and "avx2" in flags:
        settings["OMP_NUM_THREADS"] = str(available_cores())
        settings["MKL_DEBUG_CPU_TYPE"] = "7" if "avx512f" in flags else "5"
    return settings


def _processor() -> tuple[str, frozenset[str]]:
    """(vendor, instruction flags) from /proc/cpuinfo; empty where there is none."""
    vendor, flags = "", frozenset[str]()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return vendor, flags
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "vendor_id" and not vendor:
            vendor = value.strip()
        elif key.strip() == "flags" and not flags:
            flags = frozenset(value.split())
    return vendor, flags


def _container_quota() -> int | None:
    """Whole cores granted by a cgroup v2 quota, or None."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else max(1, int(quota) // int(period))
