"""Paddle Inference: any GPU, and the graphs that official models are published as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.inference.backends.base import cpu_threads
from paddlex.utils.cpu import prepare_cpu
from paddlex.utils.device import Device
from paddlex.utils.errors import DeviceError, FileFormatError, MissingDependencyError

__all__ = ["PaddleSession"]

_GPU_POOL_MB = 256  # the pool's first size; it grows as needed


class PaddleSession:
    """A graph opened by Paddle Inference; a `GraphSession`. Any batch that the graph takes.

    oneDNN stays off, since Paddle 3.2 and 3.3 fail on these graphs with it, or return wrong masks.

    Args:
        graph: inference.json or inference.pdmodel.
        weights: inference.pdiparams.
        device: where to run.
        threads: as `cpu_threads` takes it; for the CPU.

    Raises:
        MissingDependencyError: without Paddle.
        DeviceError: if this Paddle cannot use the device.
        FileFormatError: if the graph cannot be loaded.
    """

    name = "paddle"
    batches = True

    def __init__(self, graph: Path, weights: Path, *, device: Device, threads: int | None = None) -> None:
        self.file = graph
        self._predictor = _open_predictor(graph, weights, device=device, threads=cpu_threads(threads))
        self.inputs: tuple[str, ...] = tuple(self._predictor.get_input_names())
        self._outputs = [self._predictor.get_output_handle(n) for n in self._predictor.get_output_names()]
        self.output_count = len(self._outputs)

    def property(self, key: str) -> str | None:
        """None: these files tell none."""
        return None

    def run(self, inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Outputs in the order of the graph."""
        for name, value in inputs.items():
            self._predictor.get_input_handle(name).copy_from_cpu(np.ascontiguousarray(value))
        self._predictor.run()
        return [output.copy_to_cpu() for output in self._outputs]


def _open_predictor(graph: Path, weights: Path, *, device: Device, threads: int) -> Any:  # noqa: ANN401 (no types)
    prepare_cpu()
    try:
        from paddle import inference, is_compiled_with_cuda
    except ImportError as error:
        raise MissingDependencyError("paddlepaddle", extra="cpu", why=f"to run {graph.name}") from error
    config = inference.Config(str(graph), str(weights))
    config.disable_glog_info()
    if graph.suffix == ".json":
        # Without these two a .json graph cannot reuse the memory of values no longer needed.
        config.enable_new_ir(True)
        config.enable_new_executor(True)
    config.enable_memory_optim()
    if device.type == "gpu" and not is_compiled_with_cuda():
        raise DeviceError(f"device {device}: this Paddle has no GPU support; install paddlepaddle-gpu")
    card = device.ids[0] if device.ids else 0
    if device.type == "gpu":
        config.enable_use_gpu(_GPU_POOL_MB, card)
    elif device.type == "cpu":
        config.disable_gpu()
        config.disable_mkldnn()
        config.set_cpu_math_library_num_threads(threads)
    else:
        config.enable_custom_device(device.type, card)
    try:
        return inference.create_predictor(config)
    except (RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[-200:]
        raise FileFormatError(f"{graph}: Paddle cannot load it ({reason}); export it again") from error
