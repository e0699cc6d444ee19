"""What runs an exported graph: sessions know arrays by name, backends the batches of a task."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from paddlex.inference.postprocess import RawDetections
from paddlex.utils.cpu import available_cores
from paddlex.utils.errors import UsageError

__all__ = ["Backend", "GraphSession", "cpu_threads"]

_THREADS_VARIABLE = "PADDLE_PDX_CPU_NUM_THREADS"


class GraphSession(Protocol):
    """An opened ONNX graph in some runtime.

    Attributes:
        name: of the runtime: "onnx", "openvino".
        file: the graph, for messages.
        inputs: names of the inputs.
        output_count: how many outputs it has.
        batches: whether the first axis of the first input is free.
    """

    name: str
    file: Path
    inputs: tuple[str, ...]
    output_count: int
    batches: bool

    def property(self, key: str) -> str | None:
        """A property that the file tells, None where it does not."""

    def run(self, inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Outputs in the order of the graph."""


class Backend(Protocol):
    """Runs an exported graph that finds instances.

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
