"""Order of the parity tests, and the folder that they read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_HERE = Path(__file__).parent


def pytest_configure() -> None:
    """Refuse a folder without references, which would skip everything in silence."""
    folder = os.environ.get("PARITY_DIR")
    if folder and not any(Path(folder).glob("**/*.json")):
        raise pytest.UsageError(f"PARITY_DIR {folder}: no .json file there; expected a folder of references")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all checks of one network in a row: only one is kept, and the largest takes seconds to build."""
    places = [
        place
        for place, item in enumerate(items)
        if item.path.parent == _HERE and isinstance(_parameters(item).get("subject"), Path)
    ]
    ordered = sorted((items[place] for place in places), key=lambda item: item.callspec.params["subject"])
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


def _parameters(item: pytest.Item) -> dict[str, object]:
    """Of a test of a family that PARITY_DIR lacks, the parameter is a mark that stands for none."""
    parameters: dict[str, object] = getattr(getattr(item, "callspec", None), "params", {})
    return parameters
