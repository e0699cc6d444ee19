"""OpenVINO: reads `inference.onnx`; an extra, for Intel processors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.inference.backends.base import cpu_threads, named_outputs
from paddlex.inference.postprocess import RawDetections, raw_from_batch
from paddlex.utils.device import Device
from paddlex.utils.errors import DeviceError, FileFormatError, MissingDependencyError, UsageError

__all__ = ["OpenVinoBackend"]

_PRECISION_VARIABLE = "PADDLE_PDX_OPENVINO_PRECISION"
_PRECISIONS = ("f32", "bf16", "f16")


class OpenVinoBackend:
    """Runs `inference.onnx` on the CPU.

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
        self._model = _compile(file, threads=cpu_threads(threads))
        self._batches = bool(self._model.inputs[0].partial_shape[0].is_dynamic)

    def run(self, batch: Mapping[str, NDArray[np.float32]]) -> list[RawDetections]:
        """Candidates of each photo, in order; one by one if the graph has a fixed batch of 1."""
        images = batch["image"]
        found: list[RawDetections] = []
        for part in [images] if self._batches else np.split(images, len(images)):
            outputs = self._model([part])
            # Copies, for OpenVINO writes the next batch into the same memory.
            values = [np.array(outputs[index]) for index in range(len(self._model.outputs))]
            found += raw_from_batch(named_outputs(values))
        return found


def _compile(file: Path, *, threads: int) -> Any:  # noqa: ANN401 (openvino is optional)
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
    try:
        return openvino.Core().compile_model(str(file), "CPU", options)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise FileFormatError(f"{file}: OpenVINO cannot load it ({reason}); export it again") from error
