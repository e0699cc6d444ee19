"""OpenVINO: reads `inference.onnx`; an extra, for Intel processors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.inference.backends.base import cpu_threads
from paddlex.utils.device import Device
from paddlex.utils.errors import DeviceError, FileFormatError, MissingDependencyError, UsageError

__all__ = ["OpenVinoSession"]

_PRECISION_VARIABLE = "PADDLE_PDX_OPENVINO_PRECISION"
_PRECISIONS = ("f32", "bf16", "f16")


class OpenVinoSession:
    """A graph opened by OpenVINO for the CPU; a `GraphSession`.

    OpenVINO would pick bfloat16 by itself where the processor has it, and results would differ between
    machines; here float32 is the rule and `PADDLE_PDX_OPENVINO_PRECISION=bf16` the exception.

    Args:
        file: the graph.
        device: must be the CPU.
        threads: as `cpu_threads` takes it.

    Raises:
        MissingDependencyError: without openvino.
        DeviceError: for another device.
        FileFormatError: if the graph is damaged.
    """

    name = "openvino"

    def __init__(self, file: Path, *, device: Device, threads: int | None = None) -> None:
        if device.type != "cpu":
            raise DeviceError(f"device {device}: the openvino backend runs on cpu; choose backend=paddle")
        self.file = file
        self._source, self._model = _compile(file, threads=cpu_threads(threads))
        self.inputs: tuple[str, ...] = tuple(value.any_name for value in self._model.inputs)
        self.output_count = len(self._model.outputs)
        self.batches = bool(self._model.inputs[0].partial_shape[0].is_dynamic)

    def property(self, key: str) -> str | None:
        """A property that the file tells, None where it does not."""
        place = ["framework", key]
        return str(self._source.get_rt_info(place).value) if self._source.has_rt_info(place) else None

    def run(self, inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Outputs in the order of the graph."""
        outputs = self._model(inputs)
        # Copies, for OpenVINO writes the next batch into the same memory.
        return [np.array(outputs[index]) for index in range(len(self._model.outputs))]


def _compile(file: Path, *, threads: int) -> tuple[Any, Any]:
    """The graph as read, and compiled."""
    precision = os.environ.get(_PRECISION_VARIABLE, "f32").lower()
    if precision not in _PRECISIONS:
        raise UsageError(f"{_PRECISION_VARIABLE}={precision}: expected one of {', '.join(_PRECISIONS)}")
    try:
        import openvino
    except ImportError as error:
        raise MissingDependencyError("openvino", extra="openvino", why="backend=openvino") from error
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,
    }
    core = openvino.Core()
    try:
        model = core.read_model(str(file))
        return model, core.compile_model(model, "CPU", options)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise FileFormatError(f"{file}: OpenVINO cannot load it ({reason}); export it again") from error
