"""Progress that many small runs inside a large one do not show."""

from __future__ import annotations

import logging

import pytest

from paddlex.utils import progress as module
from paddlex.utils.logging import logger
from paddlex.utils.progress import progress, silenced


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """What is logged; a line for every item."""
    monkeypatch.setattr(module, "_LINE_SECONDS", -1.0)
    monkeypatch.setattr(logger, "propagate", True)
    caplog.set_level(logging.INFO, logger=logger.name)
    return caplog


def test_progress_without_a_terminal_tells_count_and_time_left(lines: pytest.LogCaptureFixture) -> None:
    assert list(progress("abc", description="Reading")) == ["a", "b", "c"]
    assert [record.getMessage() for record in lines.records] == [
        f"Reading: {count} of 3, about 0:00 left" for count in (1, 2, 3)
    ]


def test_silenced_runs_show_warnings_only(lines: pytest.LogCaptureFixture) -> None:
    level = logger.level
    with silenced():
        assert list(progress(range(3), description="Evaluating")) == [0, 1, 2]
        logger.info("3 photos in 0.1 s")
        logger.warning("a photo is missing")
    assert [record.getMessage() for record in lines.records] == ["a photo is missing"]
    assert logger.level == level
    logger.info("heard again")
    assert lines.records[-1].getMessage() == "heard again"
