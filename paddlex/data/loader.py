"""Samples to batches: shuffled, sharded over cards, loaded by processes, and the same every time.

The randomness of each photo and each batch derives from (seed, epoch, position) alone. So a run gives the
same batches with any number of workers, and a resumed run continues with those it would have seen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import numpy as np

from paddlex.data.transforms.base import BatchCompose, BatchTransform, Compose, SampleTransform
from paddlex.data.transforms.batch import Batch, collate, with_dense_masks
from paddlex.data.workers import WorkerPool
from paddlex.structures.sample import Sample
from paddlex.utils.errors import DatasetError, PaddleXError

__all__ = ["BatchLoader", "Dataset"]

# What a random stream is for; part of its seed, so that no two streams are equal.
_FOR_ORDER, _FOR_SAMPLE, _FOR_BATCH = 0, 1, 2


class Dataset(Protocol):
    """Photos by index."""

    def __len__(self) -> int:
        """Count of photos."""
        ...

    def __getitem__(self, index: int, /) -> Sample:
        """Read photo `index`."""
        ...

    def describe(self, index: int, /) -> str:
        """The photo's path, for messages."""
        ...


@dataclass(frozen=True)
class _Task:
    """One batch.

    Attributes:
        epoch: counted by the caller.
        number: of the batch in the epoch.
        indices: photos in the data set.
        positions: their places in the epoch's order over all cards.
    """

    epoch: int
    number: int
    indices: tuple[int, ...]
    positions: tuple[int, ...]


@dataclass(frozen=True)
class _SampleReader:
    """The workers' job: read, transform and join the photos of a batch.

    Masks travel as crops or shapes: dense ones of a crowded photo take tens of megabytes.
    """

    dataset: Dataset
    sample_transforms: SampleTransform
    batch_transforms: BatchTransform
    seed: int

    def __call__(self, task: _Task) -> Batch:
        pairs = zip(task.indices, task.positions, strict=True)
        samples = [self._sample(index, task.epoch, position) for index, position in pairs]
        with _naming(lambda: self.describe(task)):
            rng = _random(self.seed, task.epoch, _FOR_BATCH, task.number)
            transforms = self.batch_transforms
            if isinstance(transforms, BatchCompose):
                transforms = transforms.in_epoch(task.epoch)
            return collate(transforms(samples, rng))

    def _sample(self, index: int, epoch: int, position: int) -> Sample:
        with _naming(lambda: self.dataset.describe(index)):
            rng = _random(self.seed, epoch, _FOR_SAMPLE, position)
            return self.sample_transforms(self.dataset[index], rng)

    def describe(self, task: _Task) -> str:
        """The photos of a batch."""
        return ", ".join(self.dataset.describe(index) for index in task.indices)


class BatchLoader:
    """Iterate over a data set in batches, epoch by epoch.

    Workers start with the first epoch and stay until `close` (or the end of the `with` block). Each holds the
    data set once; at most two batches per worker are prepared ahead. With several cards `rank` takes every
    `world_size`-th photo of a common order, all get equally many batches, and random choices for a whole
    batch (its size) are the same on all.

    Args:
        dataset: photos by index; picklable if `num_workers` is above 0.
        batch_size: photos per batch and card.
        sample_transforms: applied to each photo.
        batch_transforms: applied to each batch; must leave images of one shape, (3, H, W) float32.
        shuffle: a new order each epoch, derived from `seed` and the epoch.
        drop_last: only whole batches. A data set smaller than one batch over all cards is repeated to fill
            it: there is always at least one.
        seed: of all randomness, not negative.
        num_workers: processes; 0 loads in this one.
        rank: of this card.
        world_size: count of cards.

    Raises:
        DatasetError: if the data set is empty.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        batch_size: int,
        sample_transforms: SampleTransform | None = None,
        batch_transforms: BatchTransform | None = None,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        num_workers: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        assert batch_size > 0 and num_workers >= 0 and 0 <= rank < world_size
        if not len(dataset):
            raise DatasetError("the data set holds no photo; expected at least one")
        self._count = len(dataset)
        self._batch_size, self._shuffle, self._drop_last = batch_size, shuffle, drop_last
        self._seed, self._rank, self._world_size = seed, rank, world_size
        self._read = _SampleReader(
            dataset, sample_transforms or Compose(), batch_transforms or BatchCompose(), seed
        )
        # A worker beyond one per batch would never get a task.
        count = min(num_workers, len(self))
        self._pool = WorkerPool(self._read, count=count) if count else None

    def __len__(self) -> int:
        """Batches per epoch on this card."""
        per_card = len(self._positions()[self._rank :: self._world_size])
        return -(-per_card // self._batch_size)

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, as `collate` joins them, crops as dense masks.

        Args:
            epoch: number that order and augmentation derive from.
            start: first batch to yield; the earlier ones are not loaded (resume within an epoch).

        Raises:
            ImageReadError: a photo cannot be decoded.
            DatasetError: a worker died, naming what it was at; or another fault of a photo, naming it.
        """
        tasks = self._tasks(epoch)[start:]
        for batch in self._pool.run(tasks) if self._pool else map(self._read, tasks):
            yield with_dense_masks(batch)

    def close(self) -> None:
        """End the workers; a later epoch starts new ones."""
        if self._pool:
            self._pool.close()

    def __enter__(self) -> BatchLoader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---------------------------------------------------------------- the plan of an epoch

    def _positions(self) -> range:
        """Places in an epoch's order over all cards; those beyond the data set repeat it from the start."""
        together = self._batch_size * self._world_size
        if self._drop_last:
            return range(max(self._count // together, 1) * together)
        return range(-(-self._count // self._world_size) * self._world_size)

    def _tasks(self, epoch: int) -> list[_Task]:
        order = np.arange(self._count)
        if self._shuffle:
            order = _random(self._seed, epoch, _FOR_ORDER, 0).permutation(self._count)
        mine = self._positions()[self._rank :: self._world_size]
        tasks = []
        for number, first in enumerate(range(0, len(mine), self._batch_size)):
            positions = tuple(mine[first : first + self._batch_size])
            indices = tuple(int(order[position % self._count]) for position in positions)
            tasks.append(_Task(epoch, number, indices, positions))
        return tasks


def _random(seed: int, epoch: int, purpose: int, position: int) -> np.random.Generator:
    return np.random.default_rng((seed, epoch, purpose, position))


@contextlib.contextmanager
def _naming(describe: Callable[[], str]) -> Iterator[None]:
    """Make every error within tell which photo it is about."""
    try:
        yield
    except PaddleXError as error:
        place = describe()
        if place in str(error):
            raise
        raise DatasetError(f"{place}: {error}") from error
    except Exception as error:
        raise RuntimeError(f"{type(error).__name__} while loading {describe()}: {error}") from error
