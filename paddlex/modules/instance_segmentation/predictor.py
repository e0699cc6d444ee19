"""Photos to instances: the predictor behind `create_model`, and the predict mode."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.inference.backends.choose import default_device, open_backend
from paddlex.inference.folder import ModelFolder, read_model_folder
from paddlex.inference.postprocess import RawDetections, postprocess
from paddlex.inference.results import InstanceSegResult
from paddlex.inference.sources import Frame, SkipUnreadable, Source, read_frames
from paddlex.modules.official_models import official_model_folder
from paddlex.structures.results import label_names
from paddlex.utils.device import parse_device
from paddlex.utils.errors import InputError, PaddleXError, UsageError
from paddlex.utils.logging import logger

__all__ = ["InstancePredictor", "run_predict"]


class InstancePredictor:
    """Finds instances on photos with an exported model.

    Args:
        model_dir: the inference folder.
        model_name: the model it should hold; None takes whatever it holds.
        device: for example "cpu" or "gpu:0"; None takes a GPU if there is one, else the CPU.
        backend: "auto", "onnx", "openvino" or "paddle".
        threshold: keep scores above it; None takes that of the model.
        batch_size: photos run at once.
        cpu_threads: threads on a CPU; None takes `PADDLE_PDX_CPU_NUM_THREADS`, else all available cores.

    Raises:
        InputError: if the folder is no inference folder.
        FileFormatError: naming what is wrong in it.
        UsageError: for an unknown backend, or a folder that holds another model.
        MissingDependencyError: if the backend's package is absent.
        DeviceError: if the device is unknown or absent.
    """

    def __init__(
        self,
        model_dir: Path | str,
        *,
        model_name: str | None = None,
        device: str | None = None,
        backend: str = "auto",
        threshold: float | None = None,
        batch_size: int = 1,
        cpu_threads: int | None = None,
    ) -> None:
        self.folder: ModelFolder = read_model_folder(model_dir)
        _require_same_model(self.folder, model_name)
        self.threshold = self.folder.threshold if threshold is None else _checked_threshold(threshold)
        self.batch_size = _checked_batch_size(batch_size)
        self.device = parse_device(device) if device is not None else default_device()
        self._preprocess = Preprocessor(
            self.folder.preprocess, where=f"{self.folder.path / 'inference.yml'}: Preprocess"
        )
        self._backend = open_backend(self.folder, device=self.device, name=backend, threads=cpu_threads)

    @property
    def backend(self) -> str:
        """The backend in use."""
        return self._backend.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in class id order."""
        return self.folder.class_names

    def predict(
        self,
        input: Source,
        batch_size: int | None = None,
        threshold: float | None = None,
        *,
        skip: SkipUnreadable | None = None,
    ) -> Iterator[InstanceSegResult]:
        """Yield the instances of every photo, page and frame, in order, as they are asked for.

        Args:
            input: path, folder, pattern, address, BGR array, PIL image, or a list of these.
            batch_size: photos run at once; None as the predictor was made.
            threshold: keep scores above it; None as the predictor was made.
            skip: leave out unreadable files and call this with each fault; None raises it.

        Raises:
            UsageError: for a batch size below 1 or a threshold outside 0 to 1.
            InputError: for an input that is missing or of an unsupported kind.
            ImageReadError: for a photo that cannot be decoded.
        """
        # Checked here and not in the generator, whose body waits for the first result to be asked for.
        size = self.batch_size if batch_size is None else _checked_batch_size(batch_size)
        limit = self.threshold if threshold is None else _checked_threshold(threshold)
        return self._predict(read_frames(input, skip=skip), batch_size=size, threshold=limit)

    __call__ = predict

    def _predict(
        self, frames: Iterator[Frame], *, batch_size: int, threshold: float
    ) -> Iterator[InstanceSegResult]:
        while chunk := list(itertools.islice(frames, batch_size)):
            for frame, raw in zip(chunk, self._run(chunk, threshold=threshold), strict=True):
                yield self._result(frame, raw, threshold=threshold)
                # Whoever asks for the next result is done with this photo, or can have it read again.
                frame.photo.release()

    def _run(self, frames: list[Frame], *, threshold: float) -> Iterator[RawDetections]:
        prepared = [self._preprocess(frame.photo.pixels) for frame in frames]
        # Models that keep the aspect make inputs of several sizes; equal ones in a row share a run.
        for _, group in itertools.groupby(prepared, key=lambda one: one["image"].shape):
            yield from self._backend.run(self._preprocess.stack(list(group)), threshold=threshold)

    def _result(self, frame: Frame, raw: RawDetections, *, threshold: float) -> InstanceSegResult:
        found = postprocess(raw, size=frame.photo.size, threshold=threshold, crop_to_boxes=True)
        return InstanceSegResult(
            boxes=found.boxes,
            scores=found.scores,
            class_ids=found.class_ids,
            masks=found.masks,
            labels=label_names(found.class_ids, class_names=self.class_names),
            photo=frame.photo,
            input_path=frame.input_path,
            page_index=frame.page_index,
            frame_index=frame.frame_index,
        )


def _require_same_model(folder: ModelFolder, name: str | None) -> None:
    if name and folder.model_name and name.lower() != folder.model_name.lower():
        raise UsageError(
            f"{folder.path}: holds {folder.model_name}, not {name}; name the right model or folder"
        )


def _checked_threshold(value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise UsageError(f"threshold {value!r}: expected a number from 0 to 1")
    return float(value)


def _checked_batch_size(value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"batch_size {value!r}: expected a whole number of at least 1")
    return value


# -------------------------------------------------------------------- predict mode


def run_predict(
    *,
    model_name: str,
    input: Source,
    output_dir: Path | str,
    model_dir: Path | str | None = None,
    batch_size: int = 1,
    threshold: float | None = None,
    device: str | None = None,
    backend: str = "auto",
    cpu_threads: int | None = None,
) -> dict[str, Any]:
    """Predict, print and save every photo: the predict mode.

    The drawing and the JSON of each photo go to `output_dir`; for a folder of photos its sub-folders are
    repeated there, and photos that would share a name are numbered. Unreadable photos are left out and
    listed.

    Args:
        model_name: public name of the model.
        input: as `InstancePredictor.predict` takes it.
        output_dir: where results go.
        model_dir: the inference folder; None downloads the official model.
        batch_size: photos run at once.
        threshold: keep scores above it; None takes that of the model.
        device: None takes a GPU if there is one.
        backend: "auto", "onnx", "openvino" or "paddle".
        cpu_threads: threads on a CPU; None takes all available cores.

    Returns:
        `model_name`, `backend`, `device`, `images`, `instances`, `class_counts` and `unreadable`.

    Raises:
        InputError: if not one photo could be read.
    """
    predictor = InstancePredictor(
        model_dir if model_dir is not None else official_model_folder(model_name),
        model_name=model_name,
        device=device,
        backend=backend,
        threshold=threshold,
        batch_size=batch_size,
        cpu_threads=cpu_threads,
    )
    faults: list[PaddleXError] = []
    namer = _FileNamer(input, Path(output_dir))
    counts: Counter[str] = Counter()
    images = 0
    for result in predictor.predict(input, skip=faults.append):
        images += 1
        counts.update(result.labels)
        result.print()
        folder, stem = namer.place(result)
        dataclasses.replace(result, stem=stem).save_all(folder)
    for fault in faults:
        logger.error("Left out: %s", fault)
    if not images:
        raise InputError(f"no photo could be read; {faults[0] if faults else 'the input is empty'}")
    return {
        "model_name": predictor.folder.model_name or model_name,
        "backend": predictor.backend,
        "device": str(predictor.device),
        "images": images,
        "instances": counts.total(),
        "class_counts": dict(sorted(counts.items())),
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

    def place(self, result: InstanceSegResult) -> tuple[Path, str]:
        """(folder, stem) that no earlier result has."""
        folder = self._output_dir
        if self._root is not None and result.input_path is not None:
            folder /= Path(result.input_path).parent.relative_to(self._root)
        # Compared without case: Windows and macOS do not tell A.jpg from a.jpg.
        candidates = itertools.chain([result.stem], (f"{result.stem}_{n}" for n in itertools.count(2)))
        stem = next(name for name in candidates if (folder, name.lower()) not in self._taken)
        self._taken.add((folder, stem.lower()))
        return folder, stem
