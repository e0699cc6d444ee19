"""What each operator does to channels: the operators that make, mix and weigh them.

A rule reads the labels of a node's inputs, ties or freezes atoms, and labels the outputs. `rules_shape` holds
those of operators that move channels about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from paddlex.compression.atoms import Labels, Numbers
from paddlex.compression.graph import Node
from paddlex.compression.rules_shape import SHAPE_RULES
from paddlex.compression.walk import Walk

__all__ = ["RULES"]

Rule = Callable[[Walk, Node], bool]


def _parameter(walk: Walk, node: Node) -> bool:
    (value,) = node.outputs
    if walk.graph.parameters[value]:
        walk.put(value, tuple(walk.atoms.new(length) for length in walk.shape(value)))
        walk.learnt.add(value)
    return True


def _convolution(walk: Walk, node: Node) -> bool:
    x, weight = node.inputs[0], node.inputs[1]
    if not walk.is_parameter(weight) or node.attributes.get("data_format") != "NCHW":
        return False
    assert x is not None and weight is not None
    labels, kernel = walk.of(x), walk.of(weight)
    out_channels, in_channels = kernel[0], kernel[1]
    groups = int(node.attributes["groups"])
    if groups == 1:
        walk.atoms.tie(labels[1], in_channels)
        walk.add_master(weight, 0)
    else:
        walk.atoms.freeze(in_channels)
        _tie_groups(walk, labels[1], out_channels, groups=groups)
    batch, _, height, width = walk.shape(node.outputs[0])
    rows, columns = walk.shape(weight)[2:]
    lengths = (batch, height, width, rows, columns, -1, -1)
    walk.add_cost(node, lengths, (labels[0], *(None,) * 4, out_channels, in_channels))
    walk.put(node.outputs[0], (labels[0], out_channels, None, None))
    return True


def _tie_groups(walk: Walk, inputs: Numbers | None, outputs: Numbers | None, *, groups: int) -> None:
    """Let a group of channels leave as a whole; of a depthwise convolution that is one channel."""
    if inputs is None or outputs is None:
        walk.atoms.tie(inputs, outputs)
        return
    blocks = np.concatenate([inputs.reshape(groups, -1), outputs.reshape(groups, -1)], axis=1)
    walk.atoms.tie(np.repeat(blocks[:, :1], blocks.shape[1] - 1, axis=1), blocks[:, 1:])


def _transposed_convolution(walk: Walk, node: Node) -> bool:
    x, weight = node.inputs[0], node.inputs[1]
    plain = int(node.attributes["groups"]) == 1 and node.attributes.get("data_format") == "NCHW"
    if not walk.is_parameter(weight) or not plain:
        return False
    assert x is not None and weight is not None
    labels, kernel = walk.of(x), walk.of(weight)
    walk.atoms.tie(labels[1], kernel[0])
    walk.add_master(weight, 1)
    # Every pixel of the input is multiplied with the whole kernel.
    batch, _, height, width = walk.shape(x)
    rows, columns = walk.shape(weight)[2:]
    lengths = (batch, height, width, rows, columns, -1, -1)
    walk.add_cost(node, lengths, (labels[0], *(None,) * 4, kernel[0], kernel[1]))
    walk.put(node.outputs[0], (labels[0], kernel[1], None, None))
    return True


def _product(walk: Walk, node: Node) -> bool:
    x, y = node.inputs
    assert x is not None and y is not None
    if min(len(walk.shape(x)), len(walk.shape(y))) < 2:
        return False
    left = _matrix(walk, x, transposed=bool(node.attributes["transpose_x"]))
    right = _matrix(walk, y, transposed=bool(node.attributes["transpose_y"]))
    walk.atoms.tie(left[1][-1], right[1][-2])
    if walk.is_parameter(y) and len(right[0]) == 2:
        walk.add_master(y, 0 if node.attributes["transpose_y"] else 1)
    (result,) = node.outputs
    outer = _broadcast(
        walk, [(left[0][:-2], left[1][:-2]), (right[0][:-2], right[1][:-2])], walk.shape(result)[:-2]
    )
    labels = (*outer, left[1][-2], right[1][-1])
    walk.add_cost(node, (*walk.shape(result), left[0][-1]), (*labels, left[1][-1]))
    walk.put(result, labels)
    return True


def _matrix(walk: Walk, value: int, *, transposed: bool) -> tuple[tuple[int, ...], Labels]:
    shape, labels = walk.shape(value), walk.of(value)
    if not transposed:
        return shape, labels
    return (*shape[:-2], shape[-1], shape[-2]), (*labels[:-2], labels[-1], labels[-2])


def _normalisation(walk: Walk, node: Node) -> bool:
    if node.attributes.get("data_format", "NCHW") != "NCHW":
        return False
    labels = walk.of(node.inputs[0])
    for per_channel in node.inputs[1:5]:
        if per_channel is not None:
            walk.atoms.tie(labels[1], walk.of(per_channel)[0])
    walk.put(node.outputs[0], labels)
    return True


def _slope(walk: Walk, node: Node) -> bool:
    """PReLU: a slope for all channels or for each."""
    labels, slope = walk.of(node.inputs[0]), walk.of(node.inputs[1])[0]
    assert node.inputs[1] is not None
    if walk.shape(node.inputs[1])[0] > 1:
        walk.atoms.tie(labels[1], slope)
    walk.put(node.outputs[0], labels)
    return True


def _pointwise(walk: Walk, node: Node) -> bool:
    """Of one tensor, at every position by itself."""
    first = node.inputs[0]
    assert first is not None
    walk.put(node.outputs[0], walk.of(first))
    if first in walk.learnt:
        walk.learnt.add(node.outputs[0])
    return True


def _elementwise(walk: Walk, node: Node) -> bool:
    """Of several tensors of shapes that broadcast."""
    (result,) = node.outputs
    operands = [value for value in node.inputs if value is not None]
    parts = [(walk.shape(value), walk.of(value)) for value in operands]
    labels = _broadcast(walk, parts, walk.shape(result))
    walk.put(result, labels)
    if node.kind == "pd_op.add":
        _bias_cost(walk, node, operands, labels)
    return True


def _bias_cost(walk: Walk, node: Node, operands: Sequence[int], labels: Labels) -> None:
    """A learnt bias, one number a channel, is one operation for each number it is added to."""
    for value in operands:
        if value in walk.learnt and sum(length > 1 for length in walk.shape(value)) == 1:
            walk.add_cost(node, walk.shape(node.outputs[0]), labels)
            return


def _broadcast(
    walk: Walk, parts: Sequence[tuple[tuple[int, ...], Labels]], result: tuple[int, ...]
) -> Labels:
    """Tie the axes of tensors that meet, aligned at the last; return those of the result."""
    labels: list[Numbers | None] = []
    for place in range(-len(result), 0):
        meeting = [(shape[place], axes[place]) for shape, axes in parts if len(shape) >= -place]
        length = result[place]
        wide = [axis for size, axis in meeting if size == length]
        for size, axis in meeting:
            if size != length:
                # One channel that all of another tensor meet: without it nothing would be left of them.
                walk.atoms.freeze(axis)
        for axis in wide[1:]:
            walk.atoms.tie(wide[0], axis)
        labels.append(wide[0] if wide and all(axis is not None for axis in wide) else None)
    return tuple(labels)


_POINTWISE = (
    "relu relu_ relu6 leaky_relu leaky_relu_ elu elu_ selu celu gelu silu swish mish hardswish hardsigmoid "
    "hardtanh sigmoid sigmoid_ tanh tanh_ softplus softsign abs exp log log1p sqrt rsqrt square reciprocal "
    "pow floor ceil round clip clip_ cast scale scale_ assign assign_ share_data share_data_ dropout "
    "logical_not isnan isinf isfinite sign sin cos negative logit full_like"
).split()
_ELEMENTWISE = (
    "add add_ subtract subtract_ multiply multiply_ divide divide_ maximum minimum fmax fmin elementwise_pow "
    "where greater_than greater_equal less_than less_equal equal not_equal logical_and logical_or logical_xor"
).split()

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **SHAPE_RULES,
        **{f"pd_op.{name}": _pointwise for name in _POINTWISE},
        **{f"pd_op.{name}": _elementwise for name in _ELEMENTWISE},
        "builtin.parameter": _parameter,
        "pd_op.conv2d": _convolution,
        "pd_op.depthwise_conv2d": _convolution,
        "pd_op.conv2d_transpose": _transposed_convolution,
        "pd_op.matmul": _product,
        "pd_op.batch_norm": _normalisation,
        "pd_op.batch_norm_": _normalisation,
        "pd_op.prelu": _slope,
    }
)
