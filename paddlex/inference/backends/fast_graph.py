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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.inference.postprocess import RawDetections, raw_from_batch
from paddlex.structures.mask_form import MaskForm
from paddlex.utils.errors import FileFormatError

__all__ = ["FAST_OUTPUTS", "FastGraph"]

FAST_OUTPUTS = ("boxes", "scores", "class_ids", "masks")

_INPUTS = ("image", "im_shape", "score_threshold")
_UNTOLD_FORM = MaskForm("photo", "logits")


@dataclass(frozen=True, kw_only=True)
class FastGraph:
    """How to call one fast graph.

    Attributes:
        inputs: the names it declares.
        batches: whether it takes several photos at once.
        mask_form: of its masks.
    """

    inputs: tuple[str, ...]
    batches: bool
    mask_form: MaskForm

    @classmethod
    def declared(
        cls,
        file: Path,
        *,
        inputs: Sequence[str],
        output_count: int,
        batches: bool,
        mask_form: str | None,
    ) -> FastGraph:
        """Read what a graph says of itself.

        Args:
            file: the graph, for messages.
            inputs: names of its inputs.
            output_count: how many outputs it has.
            batches: whether the first axis of the image is free.
            mask_form: the file's property of that name, JSON; None if it has none.

        Raises:
            FileFormatError: if it is no graph of this kind.
        """
        # A single input is the image, whatever a converter called it.
        known = len(inputs) == 1 or ("image" in inputs and set(inputs) <= set(_INPUTS))
        if not known or output_count != len(FAST_OUTPUTS):
            raise FileFormatError(
                f"{file}: inputs {', '.join(inputs)}, {output_count} outputs; expected some of "
                f"{', '.join(_INPUTS)} -> {', '.join(FAST_OUTPUTS)}; export the model again"
            )
        try:
            form = _UNTOLD_FORM if mask_form is None else MaskForm.from_json(json.loads(mask_form))
        except (ValueError, AttributeError) as error:
            raise FileFormatError(f"{file}: property {error}; export the model again") from error
        return cls(inputs=tuple(inputs), batches=batches, mask_form=form)

    def run(
        self,
        batch: Mapping[str, NDArray[Any]],
        *,
        threshold: float,
        call: Callable[[dict[str, NDArray[Any]]], Sequence[NDArray[Any]]],
    ) -> list[RawDetections]:
        """Candidates of each photo, in order; photos go one by one if the graph has a fixed batch of 1.

        Args:
            batch: as `Backend.run` takes it.
            threshold: as `Backend.run` takes it.
            call: runs the graph on inputs by name and returns its outputs in their order.
        """
        images, im_shape = batch["image"], batch["im_shape"]
        step = len(images) if self.batches else 1
        found: list[RawDetections] = []
        for start in range(0, len(images), step):
            part = slice(start, start + step)
            outputs = call(self._feed(images[part], im_shape=im_shape[part], threshold=threshold))
            found += raw_from_batch(
                dict(zip(FAST_OUTPUTS, outputs, strict=True)),  # converters rename them but keep their order
                mask_form=self.mask_form,
                im_shape=im_shape[part],
                input_size=(images.shape[2], images.shape[3]),
            )
        return found

    def _feed(
        self, image: NDArray[Any], *, im_shape: NDArray[Any], threshold: float
    ) -> dict[str, NDArray[Any]]:
        if len(self.inputs) == 1:
            return {self.inputs[0]: image}
        values = {
            "image": image,
            "im_shape": im_shape,
            "score_threshold": np.array([threshold], np.float32),
        }
        return {name: values[name] for name in self.inputs}
