"""OpenVINO: reads `inference.onnx`; an extra, for Intel processors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.inference.backends.base import cpu_threads
from paddlex.inference.backends.fast_graph import FastGraph
from paddlex.inference.postprocess import RawDetections
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
        self._model, mask_form = _compile(file, threads=cpu_threads(threads))
        self._graph = FastGraph.declared(
            file,
            inputs=[value.any_name for value in self._model.inputs],
            output_count=len(self._model.outputs),
            batches=bool(self._model.inputs[0].partial_shape[0].is_dynamic),
            mask_form=mask_form,
        )

    def run(self, batch: Mapping[str, NDArray[Any]], *, threshold: float = 0.0) -> list[RawDetections]:
        """Candidates of each photo, in order; one by one if the graph has a fixed batch of 1."""
        return self._graph.run(batch, threshold=threshold, call=self._call)

    def _call(self, inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        outputs = self._model(inputs)
        # Copies, for OpenVINO writes the next batch into the same memory.
        return [np.array(outputs[index]) for index in range(len(self._model.outputs))]


def _compile(file: Path, *, threads: int) -> tuple[Any, str | None]:
    """The compiled graph, and what its file says of the form of its masks."""
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
    core, place = openvino.Core(), ["framework", "mask_form"]
    try:
        model = core.read_model(str(file))
        mask_form = str(model.get_rt_info(place).value) if model.has_rt_info(place) else None
        return core.compile_model(model, "CPU", options), mask_form
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise FileFormatError(f"{file}: OpenVINO cannot load it ({reason}); export it again") from error
