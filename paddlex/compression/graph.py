"""A network's computation as a list of plain nodes, read from Paddle's static graph of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import paddle
from paddle import nn

from paddlex.nn.tracing import trace_as_written

__all__ = ["Graph", "Node", "trace"]

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operator.

    Attributes:
        kind: its name, such as `pd_op.conv2d`.
        inputs: numbers of its operands in order; None for one that is left out.
        outputs: numbers of its results.
        inner: numbers of outer values that the bodies of a control flow operator use.
        attributes: its attributes by name.
    """

    kind: str
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]
    inner: tuple[int, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Nodes in order of execution.

    Attributes:
        nodes: all of them.
        shapes: of each value; -1 for a length that is known at run time only. Lists of tensors have none.
        parameters: the names in the network's state dict of each value that is a parameter or buffer.
        constants: the integers of values that are constant ones.
        results: values that the network returns.
    """

    nodes: tuple[Node, ...]
    shapes: Mapping[int, Shape]
    parameters: Mapping[int, tuple[str, ...]]
    constants: Mapping[int, tuple[int, ...]]
    results: tuple[int, ...]


def trace(network: nn.Layer, *, form: nn.Layer, inputs: Mapping[str, Shape]) -> Graph:
    """Trace `form` and name its parameters as `network` does.

    Args:
        network: gives the names.
        form: a layer around (parts of) the network; it is traced in evaluation mode.
        inputs: name and shape of each float32 input, in the order of `form.forward`.
    """
    trace_as_written()
    modes = [(layer, layer.training) for layer in network.sublayers(include_self=True)]
    form.eval()
    traced = paddle.jit.to_static(form, full_graph=True)
    try:
        specs = [paddle.static.InputSpec(list(shape), "float32", name) for name, shape in inputs.items()]
        program, _ = traced.forward.get_concrete_program(*specs)
        return _read(program, _names_of_tensors(network))
    finally:
        # What tracing put in the place of the method would run the graph from now on.
        vars(form).pop("forward")
        for layer, training in modes:
            layer.training = training


def _names_of_tensors(network: nn.Layer) -> dict[str, tuple[str, ...]]:
    """State dict names by Paddle's own; a layer that has two names in a network has two."""
    names: dict[str, tuple[str, ...]] = {}
    for name, tensor in network.state_dict().items():
        names[tensor.name] = (*names.get(tensor.name, ()), name)
    return names


def _read(program: Any, names: Mapping[str, tuple[str, ...]]) -> Graph:  # noqa: ANN401 (Paddle's own)
    nodes: list[Node] = []
    shapes: dict[int, Shape] = {}
    parameters: dict[int, tuple[str, ...]] = {}
    constants: dict[int, tuple[int, ...]] = {}
    for operator in program.main_program.global_block().ops:
        results = operator.results()
        node = Node(
            kind=operator.name(),
            inputs=tuple(value.id if value.initialized() else None for value in operator.operands_source()),
            outputs=tuple(value.id for value in results),
            inner=tuple(_used_inside(operator)),
            attributes={key: value for key, value in operator.attrs().items() if key != "op_callstack"},
        )
        nodes.append(node)
        shapes.update((value.id, tuple(value.shape)) for value in results if _is_tensor(value))
        if node.kind == "builtin.parameter":
            # What is no entry of the state dict (a constant made while tracing) has no names.
            parameters[node.outputs[0]] = names.get(node.attributes["parameter_name"], ())
        elif node.kind in {"pd_op.full_int_array", "pd_op.full"} and len(node.outputs) == 1:
            value = np.atleast_1d(node.attributes["value"])
            if np.isfinite(value).all() and (value == np.trunc(value)).all():
                constants[node.outputs[0]] = tuple(int(number) for number in value)
    outputs = tuple(value.id for value in _flat(program.outputs))
    return Graph(
        nodes=tuple(nodes), shapes=shapes, parameters=parameters, constants=constants, results=outputs
    )


def _used_inside(operator: Any) -> Iterator[int]:  # noqa: ANN401 (Paddle's own)
    for block in operator.blocks():
        for inner in block.ops:
            yield from (value.id for value in inner.operands_source() if value.initialized())
            yield from _used_inside(inner)


def _is_tensor(value: Any) -> bool:  # noqa: ANN401 (Paddle's own)
    return bool(value.initialized()) and value.is_dense_tensor_type()


def _flat(outputs: Any) -> Iterator[Any]:  # noqa: ANN401 (Paddle's own)
    if isinstance(outputs, Mapping):
        outputs = list(outputs.values())
    if isinstance(outputs, Sequence):
        for part in outputs:
            yield from _flat(part)
    elif outputs is not None:
        yield outputs
