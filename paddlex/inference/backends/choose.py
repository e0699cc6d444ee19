"""Which backend runs a model folder."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
from typing import Literal

from paddlex.inference.backends.base import Backend, GraphSession
from paddlex.inference.backends.fast_graph import FastBackend
from paddlex.inference.backends.official_graph import OfficialBackend
from paddlex.inference.folder import ModelFolder
from paddlex.utils.device import Device
from paddlex.utils.errors import InputError, UsageError

__all__ = ["BACKENDS", "BackendName", "default_device", "detection_backend", "open_backend", "open_session"]

BackendName = Literal["auto", "onnx", "openvino", "paddle"]
BACKENDS: tuple[BackendName, ...] = ("auto", "onnx", "openvino", "paddle")


def default_device() -> Device:
    """A GPU if one is visible and Paddle's GPU build is installed, else the CPU; imports nothing heavy."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    hidden = visible is not None and visible.strip() in {"", "-1"}
    if hidden or shutil.which("nvidia-smi") is None:
        return Device("cpu")
    try:
        importlib.metadata.version("paddlepaddle-gpu")
    except importlib.metadata.PackageNotFoundError:
        return Device("cpu")
    return Device("gpu", (0,))


def open_backend(
    folder: ModelFolder, *, device: Device, name: str = "auto", threads: int | None = None
) -> Backend:
    """Open a model that finds instances; arguments and errors are those of `open_session`.

    Raises:
        FileFormatError: also if the graph has other inputs or outputs than such models have.
    """
    return detection_backend(open_session(folder, device=device, name=name, threads=threads))


def detection_backend(session: GraphSession) -> Backend:
    """What finds instances with an opened graph.

    Raises:
        FileFormatError: if the graph has other inputs or outputs than such models have.
    """
    return OfficialBackend(session) if session.name == "paddle" else FastBackend(session)


def open_session(
    folder: ModelFolder, *, device: Device, name: str = "auto", threads: int | None = None
) -> GraphSession:
    """Open the graph of a model in a runtime.

    "auto" takes ONNX Runtime on a CPU when the graph and the package are there (several times faster than
    Paddle Inference on these networks), else Paddle.

    Raises:
        UsageError: for an unknown name.
        InputError: if the folder lacks the graph.
        MissingDependencyError: if the package is absent.
    """
    if name not in BACKENDS:
        raise UsageError(f"backend {name!r}: expected one of {', '.join(BACKENDS)}")
    if name == "auto":
        name = _automatic(folder, device=device)
    if name == "paddle":
        return _open_paddle(folder, device=device, threads=threads)
    if folder.onnx_file is None:
        raise InputError(
            f"{folder.path}: inference.onnx is missing, which backend={name} runs; export it with ONNX"
        )
    if name == "openvino":
        from paddlex.inference.backends.openvino import OpenVinoSession

        return OpenVinoSession(folder.onnx_file, device=device, threads=threads)
    from paddlex.inference.backends.onnx import OnnxSession

    return OnnxSession(folder.onnx_file, device=device, threads=threads)


def _automatic(folder: ModelFolder, *, device: Device) -> str:
    has_runtime = importlib.util.find_spec("onnxruntime") is not None
    if folder.paddle_files is None:
        return "onnx"
    return "onnx" if folder.onnx_file and has_runtime and device.type == "cpu" else "paddle"


def _open_paddle(folder: ModelFolder, *, device: Device, threads: int | None) -> GraphSession:
    if folder.paddle_files is None:
        raise InputError(
            f"{folder.path}: inference.json (or .pdmodel) with inference.pdiparams is missing, which "
            "backend=paddle runs; choose backend=onnx"
        )
    from paddlex.inference.backends.paddle import PaddleSession

    return PaddleSession(*folder.paddle_files, device=device, threads=threads)
