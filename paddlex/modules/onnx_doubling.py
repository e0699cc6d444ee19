"""Put the one ONNX operator in place of the chain that Paddle's graphs double a feature map with.

`nn.resize.double_nearest` repeats values by unsqueeze, expand and flatten, since an interpolation would keep
Paddle's oneDNN from running the graph. For ONNX Runtime a resize by whole factors is the fast way: it needs
no change of memory layout between two convolutions, and copies rows instead of single values.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

__all__ = ["merge_doublings"]

# From the last operator to the first.
_CHAIN = ("Reshape", "Expand", "Unsqueeze", "Reshape", "Expand", "Unsqueeze")
_SCALES = "doubling.scales"


def merge_doublings(model: ModelProto) -> int:
    """Replace the chains, and drop what only they used.

    Args:
        model: as paddle2onnx writes it; changed in place.

    Returns:
        How many there were.
    """
    graph = model.graph
    made_by = {output: node for node in graph.node for output in node.output}
    count = 0
    for node in graph.node:
        source = _doubled(node, made_by)
        if source is None:
            continue
        count += 1
        resize = helper.make_node(
            "Resize",
            [source, "", _SCALES],
            list(node.output),
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )
        node.CopyFrom(resize)
    if count:
        graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), _SCALES))
        _drop_unused_nodes(model)
    return count


def _doubled(last: NodeProto, made_by: Mapping[str, NodeProto]) -> str | None:
    """The name of what a chain that ends in `last` doubles."""
    chain: list[NodeProto] = []
    node: NodeProto | None = last
    for kind in _CHAIN:
        if node is None or node.op_type != kind:
            return None
        chain.append(node)
        node = made_by.get(node.input[0])
    _, repeat_rows, insert_rows, _, repeat_columns, insert_columns = chain
    is_doubling = (
        _whole_numbers(insert_columns.input[1], made_by) == [4]
        and _expansion(repeat_columns, made_by) == [-1, -1, -1, -1, 2]
        and _whole_numbers(insert_rows.input[1], made_by) == [3]
        and _expansion(repeat_rows, made_by) == [-1, -1, -1, 2, -1]
    )
    return insert_columns.input[0] if is_doubling else None


def _expansion(expand: NodeProto, made_by: Mapping[str, NodeProto]) -> list[int] | None:
    """The shape an expansion was asked for: the larger, along each axis, of the present one and this."""
    largest = made_by.get(expand.input[1])
    if largest is None or largest.op_type != "Max":
        return None
    shapes = (_whole_numbers(name, made_by) for name in largest.input)
    return next((shape for shape in shapes if shape is not None), None)


def _whole_numbers(name: str, made_by: Mapping[str, NodeProto]) -> list[int] | None:
    """What a constant holds."""
    node = made_by.get(name)
    while node is not None and node.op_type == "Identity":
        node = made_by.get(node.input[0])
    if node is None or node.op_type != "Constant":
        return None
    values: list[int] = numpy_helper.to_array(node.attribute[0].t).reshape(-1).tolist()
    return values


def _drop_unused_nodes(model: ModelProto) -> None:
    graph = model.graph
    used = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if used & set(node.output):
            kept.append(node)
            used |= set(node.input)
    kept.reverse()
    nodes = [NodeProto.FromString(node.SerializeToString()) for node in kept]
    del graph.node[:]
    graph.node.extend(nodes)
