"""The predict mode of any task: every photo printed and saved, the unreadable ones listed."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from paddlex.inference.photo_result import PhotoResult
from paddlex.inference.sources import SkipUnreadable, Source
from paddlex.utils.device import Device
from paddlex.utils.errors import InputError, PaddleXError
from paddlex.utils.logging import logger

__all__ = ["SavedPredictions", "save_predictions"]

Result = TypeVar("Result", bound=PhotoResult)
Result_co = TypeVar("Result_co", bound=PhotoResult, covariant=True)


class _Predictor(Protocol[Result_co]):
    """What `create_model` returns."""

    backend: str
    device: Device

    def predict(self, input: Source, *, skip: SkipUnreadable | None = None) -> Iterator[Result_co]:
        """Results in order."""


@dataclass(frozen=True)
class SavedPredictions:
    """What a run of the predict mode did.

    Attributes:
        backend: that ran the model.
        device: likewise.
        images: photos predicted.
        counts: added up over them, by label.
        unreadable: one line a photo that was left out.
    """

    backend: str
    device: str
    images: int
    counts: Counter[str]
    unreadable: list[str]


def save_predictions(
    predictor: _Predictor[Result],
    input: Source,
    *,
    output_dir: Path,
    count: Callable[[Result], Mapping[str, int]],
) -> SavedPredictions:
    """Predict, print and save every photo.

    The files of each photo go to `output_dir`; for a folder of photos its sub-folders are repeated there, and
    photos that would share a name are numbered. Unreadable photos are left out and listed.

    Args:
        predictor: of any task.
        input: as its `predict` takes it.
        output_dir: where results go.
        count: what of a result is added up, by label.

    Raises:
        InputError: if not one photo could be read.
    """
    faults: list[PaddleXError] = []
    namer = _FileNamer(input, output_dir)
    counts: Counter[str] = Counter()
    images = 0
    for result in predictor.predict(input, skip=faults.append):
        images += 1
        counts.update(count(result))
        result.print()
        folder, stem = namer.place(result)
        dataclasses.replace(result, stem=stem).save_all(folder)
    for fault in faults:
        logger.error("Left out: %s", fault)
    if not images:
        raise InputError(f"no photo could be read; {faults[0] if faults else 'the input is empty'}")
    unreadable = [str(fault) for fault in faults]
    return SavedPredictions(predictor.backend, str(predictor.device), images, counts, unreadable)


class _FileNamer:
    """Gives every result files of its own.

    Args:
        source: the input; if a folder, its sub-folders are repeated.
        output_dir: where results go.
    """

    def __init__(self, source: Source, output_dir: Path) -> None:
        self._output_dir = output_dir
        self._root: Path | None = None
        if isinstance(source, (str, Path)) and Path(source).expanduser().is_dir():
            self._root = Path(source).expanduser()
        self._taken: set[tuple[Path, str]] = set()

    def place(self, result: PhotoResult) -> tuple[Path, str]:
        """(folder, stem) that no earlier result has."""
        folder = self._output_dir
        if self._root is not None and result.input_path is not None:
            folder /= Path(result.input_path).parent.relative_to(self._root)
        # Compared without case: Windows and macOS do not tell A.jpg from a.jpg.
        candidates = itertools.chain([result.stem], (f"{result.stem}_{n}" for n in itertools.count(2)))
        stem = next(name for name in candidates if (folder, name.lower()) not in self._taken)
        self._taken.add((folder, stem.lower()))
        return folder, stem
