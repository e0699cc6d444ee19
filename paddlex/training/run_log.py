"""The log file of a run: all that was said, from before it could be opened to the error at the end."""

from __future__ import annotations

import logging
from logging.handlers import MemoryHandler
from pathlib import Path
from types import TracebackType

from paddlex.utils.errors import PaddleXError
from paddlex.utils.logging import logger

__all__ = ["RunLog"]

_FORMAT = "[%(asctime)s] %(name)s %(levelname)s: %(message)s"
_MANY = 100_000


class RunLog:
    """Collects what is logged inside a `with` block, INFO and above, and writes it to a file once told which.

    An error that leaves the block is written too, with its traceback if it is not one the user can mend.
    """

    def __init__(self) -> None:
        # Nothing is severe enough to be written before there is a file.
        self._early = MemoryHandler(_MANY, flushLevel=logging.CRITICAL + 1, flushOnClose=False)
        self._file: logging.FileHandler | None = None
        self._level = logger.level

    def __enter__(self) -> RunLog:
        self._level = logger.level
        logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))
        logger.addHandler(self._early)
        return self

    def open(self, path: Path, *, append: bool) -> None:
        """Write to `path`, UTF-8, from now on, and first what was logged so far."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = logging.FileHandler(path, mode="a" if append else "w", encoding="utf-8")
        self._file.setFormatter(logging.Formatter(_FORMAT, datefmt="%m/%d %H:%M:%S"))
        logger.removeHandler(self._early)
        logger.addHandler(self._file)
        self._early.setTarget(self._file)
        self._early.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            if kind is not None and error is not None:
                info = None if isinstance(error, PaddleXError) else (kind, error, trace)
                record = logger.makeRecord(
                    logger.name, logging.ERROR, "", 0, str(error) or kind.__name__, (), info
                )
                self._file.handle(record)
            logger.removeHandler(self._file)
            self._file.close()
        logger.removeHandler(self._early)
        self._early.close()
        logger.setLevel(self._level)
