"""What a backend is: it runs an exported graph on a batch of prepared photos."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from paddlex.inference.postprocess import RawDetections
from paddlex.utils.cpu import available_cores
from paddlex.utils.errors import UsageError

__all__ = ["Backend", "cpu_threads"]

_THREADS_VARIABLE = "PADDLE_PDX_CPU_NUM_THREADS"


class Backend(Protocol):
    """Runs an exported graph.

    Attributes:
        name: the choice that selects it: "onnx", "openvino", "paddle".
    """

    name: str

    def run(self, batch: Mapping[str, NDArray[Any]], *, threshold: float = 0.0) -> list[RawDetections]:
        """Candidates of each photo, in order.

        Args:
            batch: `image` (B, 3, h, w); `im_shape` (B, 2), height and width after resizing and before
                padding; `scale_factor` (B, 2), resized over original size. All float32.
            threshold: candidates that do not score above it may be left out, which saves a graph that can
                the masks of them.
        """


def cpu_threads(requested: int | None = None) -> int:
    """Threads to run a graph with.

    Args:
        requested: by the caller; None takes `PADDLE_PDX_CPU_NUM_THREADS`, else all available cores.

    Raises:
        UsageError: if the number or the variable is no positive whole number.
    """
    text = os.environ.get(_THREADS_VARIABLE, "").strip()
    name, value = (_THREADS_VARIABLE, text) if requested is None else ("cpu_threads", str(requested))
    if not value:
        return available_cores()
    if not value.isdecimal() or int(value) < 1:
        raise UsageError(f"{name}={value}: expected a whole number of at least 1")
    return int(value)
