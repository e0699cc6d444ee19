"""ONNX Runtime: the fast way on a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from paddlex.inference.backends.base import cpu_threads
from paddlex.utils.device import Device
from paddlex.utils.errors import FileFormatError, MissingDependencyError

__all__ = ["OnnxSession"]


class OnnxSession:
    """A graph opened by ONNX Runtime; a `GraphSession`.

    Args:
        file: the graph.
        device: CPU, or a GPU if onnxruntime-gpu is installed.
        threads: as `cpu_threads` takes it.

    Raises:
        MissingDependencyError: without onnxruntime, or without its GPU build for a GPU.
        FileFormatError: if the graph is damaged.
    """

    name = "onnx"

    def __init__(self, file: Path, *, device: Device, threads: int | None = None) -> None:
        self.file = file
        self._session = _open_session(file, device=device, threads=cpu_threads(threads))
        inputs = self._session.get_inputs()
        self.inputs: tuple[str, ...] = tuple(value.name for value in inputs)
        self.output_count = len(self._session.get_outputs())
        # A dynamic axis has a name or nothing where a fixed one has its length.
        self.batches = not isinstance(inputs[0].shape[0], int)

    def property(self, key: str) -> str | None:
        """A property that the file tells, None where it does not."""
        value: str | None = self._session.get_modelmeta().custom_metadata_map.get(key)
        return value

    def run(self, inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Outputs in the order of the graph."""
        outputs: list[NDArray[Any]] = self._session.run(None, inputs)
        return outputs


def _open_session(file: Path, *, device: Device, threads: int) -> Any:  # noqa: ANN401 (onnxruntime ships no types)
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError("onnxruntime", extra="cpu", why="to run inference.onnx") from error
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1  # the graph is a chain: its operators have nothing to do side by side
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=_providers(onnxruntime, device))
    except MissingDependencyError:
        raise
    except Exception as error:  # onnxruntime raises its own kinds, which share no other base
        reason = " ".join(str(error).split())[:200]
        raise FileFormatError(f"{file}: ONNX Runtime cannot load it ({reason}); export it again") from error


def _providers(onnxruntime: Any, device: Device) -> list[Any]:  # noqa: ANN401
    if device.type != "gpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise MissingDependencyError(
            "onnxruntime-gpu", why="to run inference.onnx on a GPU; or choose backend=paddle"
        )
    card = device.ids[0] if device.ids else 0
    return [("CUDAExecutionProvider", {"device_id": card}), "CPUExecutionProvider"]
