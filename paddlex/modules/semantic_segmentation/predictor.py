"""Photos to a class for each pixel: the predictor behind `create_model`, and the predict mode."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

from paddlex.data.transforms.batch import collate
from paddlex.inference.backends.base import GraphSession
from paddlex.inference.backends.pixels import PixelBackend
from paddlex.inference.raw_labels import RawLabels
from paddlex.inference.semantic_result import SemanticSegResult
from paddlex.inference.sources import Frame, SkipUnreadable, Source, read_frames
from paddlex.modules.photo_predictor import PhotoPredictor, checked_batch_size
from paddlex.modules.predict_run import PredictTask, predict_photos
from paddlex.repo_apis.spec import Task
from paddlex.structures.sample import Sample

__all__ = ["SemanticPredictor", "run_predict"]


class SemanticPredictor(PhotoPredictor[SemanticSegResult, bool]):
    """Classifies the pixels of photos with an exported model; arguments are those of `PhotoPredictor`."""

    task: ClassVar[Task] = "semantic_segmentation"

    def predict(
        self,
        input: Source,
        batch_size: int | None = None,
        *,
        score_map: bool = False,
        skip: SkipUnreadable | None = None,
    ) -> Iterator[SemanticSegResult]:
        """Yield the classes of every photo, page and frame, in order, as they are asked for.

        Args:
            input: path, folder, pattern, address, BGR array, PIL image, or a list of these.
            batch_size: photos of one size that are run at once; None as the predictor was made.
            score_map: also keep the probability of every class at every pixel, 4 bytes each.
            skip: leave out unreadable files and call this with each fault; None raises it.

        Raises:
            UsageError: for a batch size below 1, or if the graph gives no scores.
            InputError: for an input that is missing or of an unsupported kind.
            ImageReadError: for a photo that cannot be decoded.
        """
        # Checked here and not in the generator, whose body waits for the first result to be asked for.
        size = self.batch_size if batch_size is None else checked_batch_size(batch_size)
        return self._predict_all(read_frames(input, skip=skip), batch_size=size, wishes=score_map)

    __call__ = predict

    def _use(self, session: GraphSession) -> None:
        self._backend = PixelBackend(session)

    def _predict_chunk(self, frames: list[Frame], wishes: bool) -> Iterator[SemanticSegResult]:
        prepared = [self._preprocess.prepare(frame.photo.pixels) for frame in frames]
        for frame, (sample, raw) in zip(frames, self._run(prepared), strict=True):
            yield SemanticSegResult(
                label_map=raw.to_label_map(sample.moves),
                score_map=raw.to_score_map(sample.moves) if wishes else None,
                class_names=self.class_names,
                photo=frame.photo,
                input_path=frame.input_path,
                page_index=frame.page_index,
                frame_index=frame.frame_index,
            )

    def _run(self, prepared: list[Sample]) -> Iterator[tuple[Sample, RawLabels]]:
        # Photos keep their own sizes; equal ones in a row share a run.
        for _, group in itertools.groupby(prepared, key=lambda sample: sample.image.shape):
            samples = list(group)
            yield from zip(samples, self._backend.run(collate(samples)), strict=True)


def _pixels_by_label(result: SemanticSegResult) -> Mapping[str, int]:
    return {result.label(class_id): count for class_id, count in result.class_pixels.items()}


# As `predict_photos`, with what this task brings.
run_predict = partial(
    predict_photos,
    PredictTask(
        predictor=SemanticPredictor,
        count=_pixels_by_label,
        summarise=lambda counts: {"class_pixels": dict(sorted(counts.items()))},
    ),
)
