"""What a backend is: it runs an exported graph on a batch of prepared photos."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from paddlex.inference.postprocess import RawDetections
from paddlex.utils.cpu import available_cores
from paddlex.utils.errors import UsageError

__all__ = ["Backend", "cpu_threads", "named_outputs"]

_THREADS_VARIABLE = "PADDLE_PDX_CPU_NUM_THREADS"


class Backend(Protocol):
    """Runs an exported graph.

    Attributes:
        name: the choice that selects it: "onnx", "openvino", "paddle".
    """

    name: str

    def run(self, batch: Mapping[str, NDArray[np.float32]]) -> list[RawDetections]:
        """Candidates of each photo, in order.

        Args:
            batch: `image` (B, 3, h, w); `im_shape` (B, 2), height and width after resizing and before
                padding; `scale_factor` (B, 2), resized over original size. All float32.
        """


def cpu_threads() -> int:
    """Threads to run a graph with: `PADDLE_PDX_CPU_NUM_THREADS`, else the cores this process may use.

    Raises:
        UsageError: if the variable is no positive whole number.
    """
    text = os.environ.get(_THREADS_VARIABLE, "").strip()
    if not text:
        return available_cores()
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"{_THREADS_VARIABLE}={text}: expected a whole number of at least 1")
    return int(text)


def named_outputs(values: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The outputs of a fast graph by name; converters rename outputs but keep their order."""
    return dict(zip(("boxes", "scores", "class_ids", "masks"), values, strict=True))
