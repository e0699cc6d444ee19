"""The predict mode of any task: every photo printed and saved, the unreadable ones listed."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from paddlex.inference.folder import ModelFolder
from paddlex.inference.photo_result import PhotoResult
from paddlex.inference.sources import SkipUnreadable, Source
from paddlex.modules.official_models import official_model_folder
from paddlex.utils.device import Device
from paddlex.utils.errors import InputError, PaddleXError
from paddlex.utils.logging import logger

__all__ = ["PredictTask", "Predictor", "predict_photos"]

Result = TypeVar("Result", bound=PhotoResult)
Result_co = TypeVar("Result_co", bound=PhotoResult, covariant=True)


class Predictor(Protocol[Result_co]):
    """What `create_model` returns."""

    folder: ModelFolder
    backend: str
    device: Device

    def predict(self, input: Source, *, skip: SkipUnreadable | None = None) -> Iterator[Result_co]:
        """Results in order."""


@dataclass(frozen=True, kw_only=True)
class PredictTask(Generic[Result]):
    """What differs between tasks.

    Attributes:
        predictor: what `create_model` returns for such models.
        count: what of a result is added up over the photos, by label.
        summarise: these sums as fields of the result file.
    """

    predictor: Callable[..., Predictor[Result]]
    count: Callable[[Result], Mapping[str, int]]
    summarise: Callable[[Counter[str]], dict[str, Any]]


def predict_photos(
    task: PredictTask[Result],
    *,
    model_name: str,
    input: Source,
    output_dir: Path | str,
    model_dir: Path | str | None = None,
    **options: Any,  # noqa: ANN401 (the task's predictor types them)
) -> dict[str, Any]:
    """Predict, print and save every photo: the predict mode.

    The files of each photo go to `output_dir`; for a folder of photos its sub-folders are repeated there, and
    photos that would share a name are numbered. Unreadable photos are left out and listed.

    Args:
        task: what the model predicts.
        model_name: public name of the model.
        input: as the task's predictor takes it.
        output_dir: where results go.
        model_dir: the inference folder; None downloads the official model.
        **options: keyword arguments of the task's predictor.

    Returns:
        `model_name`, `backend`, `device`, `images`, the task's sums and `unreadable`.

    Raises:
        InputError: if not one photo could be read.
    """
    folder = model_dir if model_dir is not None else official_model_folder(model_name)
    predictor = task.predictor(folder, model_name=model_name, **options)
    faults: list[PaddleXError] = []
    namer = _FileNamer(input, Path(output_dir))
    counts: Counter[str] = Counter()
    images = 0
    for result in predictor.predict(input, skip=faults.append):
        images += 1
        counts.update(task.count(result))
        result.print()
        place, stem = namer.place(result)
        dataclasses.replace(result, stem=stem).save_all(place)
    for fault in faults:
        logger.error("Left out: %s", fault)
    if not images:
        raise InputError(f"no photo could be read; {faults[0] if faults else 'the input is empty'}")
    return {
        "model_name": predictor.folder.model_name or model_name,
        "backend": predictor.backend,
        "device": str(predictor.device),
        "images": images,
        **task.summarise(counts),
        "unreadable": [str(fault) for fault in faults],
    }


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
