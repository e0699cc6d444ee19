"""The fast graph, `inference.onnx`: what it takes, what it gives, and how to call it photo by photo.

    image (B, 3, h, w), and where the graph asks for them
    im_shape (B, 2)                 height and width without padding
    score_threshold (1,)            candidates that do not score above it are left out
    -> boxes (B, K, 4)              xyxy in fractions of the photo
       scores (B, K), class_ids (B, K), masks (B, K, h, w)

The file's properties tell the form of the masks; without them they are logits over the whole photo.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.inference.backends.base import GraphSession
from paddlex.inference.postprocess import RawDetections, raw_from_batch
from paddlex.structures.mask_form import MaskForm
from paddlex.utils.errors import FileFormatError

__all__ = ["FAST_OUTPUTS", "FastBackend"]

FAST_OUTPUTS = ("boxes", "scores", "class_ids", "masks")

_INPUTS = ("image", "im_shape", "score_threshold")
_UNTOLD_FORM = MaskForm("photo", "logits")


class FastBackend:
    """Finds instances with a fast graph, whatever runtime has opened it; a `Backend`.

    Args:
        session: the opened graph.

    Raises:
        FileFormatError: if it is no graph of this kind.
    """

    def __init__(self, session: GraphSession) -> None:
        # A single input is the image, whatever a converter called it.
        names = session.inputs
        known = len(names) == 1 or ("image" in names and set(names) <= set(_INPUTS))
        if not known or session.output_count != len(FAST_OUTPUTS):
            raise FileFormatError(
                f"{session.file}: inputs {', '.join(names)}, {session.output_count} outputs; expected some "
                f"of {', '.join(_INPUTS)} -> {', '.join(FAST_OUTPUTS)}; export the model again"
            )
        self.name = session.name
        self._session = session
        self._mask_form = _mask_form(session)

    def run(self, batch: Mapping[str, NDArray[Any]], *, threshold: float = 0.0) -> list[RawDetections]:
        """Candidates of each photo, in order; photos go one by one if the graph has a fixed batch of 1."""
        images, im_shape = batch["image"], batch["im_shape"]
        step = len(images) if self._session.batches else 1
        found: list[RawDetections] = []
        for start in range(0, len(images), step):
            part = slice(start, start + step)
            feed = self._feed(images[part], im_shape=im_shape[part], threshold=threshold)
            found += raw_from_batch(
                # Converters rename outputs but keep their order.
                dict(zip(FAST_OUTPUTS, self._session.run(feed), strict=True)),
                mask_form=self._mask_form,
                im_shape=im_shape[part],
                input_size=(images.shape[2], images.shape[3]),
            )
        return found

    def _feed(
        self, image: NDArray[Any], *, im_shape: NDArray[Any], threshold: float
    ) -> dict[str, NDArray[Any]]:
        if len(self._session.inputs) == 1:
            return {self._session.inputs[0]: image}
        values = {
            "image": image,
            "im_shape": im_shape,
            "score_threshold": np.array([threshold], np.float32),
        }
        return {name: values[name] for name in self._session.inputs}


def _mask_form(session: GraphSession) -> MaskForm:
    told = session.property("mask_form")
    try:
        return _UNTOLD_FORM if told is None else MaskForm.from_json(json.loads(told))
    except (ValueError, AttributeError) as error:
        raise FileFormatError(f"{session.file}: property {error}; export the model again") from error
