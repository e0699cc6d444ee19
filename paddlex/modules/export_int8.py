"""A quantised network's fast graph in 8-bit integers, and how much faster it is."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from paddle import nn

from paddlex.compression.int8_plan import QuantizedLayer
from paddlex.inference.backends.base import cpu_threads
from paddlex.modules.sample_photos import find_sample_photos
from paddlex.nn.fake_quant import quantized_layers
from paddlex.nn.quantization import quantization_of
from paddlex.utils.errors import ExportError
from paddlex.utils.logging import logger

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["Latency", "quantized_graph", "sample_photos_for"]

_MOST_REPEATS, _SECONDS = 20, 3.0
_CALIBRATION_PHOTOS = 8


@dataclass(frozen=True, kw_only=True)
class Latency:
    """A float graph and its integer form, timed in turns on the first sample photo; the best of up to 20.

    Attributes:
        float_ms: milliseconds of the float graph.
        int8_ms: of the integer graph.
        speedup: their ratio.
    """

    float_ms: float
    int8_ms: float
    speedup: float

    def to_json(self) -> dict[str, float]:
        """Fields for a result file."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


def sample_photos_for(network: nn.Layer, folder: Path | None) -> list[NDArray[np.uint8]]:
    """Photos to export a network with: more where they show a quantised one's ranges."""
    if quantization_of(network) is None:
        return find_sample_photos(folder)
    return find_sample_photos(folder, count=_CALIBRATION_PHOTOS)


def quantized_graph(
    network: nn.Layer, model: ModelProto, *, inputs: Sequence[Mapping[str, NDArray[Any]]]
) -> tuple[ModelProto, Latency]:
    """Make the integer form of a graph.

    Args:
        network: quantised, its weights rounded; tells scales.
        model: its float graph.
        inputs: what the graph may be fed with, for each sample photo.

    Raises:
        ExportError: if nobody has shown the network anything, so that it knows no scales.
        MissingDependencyError: without onnxruntime.
    """
    from paddlex.compression.int8_graph import make_int8_graph

    layers = [
        QuantizedLayer(
            weight=layer.weight.numpy(),
            scale=layer.input_quantizer.learned_scale,
            bits=layer.input_quantizer.bits,
        )
        for layer in quantized_layers(network).values()
    ]
    if not any(layer.scale > 0 for layer in layers):
        raise ExportError(
            "the quantised network has seen no photo, so that it knows no range of its activations; train "
            "it, or quantise trained weights with Global.mode=quantize"
        )
    taken = {value.name for value in model.graph.input}
    feeds = [{name: array for name, array in feed.items() if name in taken} for feed in inputs]
    integers = make_int8_graph(model, layers=layers, feeds=feeds)
    latency = _time_in_turns(model, integers, feeds[0])
    logger.info(
        "int8: %.0f ms on a sample photo, %.0f ms in float32: %.2f times as fast",
        *(latency.int8_ms, latency.float_ms, latency.speedup),
    )
    return integers, latency


def _time_in_turns(before: ModelProto, after: ModelProto, feed: Mapping[str, NDArray[Any]]) -> Latency:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = cpu_threads(None)
    sessions = [
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        for model in (before, after)
    ]
    best = [np.inf, np.inf]
    end = time.perf_counter() + _SECONDS
    for repeat in range(_MOST_REPEATS + 1):
        for number, session in enumerate(sessions):
            started = time.perf_counter()
            session.run(None, dict(feed))
            if repeat:  # the first one warms up
                best[number] = min(best[number], 1000 * (time.perf_counter() - started))
        if repeat and time.perf_counter() > end:
            break
    return Latency(float_ms=best[0], int8_ms=best[1], speedup=best[0] / best[1])
