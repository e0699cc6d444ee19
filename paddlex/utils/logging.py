"""One logger, `paddlex`, to stderr, through rich (colours only when a person is watching)."""

from __future__ import annotations

import logging
import os
import sys

from rich.console import Console
from rich.logging import RichHandler

__all__ = ["console", "logger", "set_up_logging"]

# stderr, so that standard output stays free for what a command is asked to print.
console = Console(stderr=True, soft_wrap=True)
logger = logging.getLogger("paddlex")


class _PlainHandler(logging.Handler):
    """One unwrapped line a record, for files, pipes and CI; looks up stderr anew each time."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(f"{record.levelname}: {self.format(record)}\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


def set_up_logging(level: int | None = None) -> logging.Logger:
    """Attach a handler once; library users who set up logging themselves are left alone.

    Args:
        level: a logging level; None means DEBUG when `PADDLE_PDX_DEBUG` is true, else INFO.
    """
    if level is None:
        debug = os.environ.get("PADDLE_PDX_DEBUG", "").lower() in {"1", "true"}
        level = logging.DEBUG if debug else logging.INFO
    logger.setLevel(level)
    if not logger.handlers:
        logger.addHandler(_rich_handler() if console.is_terminal else _PlainHandler())
        logger.propagate = False
    return logger


def _rich_handler() -> RichHandler:
    return RichHandler(console=console, show_path=False, show_time=False, markup=False)
