"""Small batches of predictions and targets, and the textbook formulation of the losses."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import paddle
import pytest

_BENCHMARK = Path(__file__).resolve().parents[3] / "benchmarks" / "cpu_losses.py"


@pytest.fixture(scope="session")
def textbook() -> ModuleType:
    """The layer by layer, instance by instance losses that benchmarks/cpu_losses.py measures ours against."""
    spec = importlib.util.spec_from_file_location("cpu_losses", _BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def prototypes(rng: np.random.Generator) -> paddle.Tensor:
    """(2, 5, 8, 8), for images of side 32."""
    return paddle.to_tensor(rng.normal(size=(2, 5, 8, 8)).astype(np.float32), stop_gradient=False)
