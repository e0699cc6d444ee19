"""Photos on their way through a network that is being scored: read ahead, joined where they fit together."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from paddle import nn

from paddlex.data.transforms.batch import Batch

__all__ = ["evaluation_mode", "joined_by_size", "prepared_ahead"]

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")


def prepared_ahead(
    items: Iterable[Item], prepare: Callable[[Item], Prepared], *, num_workers: int
) -> Iterator[Prepared]:
    """Read and prepare photos in order, a few ahead of their use.

    Args:
        items: what tells a photo.
        prepare: reads it.
        num_workers: threads; below 1 every photo is read when its turn comes.
    """
    if num_workers < 1:
        yield from map(prepare, items)
        return
    # Threads suffice: decoding and resizing run outside Python's lock.
    with ThreadPoolExecutor(num_workers) as pool:
        ahead: deque[Future[Prepared]] = deque()
        for item in items:
            ahead.append(pool.submit(prepare, item))
            if len(ahead) > 2 * num_workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def joined_by_size(
    prepared: Iterable[tuple[Item, Batch]], *, batch_size: int
) -> Iterator[list[tuple[Item, Batch]]]:
    """Up to `batch_size` photos in a row whose inputs are equal in size.

    Models that keep the aspect, or take photos as they are, make inputs of several sizes.
    """
    source = iter(prepared)
    while chunk := list(itertools.islice(source, batch_size)):
        for _, group in itertools.groupby(chunk, key=lambda one: one[1]["image"].shape):
            yield list(group)


@contextlib.contextmanager
def evaluation_mode(network: nn.Layer) -> Iterator[None]:
    """Put a network in evaluation mode and back into the mode it was in."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        if was_training:
            network.train()
