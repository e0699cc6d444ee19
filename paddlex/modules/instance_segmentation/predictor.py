"""Photos to instances: the predictor behind `create_model`, and the predict mode."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from paddlex.inference.backends.base import GraphSession
from paddlex.inference.backends.choose import detection_backend
from paddlex.inference.postprocess import RawDetections, postprocess
from paddlex.inference.results import InstanceSegResult
from paddlex.inference.sources import Frame, SkipUnreadable, Source, read_frames
from paddlex.modules.photo_predictor import PhotoPredictor, checked_batch_size
from paddlex.modules.predict_run import PredictTask, predict_photos
from paddlex.repo_apis.spec import Task
from paddlex.structures.results import label_names
from paddlex.utils.errors import UsageError

__all__ = ["InstancePredictor", "run_predict"]


class InstancePredictor(PhotoPredictor[InstanceSegResult, float]):
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

    task: ClassVar[Task] = "instance_segmentation"

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
        super().__init__(
            model_dir,
            model_name=model_name,
            device=device,
            backend=backend,
            batch_size=batch_size,
            cpu_threads=cpu_threads,
        )
        self.threshold = self.folder.threshold if threshold is None else _checked_threshold(threshold)

    def _use(self, session: GraphSession) -> None:
        self._backend = detection_backend(session)

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
        size = self.batch_size if batch_size is None else checked_batch_size(batch_size)
        limit = self.threshold if threshold is None else _checked_threshold(threshold)
        return self._predict_all(read_frames(input, skip=skip), batch_size=size, wishes=limit)

    __call__ = predict

    def _predict_chunk(self, frames: list[Frame], wishes: float) -> Iterator[InstanceSegResult]:
        for frame, raw in zip(frames, self._run(frames, threshold=wishes), strict=True):
            yield self._result(frame, raw, threshold=wishes)

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


def _checked_threshold(value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise UsageError(f"threshold {value!r}: expected a number from 0 to 1")
    return float(value)


# As `predict_photos`, with what this task brings.
run_predict = partial(
    predict_photos,
    PredictTask(
        predictor=InstancePredictor,
        count=lambda result: Counter(result.labels),
        summarise=lambda counts: {
            "instances": counts.total(),
            "class_counts": dict(sorted(counts.items())),
        },
    ),
)
