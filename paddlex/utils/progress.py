"""Progress bars with ETA for people, sparse log lines for files and CI."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Iterator, Sized
from contextvars import ContextVar
from typing import TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from paddlex.utils.logging import console, logger

__all__ = ["progress", "progress_bar", "silenced"]

T = TypeVar("T")

# Without a terminal one line each so many seconds tells that the work goes on.
_LINE_SECONDS = 15.0


_silent = ContextVar("_silent", default=False)


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Show neither bars nor information meanwhile, as of one of hundreds of evaluations; warnings stay."""
    token, level = _silent.set(True), logger.level
    logger.setLevel(max(logger.getEffectiveLevel(), logging.WARNING))
    try:
        yield
    finally:
        _silent.reset(token)
        logger.setLevel(level)


def progress_bar(*, transient: bool = False) -> Progress:
    """A bar with count, elapsed time, ETA and a free text field `status`; silent without a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[status]}"),
        console=console,
        transient=transient,
        disable=not console.is_terminal,
    )


def progress(items: Iterable[T], *, description: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` while showing a bar, or a log line every 15 seconds when stderr is no terminal.

    Args:
        items: anything iterable.
        description: what is being done, e.g. "Checking photos".
        total: number of items when `items` has no length.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if _silent.get():
        yield from items
        return
    if console.is_terminal:
        with progress_bar(transient=True) as bar:
            task = bar.add_task(description, total=total, status="")
            for item in items:
                yield item
                bar.advance(task)
        return
    started = last = time.monotonic()
    for count, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - last > _LINE_SECONDS:
            last = time.monotonic()
            logger.info("%s: %d%s", description, count, _rest(count, total, last - started))


def _rest(count: int, total: int | None, seconds: float) -> str:
    if not total:
        return ""
    left = round(seconds / count * (total - count))
    return f" of {total}, about {left // 60}:{left % 60:02} left"
