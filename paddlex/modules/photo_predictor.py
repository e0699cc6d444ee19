"""What the predictors behind `create_model` share: an exported model, photos in, results out."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.inference.backends.base import GraphSession
from paddlex.inference.backends.choose import default_device, open_session
from paddlex.inference.folder import ModelFolder, read_model_folder
from paddlex.inference.photo_result import PhotoResult
from paddlex.inference.sources import Frame
from paddlex.repo_apis.spec import Task
from paddlex.utils.device import parse_device
from paddlex.utils.errors import UsageError

__all__ = ["PhotoPredictor", "checked_batch_size"]

Result = TypeVar("Result", bound=PhotoResult)
Wishes = TypeVar("Wishes")


class PhotoPredictor(ABC, Generic[Result, Wishes]):
    """Runs an exported model on photos.

    Args:
        model_dir: the inference folder.
        model_name: the model it should hold; None takes whatever it holds.
        device: for example "cpu" or "gpu:0"; None takes a GPU if there is one, else the CPU.
        backend: "auto", "onnx", "openvino" or "paddle".
        batch_size: photos run at once.
        cpu_threads: threads on a CPU; None takes `PADDLE_PDX_CPU_NUM_THREADS`, else all available cores.

    Raises:
        InputError: if the folder is no inference folder.
        FileFormatError: naming what is wrong in it.
        UsageError: for an unknown backend, or a folder that holds another model.
        MissingDependencyError: if the backend's package is absent.
        DeviceError: if the device is unknown or absent.
    """

    task: ClassVar[Task]

    def __init__(
        self,
        model_dir: Path | str,
        *,
        model_name: str | None = None,
        device: str | None = None,
        backend: str = "auto",
        batch_size: int = 1,
        cpu_threads: int | None = None,
    ) -> None:
        self.folder: ModelFolder = read_model_folder(model_dir)
        self._require_fitting(model_name)
        self.batch_size = checked_batch_size(batch_size)
        self.device = parse_device(device) if device is not None else default_device()
        self._preprocess = Preprocessor(
            self.folder.preprocess, where=f"{self.folder.path / 'inference.yml'}: Preprocess"
        )
        session = open_session(self.folder, device=self.device, name=backend, threads=cpu_threads)
        self.backend: str = session.name
        self._use(session)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in class id order."""
        return self.folder.class_names

    @abstractmethod
    def _use(self, session: GraphSession) -> None:
        """Take the opened graph."""

    @abstractmethod
    def _predict_chunk(self, frames: list[Frame], wishes: Wishes) -> Iterator[Result]:
        """The results of a few photos, in order."""

    def _predict_all(self, frames: Iterator[Frame], *, batch_size: int, wishes: Wishes) -> Iterator[Result]:
        while chunk := list(itertools.islice(frames, batch_size)):
            for frame, result in zip(chunk, self._predict_chunk(chunk, wishes), strict=True):
                yield result
                # Whoever asks for the next result is done with this photo, or can have it read again.
                frame.photo.release()

    def _require_fitting(self, name: str | None) -> None:
        folder = self.folder
        if folder.task != self.task:
            raise UsageError(
                f"{folder.path}: holds a model for {folder.task.replace('_', ' ')}; expected one for "
                f"{self.task.replace('_', ' ')}"
            )
        if name and folder.model_name and name.lower() != folder.model_name.lower():
            raise UsageError(
                f"{folder.path}: holds {folder.model_name}, not {name}; name the right model or folder"
            )


def checked_batch_size(value: int) -> int:
    """A batch size as it is given.

    Raises:
        UsageError: if it is no whole number of at least 1.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"batch_size {value!r}: expected a whole number of at least 1")
    return value
