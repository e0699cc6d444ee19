"""The graphs that official models are published as, for finding instances: how they are called."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.inference.backends.base import GraphSession
from paddlex.inference.postprocess import RawDetections, raw_from_rows, raw_from_segments
from paddlex.utils.errors import FileFormatError

__all__ = ["OfficialBackend"]

# The official graph enlarges all its candidates to the photo: 100 masks of 12 megapixels take 4.8 GB, more
# than once. Above this size it is asked for a smaller frame, which `postprocess` enlarges (1920 x 1080 fits).
_MAX_FRAME_PIXELS = 2**21


class OfficialBackend:
    """Finds instances with a graph of the published forms; a `Backend`.

    `im_shape`, `image`, `scale_factor` -> rows, count, masks; or, of a network that predicts no boxes, count,
    class ids, scores, masks. Photos run one by one: the published graphs take nothing else.

    Args:
        session: the opened graph.

    Raises:
        FileFormatError: if it has other inputs or outputs.
    """

    def __init__(self, session: GraphSession) -> None:
        if len(session.inputs) != 3 or session.output_count not in (3, 4):
            raise FileFormatError(
                f"{session.file}: inputs {list(session.inputs)}, {session.output_count} outputs; expected "
                "im_shape, image, scale_factor and three outputs (rows, count, masks) or four (count, class "
                "ids, scores, masks); export the model again"
            )
        self.name = session.name
        self._session = session
        # Official graphs may name them otherwise, but always in this alphabetical order.
        self._names = sorted(session.inputs)

    def run(self, batch: Mapping[str, NDArray[Any]], *, threshold: float = 0.0) -> list[RawDetections]:
        """Candidates of each photo, in order; these graphs know no threshold and give them all."""
        rows = zip(batch["image"], batch["im_shape"], batch["scale_factor"], strict=True)
        return [
            self._run_one(image[None], im_shape=im_shape[None], scale_factor=scale_factor[None])
            for image, im_shape, scale_factor in rows
        ]

    def _run_one(
        self, image: NDArray[np.float32], *, im_shape: NDArray[np.float32], scale_factor: NDArray[np.float32]
    ) -> RawDetections:
        feed = (im_shape, image, _bounded_scale(im_shape, scale_factor))
        values = self._session.run(dict(zip(self._names, feed, strict=True)))
        if len(values) == 3:
            rows, _, masks = values
            return raw_from_rows(rows, masks)
        _, class_ids, scores, masks = values
        return raw_from_segments(class_ids, scores, masks)


def _bounded_scale(im_shape: NDArray[np.float32], scale_factor: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale factors that keep the graph's frame, im_shape / scale_factor, below the limit."""
    frame = im_shape / scale_factor
    shrink = math.sqrt(_MAX_FRAME_PIXELS / float(frame.prod()))
    if shrink >= 1:
        return scale_factor
    return np.asarray(im_shape / np.maximum(np.round(frame * shrink), 1), dtype=np.float32)
