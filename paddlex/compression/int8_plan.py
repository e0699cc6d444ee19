"""Which tensors of a graph become 8-bit integers, so that a runtime can compute between them in integers.

A convolution or product computes in integers where its input and its output are quantised. Its output is, if
another quantised one follows somewhere, or a float one right behind; so the last ones, whose values users
see, stay exact. What stands in between joins in where runtimes have it in integers. An activation that only
cuts off negative values needs no operator: unsigned integers have none.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto

from paddlex.compression.float_graph import constants

__all__ = ["Int8Plan", "QuantizedLayer", "plan_int8"]

_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
# Without an integer form on CPUs; its input is rounded all the same.
_FLOAT_ONLY = {"ConvTranspose"}
_ALIKE = {"MaxPool", "Resize"}  # values in, the same or means of them out: one scale for both
_BETWEEN = {"Add", "AveragePool", "Concat", "GlobalAveragePool", "Mul", "Relu", "Sigmoid", *_ALIKE}
_FLOAT_INPUTS = {"Add": 2, "Mul": 2}


@dataclass(frozen=True, kw_only=True)
class QuantizedLayer:
    """A layer of a network that was quantised.

    Attributes:
        weight: its values, by which it is found in a graph.
        scale: of its input, as fake quantisation has it; 0: nobody has seen one.
        bits: of its input.
    """

    weight: NDArray[np.float32]
    scale: float
    bits: int = 8


@dataclass
class Int8Plan:
    """What becomes of a graph.

    Attributes:
        weighted: numbers of the nodes that compute in integers with a constant weight.
        dropped: numbers of the activations that unsigned integers make superfluous.
        tensors: names of the tensors that are quantised, in the order of the graph.
        scales: by tensor (scale, bits) as trained; of tensors that share one scale only one need have it.
        alike: tensors that share a scale.
    """

    weighted: set[int] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)
    tensors: list[str] = field(default_factory=list)
    scales: dict[str, tuple[float, int]] = field(default_factory=dict)
    alike: list[set[str]] = field(default_factory=list)


def plan_int8(model: ModelProto, layers: Sequence[QuantizedLayer]) -> Int8Plan:
    """Decide for a folded graph.

    Args:
        model: nodes in an order in which they can run.
        layers: the quantised ones; those that the graph does not have are ignored.
    """
    plan = Int8Plan()
    nodes = list(model.graph.node)
    known = constants(model)
    found = dict(_find_layers(nodes, known, layers))
    needed = _tensors_before(nodes, found) | _tensors_right_before(nodes, known)
    quantized = {nodes[index].input[0] for index in found}
    for index, node in enumerate(nodes):
        inputs = [name for name in node.input[: _float_inputs(node)] if name not in known]
        if index in found:
            scale, bits = found[index]
            _keep_larger(plan.scales, node.input[0], (scale, bits))
            if node.op_type not in _FLOAT_ONLY and node.output[0] in needed:
                plan.weighted.add(index)
                quantized.add(node.output[0])
        elif _joins_in(node, inputs, quantized=quantized, needed=needed):
            quantized.update(inputs)
            quantized.add(node.output[0])
            if node.op_type in _ALIKE:
                _join(plan.alike, {inputs[0], node.output[0]})
    _drop_activations(model, plan, quantized)
    order = [value.name for value in model.graph.input] + [name for node in nodes for name in node.output]
    plan.tensors = [name for name in order if name in quantized]
    return plan


def _find_layers(
    nodes: Sequence[NodeProto], known: Mapping[str, NDArray[Any]], layers: Sequence[QuantizedLayer]
) -> Iterator[tuple[int, tuple[float, int]]]:
    """Numbers of the nodes that are layers, with the scale and bits of their input."""
    by_weight: dict[str, tuple[float, int]] = {}
    for layer in layers:
        _keep_larger(by_weight, _digest(layer.weight), (layer.scale, layer.bits))
    for index, node in enumerate(nodes):
        if node.op_type not in _WEIGHTED or node.input[1] not in known:
            continue
        match = by_weight.get(_digest(known[node.input[1]]))
        if match is not None and match[0] > 0:
            yield index, match


def _digest(weight: NDArray[Any]) -> str:
    content = np.ascontiguousarray(weight, np.float32)
    return hashlib.sha256(f"{content.shape}".encode() + content.tobytes()).hexdigest()


def _keep_larger(scales: dict[str, tuple[float, int]], name: str, entry: tuple[float, int]) -> None:
    scales[name] = max(scales.get(name, entry), entry)


def _tensors_before(nodes: Sequence[NodeProto], found: Mapping[int, Any]) -> set[str]:
    """Names of the tensors that the input of a layer is made from."""
    needed: set[str] = set()
    for index in range(len(nodes) - 1, -1, -1):
        node = nodes[index]
        if index in found:
            needed.add(node.input[0])
        if needed & set(node.output):
            needed.update(node.input)
    return needed


def _tensors_right_before(nodes: Sequence[NodeProto], known: Mapping[str, NDArray[Any]]) -> set[str]:
    """Names of the tensors that a float layer takes, with nothing but what has an integer form in between."""
    needed: set[str] = set()
    for node in reversed(nodes):
        if node.op_type in _WEIGHTED and node.input[1] in known:
            needed.add(node.input[0])
        elif node.op_type in _BETWEEN and needed & set(node.output):
            needed.update(node.input)
    return needed


def _float_inputs(node: NodeProto) -> int:
    return len(node.input) if node.op_type == "Concat" else _FLOAT_INPUTS.get(node.op_type, 1)


def _joins_in(node: NodeProto, inputs: Sequence[str], *, quantized: set[str], needed: set[str]) -> bool:
    """Whether all that a node takes is quantised, and a layer follows."""
    return (
        node.op_type in _BETWEEN
        and len(inputs) == _float_inputs(node)
        and len(node.output) == 1
        and node.output[0] in needed
        and all(name in quantized for name in inputs)
    )


def _join(groups: list[set[str]], names: set[str]) -> None:
    touching = [group for group in groups if group & names]
    groups[:] = [group for group in groups if not group & names] + [names.union(*touching)]


def _drop_activations(model: ModelProto, plan: Int8Plan, quantized: set[str]) -> None:
    """Leave out each Relu right behind an operator whose result nothing else uses."""
    nodes = list(model.graph.node)
    users: dict[str, int] = defaultdict(int)
    for node in nodes:
        for name in node.input:
            users[name] += 1
    made_by = {name: index for index, node in enumerate(nodes) for name in node.output}
    outputs = {value.name for value in model.graph.output}
    for index, node in enumerate(nodes):
        if node.op_type != "Relu" or node.output[0] not in quantized:
            continue
        source = node.input[0]
        producer = made_by.get(source)
        if producer is None or users[source] > 1 or source in outputs or source not in quantized:
            continue
        if producer in plan.weighted or nodes[producer].op_type == "Add":
            if plan.scales.get(node.output[0], (0.0, 8))[1] == 8:
                plan.dropped.add(index)
                quantized.discard(source)
