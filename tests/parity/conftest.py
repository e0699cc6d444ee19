"""Order of the parity tests."""

from __future__ import annotations

from pathlib import Path

import pytest

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all checks of one network in a row: only one is kept, and the largest takes seconds to build."""
    places = [
        place
        for place, item in enumerate(items)
        if item.path.parent == _HERE and "subject" in getattr(getattr(item, "callspec", None), "params", {})
    ]
    ordered = sorted((items[place] for place in places), key=lambda item: item.callspec.params["subject"])
    for place, item in zip(places, ordered, strict=True):
        items[place] = item
