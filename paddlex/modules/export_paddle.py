"""A layer as Paddle's static graph: `<name>.json` and `<name>.pdiparams`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import paddle
from paddle import nn

from paddlex.nn.tracing import trace_as_written
from paddlex.utils.errors import ExportError

__all__ = ["on_cpu", "save_static_graph"]


def save_static_graph(
    layer: nn.Layer, folder: Path, *, name: str, inputs: Mapping[str, tuple[int, ...]]
) -> Path:
    """Trace a layer and write the graph.

    Args:
        layer: in evaluation mode; what is traced must not depend on the values in tensors.
        folder: where to write.
        name: stem of the two files.
        inputs: names and shapes of the float32 inputs in the order of `forward`; -1 is any length.

    Returns:
        The graph file.

    Raises:
        ExportError: if Paddle is set to write another format.
    """
    trace_as_written()
    specs = [paddle.static.InputSpec(list(shape), "float32", key) for key, shape in inputs.items()]
    traced = paddle.jit.to_static(layer, input_spec=specs, full_graph=True)
    paddle.jit.save(traced, str(folder / name))
    graph = folder / f"{name}.json"
    if not graph.is_file():
        raise ExportError(
            "Paddle wrote its old graph format; unset FLAGS_enable_pir_api and FLAGS_json_format_model"
        )
    return graph


@contextlib.contextmanager
def on_cpu() -> Iterator[None]:
    """Make tensors on the CPU meanwhile, so that an export during training takes no memory of the card."""
    device = paddle.get_device()
    paddle.set_device("cpu")
    try:
        yield
    finally:
        paddle.set_device(device)
