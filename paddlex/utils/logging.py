"""One logger, `paddlex`, to stderr, through rich (colours only when a person is watching)."""

from __future__ import annotations

import logging
import os
import sys

from rich.console import Console
from rich.logging import RichHandler

from paddlex.utils.errors import UsageError

__all__ = ["console", "log_level", "logger", "set_log_level", "set_up_logging"]

# The numbers of PaddleX 2: 0 errors ... 3 everything.
_LEVELS = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)

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
        level: a logging level; None keeps the one that was set, else it means DEBUG when `PADDLE_PDX_DEBUG`
            is true, else INFO.
    """
    if level is not None:
        logger.setLevel(level)
    elif logger.level == logging.NOTSET:
        logger.setLevel(_default_level())
    if not logger.handlers:
        logger.addHandler(_rich_handler() if console.is_terminal else _PlainHandler())
        logger.propagate = False
    return logger


def log_level() -> int:
    """What is logged: 0 errors, 1 warnings too, 2 information too, 3 everything."""
    current = logger.level or _default_level()
    return max((number for number, level in enumerate(_LEVELS) if level >= current), default=0)


def set_log_level(number: int) -> None:
    """Log from now on what `log_level` numbers.

    Raises:
        UsageError: unless it is 0, 1, 2 or 3.
    """
    if isinstance(number, bool) or number not in range(len(_LEVELS)):
        raise UsageError(
            f"log_level {number!r}; expected 0 (errors), 1 (warnings), 2 (information) or 3 (everything)"
        )
    set_up_logging(_LEVELS[number])


def _default_level() -> int:
    debug = os.environ.get("PADDLE_PDX_DEBUG", "").lower() in {"1", "true"}
    return logging.DEBUG if debug else logging.INFO


def _rich_handler() -> RichHandler:
    return RichHandler(console=console, show_path=False, show_time=False, markup=False)
