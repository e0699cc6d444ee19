"""A float ONNX graph before it is quantised: tidied up, and run on photos to see the range of its tensors."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, load, numpy_helper, save

from paddlex.utils.errors import ExportError, MissingDependencyError

__all__ = ["Range", "constants", "fold", "tensor_ranges"]

Range = tuple[float, float]


def fold(model: ModelProto) -> ModelProto:
    """Fold constants and biases, and drop what does nothing, as far as standard operators can say it.

    Raises:
        MissingDependencyError: without onnxruntime.
    """
    onnxruntime = _runtime()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "folded.onnx"
        options = _options(onnxruntime)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(target)
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return load(str(target))


def constants(model: ModelProto) -> dict[str, NDArray[Any]]:
    """The constants of a folded graph by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def tensor_ranges(
    model: ModelProto, names: Sequence[str], feeds: Iterable[Mapping[str, NDArray[Any]]]
) -> dict[str, Range]:
    """Run a graph, and return the least and the largest value of some of its float tensors.

    Args:
        model: the graph; it stays as it is.
        names: of the tensors.
        feeds: inputs by name, one mapping a run.

    Raises:
        ExportError: if there are no feeds, or a tensor holds values that are not finite.
    """
    onnxruntime = _runtime()
    watched = ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    for index, name in enumerate(names):
        for kind in ("Min", "Max"):
            output = f"range.{kind}.{index}"
            watched.graph.node.append(helper.make_node(f"Reduce{kind}", [name], [output], keepdims=0))
            watched.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, []))
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "watched.onnx")
        save(watched, file)
        session = onnxruntime.InferenceSession(
            file, _options(onnxruntime), providers=["CPUExecutionProvider"]
        )
    found = np.array([session.run(None, dict(feed)) for feed in feeds], np.float64)
    if not len(found):
        raise ExportError("no photos to see the range of activations on; give some")
    lows, highs = found[:, 0::2].min(axis=0), found[:, 1::2].max(axis=0)
    if not (np.isfinite(lows).all() and np.isfinite(highs).all()):
        raise ExportError("activations on the sample photos are not finite; quantise earlier weights")
    return {name: (float(lows[i]), float(highs[i])) for i, name in enumerate(names)}


def _runtime() -> Any:  # noqa: ANN401 (onnxruntime ships no types)
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError("onnxruntime", extra="cpu", why="to make an int8 graph") from error
    return onnxruntime


def _options(onnxruntime: Any) -> Any:  # noqa: ANN401
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return options
