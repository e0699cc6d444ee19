"""What operators that move, join, cut or reduce tensors do to channels.

Where the source cuts channels at a place it knows, say after the first 64, the place would be wrong once
channels are gone: cut axes are frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from paddlex.compression.atoms import Labels, Numbers
from paddlex.compression.graph import Node
from paddlex.compression.reshaping import carry_through_reshape
from paddlex.compression.walk import Walk

__all__ = ["SHAPE_RULES"]

Rule = Callable[[Walk, Node], bool]


def _list(walk: Walk, node: Node) -> bool:
    walk.lists[node.outputs[0]] = tuple(value for value in node.inputs if value is not None)
    return True


def _unlist(walk: Walk, node: Node) -> bool:
    """The tensors of a list under names of their own."""
    assert node.inputs[0] is not None
    members = walk.lists.get(node.inputs[0])
    if members is not None:
        for value, member in zip(node.outputs, members, strict=True):
            walk.put(value, walk.of(member))
        return True
    # The list is the result of a split that left its labels under the list's number.
    cut = walk.labels.get(node.inputs[0])
    if cut is None:
        return False
    for value in node.outputs:
        walk.put(value, cut)
    return True


def _reshape(walk: Walk, node: Node) -> bool:
    value, result = node.inputs[0], node.outputs[0]
    assert value is not None
    labels = carry_through_reshape(walk.atoms, walk.shape(value), walk.of(value), walk.shape(result))
    walk.put(result, labels)
    if value in walk.learnt:
        walk.learnt.add(result)
    return True


def _transpose(walk: Walk, node: Node) -> bool:
    labels = walk.of(node.inputs[0])
    walk.put(node.outputs[0], tuple(labels[axis] for axis in node.attributes["perm"]))
    return True


def _concat(walk: Walk, node: Node) -> bool:
    axis = walk.integers(node.inputs[1])
    if axis is None:
        return False
    members = walk.members(node.inputs[0])
    (result,) = node.outputs
    place = axis[0] % len(walk.shape(result))
    labels = list(_tied(walk, members, without=place))
    pieces = [walk.of(member)[place] for member in members]
    labels[place] = None
    if any(piece is not None for piece in pieces):
        labels[place] = np.concatenate(
            [
                walk.atoms.fixed(walk.shape(member)[place]) if piece is None else piece
                for member, piece in zip(members, pieces, strict=True)
            ]
        )
    walk.put(result, tuple(labels))
    return True


def _stack(walk: Walk, node: Node) -> bool:
    labels = list(_tied(walk, walk.members(node.inputs[0])))
    place = int(node.attributes["axis"]) % (len(labels) + 1)
    walk.put(node.outputs[0], (*labels[:place], None, *labels[place:]))
    return True


def _tied(walk: Walk, members: Sequence[int], *, without: int | None = None) -> Labels:
    """Tie all axes of tensors of one shape, but for one axis; return the labels of the first."""
    first = walk.of(members[0])
    labels = list(first)
    for member in members[1:]:
        for place, axis in enumerate(walk.of(member)):
            if place != without:
                walk.atoms.tie(first[place], axis)
                labels[place] = labels[place] if axis is not None else None
    return tuple(labels)


def _cut(walk: Walk, node: Node) -> bool:
    """Slices: axes of another length than before are frozen, and gone or without labels."""
    labels, result = list(walk.of(node.inputs[0])), node.outputs[0]
    for place in node.attributes["axes"]:
        walk.atoms.freeze(labels[place])
        labels[place] = None
    gone = {int(place) for place in node.attributes.get("decrease_axis", ())}
    walk.put(result, tuple(axis for place, axis in enumerate(labels) if place not in gone))
    return True


def _split(walk: Walk, node: Node) -> bool:
    axis = walk.integers(node.inputs[-1])
    if axis is None:
        return False
    labels = list(walk.of(node.inputs[0]))
    place = axis[0] % len(labels)
    walk.atoms.freeze(labels[place])
    labels[place] = None
    walk.labels[node.outputs[0]] = tuple(labels)
    return True


def _leading(walk: Walk, node: Node) -> bool:
    """Pooling, interpolation, padding: batch and channels stay, every other axis has a new length."""
    if node.attributes.get("data_format", "NCHW") not in {"NCHW", "NCDHW"}:
        return False
    labels = walk.of(node.inputs[0])
    for axis in labels[2:]:
        walk.atoms.freeze(axis)
    for result in node.outputs:
        if len(walk.shape(result)) >= 2:
            walk.put(result, (*labels[:2], *(None,) * (len(walk.shape(result)) - 2)))
    return True


def _pooled_boxes(walk: Walk, node: Node) -> bool:
    """RoIAlign: boxes take the place of photos."""
    walk.put(node.outputs[0], (None, walk.of(node.inputs[0])[1], None, None))
    return True


def _sampled(walk: Walk, node: Node) -> bool:
    """Bilinear samples of a feature map."""
    walk.freeze(node.inputs[1])
    batch, channels, *_ = walk.of(node.inputs[0])
    walk.put(node.outputs[0], (batch, channels, None, None))
    return True


def _gather(walk: Walk, node: Node) -> bool:
    place = walk.integers(node.inputs[2]) if len(node.inputs) > 2 else (0,)
    if place is None:
        return False
    labels = list(walk.of(node.inputs[0]))
    walk.freeze(node.inputs[1])
    walk.atoms.freeze(labels[place[0]])
    index_axes = len(walk.shape(node.outputs[0])) - len(labels) + 1
    walk.put(node.outputs[0], (*labels[: place[0]], *(None,) * index_axes, *labels[place[0] + 1 :]))
    return True


def _reduce(walk: Walk, node: Node) -> bool:
    """Means and sums: the channels that they run over count in the result."""
    shape, labels = walk.shape(node.inputs[0] or 0), list(walk.of(node.inputs[0]))
    places = walk.integers(node.inputs[1]) if len(node.inputs) > 1 else node.attributes.get("axis")
    if places is None:
        return False
    gone = {place % len(shape) for place in places} or set(range(len(shape)))
    for place in gone:
        walk.atoms.freeze(labels[place])
        labels[place] = None
    if not node.attributes.get("keepdim", False):
        labels = [axis for place, axis in enumerate(labels) if place not in gone]
    walk.put(node.outputs[0], tuple(labels))
    return True


def _along_axis(walk: Walk, node: Node) -> bool:
    """Softmax: positions along one axis compete."""
    labels = walk.of(node.inputs[0])
    walk.atoms.freeze(labels[int(node.attributes["axis"])])
    walk.put(node.outputs[0], labels)
    return True


def _layer_norm(walk: Walk, node: Node) -> bool:
    """Statistics over the last axes: these stay whole."""
    labels = walk.of(node.inputs[0])
    for axis in labels[int(node.attributes["begin_norm_axis"]) :]:
        walk.atoms.freeze(axis)
    for learnt in node.inputs[1:]:
        walk.freeze(learnt)
    walk.put(node.outputs[0], labels)
    return True


def _repeated(walk: Walk, node: Node) -> bool:
    """Expanding and tiling: axes that keep their length keep their channels."""
    value, (result,) = node.inputs[0], node.outputs
    assert value is not None
    lead = len(walk.shape(result)) - len(walk.shape(value))
    shape, labels = (1,) * lead + walk.shape(value), (None,) * lead + walk.of(value)
    kept: list[Numbers | None] = []
    for before, after, axis in zip(shape, walk.shape(result), labels, strict=True):
        if before != after:
            walk.atoms.freeze(axis)
        kept.append(axis if before == after else None)
    walk.put(result, tuple(kept))
    return True


def _nothing(walk: Walk, node: Node) -> bool:
    """Results that no channel shows in: lengths, constants, the network's inputs."""
    return True


_INTERPOLATION = "bilinear_interp nearest_interp bicubic_interp linear_interp".split()
_POOLING = "pool2d max_pool2d_with_index pad3d".split()

SHAPE_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **{f"pd_op.{name}": _leading for name in (*_INTERPOLATION, *_POOLING)},
        **{f"pd_op.{name}": _reshape for name in ("reshape", "reshape_", "flatten", "unsqueeze", "squeeze")},
        **{f"pd_op.{name}": _reshape for name in ("flatten_", "unsqueeze_", "squeeze_")},
        **{f"pd_op.{name}": _reduce for name in ("mean", "sum", "max", "min", "amax", "amin", "prod")},
        **{f"pd_op.{name}": _nothing for name in ("shape", "shape64", "data", "full", "full_int_array")},
        "builtin.combine": _list,
        "builtin.split": _unlist,
        "pd_op.transpose": _transpose,
        "pd_op.concat": _concat,
        "pd_op.stack": _stack,
        "pd_op.slice": _cut,
        "pd_op.strided_slice": _cut,
        "pd_op.split": _split,
        "pd_op.split_with_num": _split,
        "pd_op.roi_align": _pooled_boxes,
        "pd_op.grid_sample": _sampled,
        "pd_op.gather": _gather,
        "pd_op.softmax": _along_axis,
        "pd_op.log_softmax": _along_axis,
        "pd_op.layer_norm": _layer_norm,
        "pd_op.expand": _repeated,
        "pd_op.tile": _repeated,
    }
)
