"""A float ONNX graph made into one that computes in 8-bit integers (QDQ form, ONNX operators only).

Weights are signed with a scale for each output channel, biases 32-bit integers, activations unsigned. Between
`QuantizeLinear` and `DequantizeLinear` runtimes find what to compute in integers: ONNX Runtime makes one
`QLinearConv` of each convolution with its bias and activation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from paddlex.compression.float_graph import Range, constants, fold, tensor_ranges
from paddlex.compression.int8_plan import Int8Plan, QuantizedLayer, plan_int8
from paddlex.utils.errors import ExportError

__all__ = ["make_int8_graph"]

_SMALLEST = 1e-9
_LEVELS = 127
# A bias in units of the product of two scales must fit 32 bits, with room for the sum it is added to.
_LARGEST_BIAS = 2.0**30


def make_int8_graph(
    model: ModelProto,
    *,
    layers: Sequence[QuantizedLayer],
    feeds: Iterable[Mapping[str, NDArray[Any]]],
) -> ModelProto:
    """Quantise a graph.

    Args:
        model: in float; it stays as it is.
        layers: of the network it was made from.
        feeds: inputs by name, one mapping a run: what shows the ranges of tensors no layer has a scale for.

    Returns:
        A graph of the same inputs and outputs.

    Raises:
        ExportError: if the graph has none of the layers, or no feed is given.
        MissingDependencyError: without onnxruntime.
    """
    folded = fold(model)
    plan = plan_int8(folded, layers)
    if not plan.weighted:
        raise ExportError("no layer of the graph can compute in integers; keep the float model")
    ranges = tensor_ranges(folded, plan.tensors, feeds)
    _Writer(folded, plan, quantities=_quantities(plan, ranges)).write()
    return folded


@dataclass(frozen=True)
class _Quantity:
    """How a tensor is held: value = scale (integer - zero)."""

    scale: float
    zero: int
    clip: Range | None = None


def _quantities(plan: Int8Plan, ranges: Mapping[str, Range]) -> dict[str, _Quantity]:
    """The scale and zero of each tensor, those of trained scales on the levels that were trained for."""
    groups = {name: group for group in plan.alike for name in group}
    found = {}
    for name in plan.tensors:
        group = [other for other in groups.get(name, {name}) if other in ranges]
        low = min(0.0, *(ranges[other][0] for other in group))
        high = max(0.0, *(ranges[other][1] for other in group))
        trained = max((plan.scales[other] for other in group if other in plan.scales), default=(0.0, 8))
        found[name] = _quantity(low, high, trained=trained)
    return found


def _quantity(low: float, high: float, *, trained: tuple[float, int]) -> _Quantity:
    scale, bits = trained
    if scale > 0 and bits == 8 and low >= 0:
        # All 255 levels up to the scale: clips where fake quantisation does, at half its steps.
        return _Quantity(scale / 255, 0)
    if scale > 0:
        levels = max(2 ** (bits - 1) - 1, 1)
        bounds = (0.0 if low >= 0 else -scale, scale)
        # Fewer than eight bits would not cut off by themselves what lies beyond the scale.
        return _Quantity(scale / levels, 0 if low >= 0 else 128, bounds if bits < 8 else None)
    step = max(high - low, _SMALLEST) / 255
    return _Quantity(step, round(-low / step))


class _Writer:
    """Puts the integers into a graph, in place."""

    def __init__(self, model: ModelProto, plan: Int8Plan, *, quantities: Mapping[str, _Quantity]) -> None:
        self._graph, self._plan, self._quantities = model.graph, plan, quantities
        self._constants = constants(model)
        self._nodes: list[NodeProto] = []
        self._renamed: dict[str, str] = {}

    def write(self) -> None:
        """Rewrite the nodes in their order."""
        nodes = list(self._graph.node)
        skipped = {nodes[index].input[0]: nodes[index].output[0] for index in self._plan.dropped}
        for value in self._graph.input:
            self._quantize(value.name)
        for index, node in enumerate(nodes):
            if index in self._plan.dropped:
                continue
            inputs = list(node.input)
            if index in self._plan.weighted:
                self._integer_weight(node)
            for position, name in enumerate(inputs):
                node.input[position] = self._renamed.get(name, node.input[position])
            for position, name in enumerate(node.output):
                node.output[position] = skipped.get(name, name)
            self._nodes.append(node)
            for name in node.output:
                self._quantize(name)
        copies = [NodeProto.FromString(node.SerializeToString()) for node in self._nodes]
        del self._graph.node[:], self._graph.value_info[:]
        self._graph.node.extend(copies)
        self._drop_unused_constants()

    def _quantize(self, name: str) -> None:
        """Put the two operators behind a tensor; whatever follows takes the rounded values."""
        quantity = self._quantities.get(name)
        if quantity is None:
            return
        source = name
        if quantity.clip is not None:
            bounds = [
                self._constant(f"{name}.{end}", np.float32(value))
                for end, value in zip(("low", "high"), quantity.clip, strict=True)
            ]
            source = f"{name}.clipped"
            self._nodes.append(helper.make_node("Clip", [name, *bounds], [source]))
        scale = self._constant(f"{name}.scale", np.float32(quantity.scale))
        zero = self._constant(f"{name}.zero", np.uint8(quantity.zero))
        self._nodes += [
            helper.make_node("QuantizeLinear", [source, scale, zero], [f"{name}.integers"]),
            helper.make_node("DequantizeLinear", [f"{name}.integers", scale, zero], [f"{name}.rounded"]),
        ]
        self._renamed[name] = f"{name}.rounded"

    def _integer_weight(self, node: NodeProto) -> None:
        """Make weight and bias of a node integers."""
        weight = self._constants[node.input[1]].astype(np.float64)
        axis = _output_axis(node)
        others = tuple(index for index in range(weight.ndim) if index != axis)
        scale = np.abs(weight).max(axis=others) / _LEVELS
        source = self._quantities[node.input[0]].scale
        bias = self._constants.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None
        if bias is not None:
            scale = np.maximum(scale, np.abs(bias) / (source * _LARGEST_BIAS))
        scale = np.maximum(scale, _SMALLEST).astype(np.float32)
        shape = [-1 if index == axis else 1 for index in range(weight.ndim)]
        integers = np.clip(np.rint(weight / scale.reshape(shape)), -_LEVELS, _LEVELS).astype(np.int8)
        node.input[1] = self._dequantized(node.input[1], integers, scale, axis=axis)
        if bias is not None:
            units = (np.float32(source) * scale).astype(np.float32)
            whole = np.rint(bias.astype(np.float64) / units).astype(np.int32)
            node.input[2] = self._dequantized(node.input[2], whole, units, axis=0, stem=node.output[0])

    def _dequantized(
        self, name: str, integers: NDArray[Any], scale: NDArray[np.float32], *, axis: int, stem: str = ""
    ) -> str:
        """Store integers for a constant; returns the name of its values."""
        # One bias may serve two layers whose inputs differ in scale.
        stem = f"{name}.{stem}" if stem else name
        output = f"{stem}.rounded"
        if output in self._renamed.values():
            return output
        parts = [
            self._constant(f"{stem}.integers", integers),
            self._constant(f"{stem}.scale", scale),
            self._constant(f"{stem}.zero", np.zeros(scale.shape, integers.dtype)),
        ]
        self._nodes.append(helper.make_node("DequantizeLinear", parts, [output], axis=axis))
        self._renamed[f"{stem} as integers"] = output
        return output

    def _constant(self, name: str, value: NDArray[Any] | np.generic) -> str:
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _drop_unused_constants(self) -> None:
        used = {name for node in self._graph.node for name in node.input}
        kept: list[TensorProto] = [tensor for tensor in self._graph.initializer if tensor.name in used]
        kept = [TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)


def _output_axis(node: NodeProto) -> int:
    """The axis of a weight that output channels are numbered along."""
    if node.op_type == "Conv":
        return 0
    is_transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if node.op_type == "Gemm" and is_transposed else 1
