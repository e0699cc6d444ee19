"""The log file holds what was said before it was opened, and the error that ended the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddlex.training.run_log import RunLog
from paddlex.utils.errors import PaddleXError
from paddlex.utils.logging import logger


def test_run_log_holds_what_was_logged_before_the_file_was_opened(tmp_path: Path) -> None:
    level = logger.level
    with RunLog() as log:
        logger.info("early")
        logger.debug("too quiet")
        log.open(tmp_path / "a" / "train.log", append=False)
        logger.warning("照片")
    logger.warning("afterwards")
    lines = (tmp_path / "a" / "train.log").read_text(encoding="utf-8").splitlines()
    assert [line.split("] ", 1)[1] for line in lines] == ["paddlex INFO: early", "paddlex WARNING: 照片"]
    assert logger.level == level


def test_run_log_appends_for_a_resumed_run(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with RunLog() as log:
            log.open(tmp_path / "train.log", append=True)
            logger.info(text)
    assert [line[-3:] for line in (tmp_path / "train.log").read_text().splitlines()] == ["one", "two"]


@pytest.mark.parametrize(
    ("error", "with_trace"), [(PaddleXError("mend me"), False), (ValueError("a bug"), True)]
)
def test_run_log_holds_the_error_that_ended_the_run(
    tmp_path: Path, error: Exception, with_trace: bool
) -> None:
    with pytest.raises(type(error)), RunLog() as log:
        log.open(tmp_path / "train.log", append=False)
        raise error
    text = (tmp_path / "train.log").read_text()
    assert f"paddlex ERROR: {error}" in text
    assert ("Traceback" in text) is with_trace


def test_run_log_without_a_file_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(PaddleXError), RunLog():
        logger.info("never written")
        raise PaddleXError("refused before the run began")
    assert list(tmp_path.iterdir()) == []
