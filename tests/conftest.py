"""Fixtures shared by all tests."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddlex.utils.cpu import prepare_cpu
from paddlex.utils.logging import logger

# Before any test module imports Paddle: several times faster on AMD processors.
prepare_cpu()

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """What a test sets up for its messages ends with it: others read them through the root logger."""
    level, handlers, propagate = logger.level, logger.handlers[:], logger.propagate
    yield
    logger.setLevel(level)
    logger.handlers[:], logger.propagate = handlers, propagate


@pytest.fixture(scope="session")
def nuts_labelme() -> Path:
    """The demo data set of the repository, LabelMe form; read only: copy it before converting."""
    return REPOSITORY / "dataset" / "nuts_labelme"


@pytest.fixture(scope="session")
def nuts_masks() -> Path:
    """The same photos at half their size, with masks, as semantic segmentation reads them; read only."""
    return REPOSITORY / "dataset" / "nuts_masks"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Further photo sets that lie beside a developer's checkout and are not distributed."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the further photo sets (../shared/data) are not beside this checkout")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what writes ONNX files where paddle2onnx cannot be installed."""
    if importlib.util.find_spec("paddle2onnx") is not None:
        return
    skip = pytest.mark.skip(reason="paddle2onnx is not installed; it has no wheel for this Python")
    for item in items:
        if item.get_closest_marker("onnx_export"):
            item.add_marker(skip)
