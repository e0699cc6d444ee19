"""Graphs of semantic segmentation: what they take and give, and how they are called.

`inference.onnx`: image (B, 3, h, w) -> logits (B, C, h / s, w / s), at the head's own resolution, so that the
largest is taken on the photo itself; the file's property `align_corners` says how the network enlarges them.
Official graphs: image -> class of each pixel of the input, (B, h, w).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from paddlex.inference.backends.base import GraphSession
from paddlex.inference.raw_labels import RawLabels
from paddlex.utils.errors import FileFormatError

__all__ = ["LOGITS_OUTPUT", "PixelBackend"]

LOGITS_OUTPUT = "logits"


class PixelBackend:
    """Classifies the pixels of prepared photos, whatever runtime has opened the graph.

    Args:
        session: the opened graph.

    Raises:
        FileFormatError: if it is no graph of semantic segmentation.
    """

    def __init__(self, session: GraphSession) -> None:
        if len(session.inputs) != 1 or session.output_count < 1:
            raise FileFormatError(
                f"{session.file}: inputs {', '.join(session.inputs)}, {session.output_count} outputs; "
                "expected one image and the logits or classes of its pixels; export the model again"
            )
        self.name = session.name
        self._session = session
        self._align_corners = session.property("align_corners") == "true"

    def run(self, batch: Mapping[str, NDArray[Any]]) -> list[RawLabels]:
        """What the graph says of each photo of `image` (B, 3, h, w); of several outputs the first counts."""
        image = batch["image"]
        found = self._session.run({self._session.inputs[0]: image})[0]
        size = image.shape[2], image.shape[3]
        if found.ndim == 3:
            return [RawLabels(input_size=size, label_map=one) for one in found]
        return [RawLabels(input_size=size, logits=one, align_corners=self._align_corners) for one in found]
