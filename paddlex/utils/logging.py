"""One logger, `paddlex`, to stderr, through rich (colours only when a person is watching)."""

from __future__ import annotations

import logging
import os

from rich.console import Console
from rich.logging import RichHandler

__all__ = ["console", "logger", "set_up_logging"]

# stderr, so that standard output stays free for what a command is asked to print.
console = Console(stderr=True, soft_wrap=True)
logger = logging.getLogger("paddlex")


def set_up_logging(level: int | None = None) -> logging.Logger:
    """Attach the rich handler once; library users who set up logging themselves are left alone.

    Args:
        level: a logging level; None means DEBUG when `PADDLE_PDX_DEBUG` is true, else INFO.
    """
    if level is None:
        debug = os.environ.get("PADDLE_PDX_DEBUG", "").lower() in {"1", "true"}
        level = logging.DEBUG if debug else logging.INFO
    logger.setLevel(level)
    if not logger.handlers:
        handler = RichHandler(
            console=console,
            show_path=False,
            markup=False,
            show_time=False,
            show_level=True,
            highlighter=None,
            rich_tracebacks=False,
        )
        logger.addHandler(handler)
        logger.propagate = False
    return logger
