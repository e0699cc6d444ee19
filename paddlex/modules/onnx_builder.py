"""Write an ONNX graph as one writes NumPy: values with arithmetic, every operator of ONNX by its name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

__all__ = ["OPSET", "GraphBuilder", "Operand", "Value"]

# Opset 17 has LayerNormalization as one operator; onnxruntime 1.17 and OpenVINO 2025 read it.
OPSET = 17
_IR_VERSION = 8  # the one that came with it


@dataclass(frozen=True)
class Value:
    """A tensor of a graph that is being written; arithmetic on it adds nodes.

    Attributes:
        graph: the graph.
        name: of the tensor in there.
    """

    graph: GraphBuilder
    name: str

    def __add__(self, other: Operand) -> Value:
        return self.graph.op("Add", self, other)

    def __sub__(self, other: Operand) -> Value:
        return self.graph.op("Sub", self, other)

    def __mul__(self, other: Operand) -> Value:
        return self.graph.op("Mul", self, other)

    def __truediv__(self, other: Operand) -> Value:
        """Division; of whole numbers it drops the fraction."""
        return self.graph.op("Div", self, other)

    def __mod__(self, other: Operand) -> Value:
        return self.graph.op("Mod", self, other)

    def __getitem__(self, columns: slice) -> Value:
        """Part of the last axis."""
        start, stop = columns.start or 0, columns.stop if columns.stop is not None else np.iinfo(np.int64).max
        return self.graph.op("Slice", self, [start], [stop], [-1])

    def reshape(self, *shape: int) -> Value:
        """The same values in another shape; -1 is what remains."""
        return self.graph.op("Reshape", self, list(shape))

    def transpose(self, *axes: int) -> Value:
        """The same values with the axes in another order."""
        return self.graph.op("Transpose", self, perm=list(axes))

    def cast(self, dtype: type[np.generic]) -> Value:
        """The same values of another type."""
        return self.graph.op("Cast", self, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def rows(self, index: Value) -> Value:
        """Entries of the first axis by their index."""
        return self.graph.op("Gather", self, index, axis=0)

    def first(self, count: Value) -> Value:
        """The first `count` (1,) entries of the first axis."""
        return self.graph.op("Slice", self, [0], count, [0])

    def length(self) -> Value:
        """How many entries the first axis has: (1,) int64."""
        return self.graph.op("Shape", self, start=0, end=1)


# Whole numbers become int64 constants, others float32.
Operand: TypeAlias = Value | ArrayLike


class GraphBuilder:
    """A graph to be, node by node; equal constants are stored once."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._inputs: list[Any] = []
        self._initializers: dict[bytes, TensorProto] = {}
        self._count = 0

    def input(self, name: str, shape: Sequence[int | str]) -> Value:
        """Declare a float32 input; names in `shape` are free axes."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        return Value(self, name)

    def constant(self, value: ArrayLike) -> Value:
        """Store an array: whole numbers as int64, others as float32."""
        array = np.asarray(value)
        if array.dtype != np.bool_:
            array = array.astype(np.int64 if np.issubdtype(array.dtype, np.integer) else np.float32)
        return Value(self, self._store(numpy_helper.from_array(array)))

    def op(self, kind: str, *inputs: Operand, **attributes: Any) -> Value:  # noqa: ANN401 (ONNX attributes)
        """Add a node with one output."""
        return self.ops(kind, *inputs, count=1, **attributes)[0]

    def ops(self, kind: str, *inputs: Operand, count: int, **attributes: Any) -> tuple[Value, ...]:  # noqa: ANN401
        """Add a node with `count` outputs."""
        names = [(value if isinstance(value, Value) else self.constant(value)).name for value in inputs]
        outputs = [self._fresh(kind.lower()) for _ in range(count)]
        self._nodes.append(helper.make_node(kind, names, outputs, **attributes))
        return tuple(Value(self, name) for name in outputs)

    def concat(self, values: Sequence[Value], *, axis: int = 0) -> Value:
        """Join values along an axis."""
        return values[0] if len(values) == 1 else self.op("Concat", *values, axis=axis)

    def top_k(self, values: Value, count: Value) -> tuple[Value, Value]:
        """The `count` (1,) largest of `values` (n,) in descending order, or all if there are fewer.

        Returns:
            The values, and their indices int64.
        """
        found = self.ops("TopK", values, self.op("Min", count, values.length()), count=2, axis=0)
        return found[0], found[1]

    def insert(self, model: ModelProto, *inputs: Value) -> tuple[Value, ...]:
        """Add all nodes of another model, its inputs bound to `inputs` in order.

        Args:
            model: of this opset; it keeps its own copy.
            *inputs: values of this graph.

        Returns:
            Its outputs in order.
        """
        graph = model.graph
        names = {declared.name: value.name for declared, value in zip(graph.input, inputs, strict=True)}
        for tensor in graph.initializer:
            names[tensor.name] = self._store(tensor)
        for node in graph.node:
            tensor = _constant_tensor(node)
            if tensor is not None:
                names[node.output[0]] = self._store(tensor)
                continue
            if node.op_type == "Identity":
                names[node.output[0]] = names[node.input[0]]
                continue
            names |= {name: self._fresh(node.op_type.lower()) for name in node.output}
            copy = NodeProto()
            copy.CopyFrom(node)
            copy.ClearField("name")  # two models may use one name
            for ends, kept in ((copy.input, node.input), (copy.output, node.output)):
                del ends[:]
                ends.extend(names.get(name, name) for name in kept)  # an absent optional input is ""
            self._nodes.append(copy)
        return tuple(Value(self, names[value.name]) for value in graph.output)

    def finish(self, outputs: Mapping[str, tuple[Value, int, Sequence[int | str]]]) -> ModelProto:
        """The model.

        Args:
            outputs: by name the value, its ONNX type and its shape, names being free axes.
        """
        ends = [helper.make_node("Identity", [value.name], [name]) for name, (value, _, _) in outputs.items()]
        nodes = [*self._nodes, *ends]
        used = {name for node in nodes for name in node.input}
        graph = helper.make_graph(
            nodes,
            "fast",
            self._inputs,
            [
                helper.make_tensor_value_info(name, kind, list(shape))
                for name, (_, kind, shape) in outputs.items()
            ],
            [tensor for tensor in self._initializers.values() if tensor.name in used],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION
        )
        checker.check_model(model)
        return model

    def _fresh(self, stem: str) -> str:
        self._count += 1
        return f"{stem}.{self._count}"

    def _store(self, tensor: TensorProto) -> str:
        """Keep a constant, or find the one that equals it; returns its name."""
        array = numpy_helper.to_array(tensor)
        key = hashlib.sha256(f"{array.dtype} {array.shape}".encode() + array.tobytes()).digest()
        if key not in self._initializers:
            copy = numpy_helper.from_array(array, self._fresh("constant"))
            self._initializers[key] = copy
        return self._initializers[key].name


def _constant_tensor(node: NodeProto) -> TensorProto | None:
    """What a node that is a constant holds."""
    if node.op_type != "Constant":
        return None
    return next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)
