"""Which channels of a network stand or fall together, found by walking its static graph.

For example, the sum of a residual block ties the output channels of two convolutions, their normalisations,
and the input channels of whatever reads the sum. A concatenation is followed by its offsets, so each part can
be pruned by itself. What reaches an output of the network, or an operator without a rule, stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from paddle import nn

from paddlex.compression.atoms import Numbers
from paddlex.compression.graph import trace
from paddlex.compression.rules import RULES
from paddlex.compression.walk import Cost, Walk
from paddlex.utils.logging import logger

__all__ = ["ChannelGroup", "Dependencies", "Kept", "find_dependencies"]

# For each class of channels whether it is kept.
Kept = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class ChannelGroup:
    """Channels that the same weights make, of which any may be removed as long as one is left.

    Attributes:
        name: state dict name of the first of these weights; of further groups with the same, with a number.
        masters: (state dict name, axis of the output channels) of all these weights.
        classes: (n,) numbers of the channels' classes.
    """

    name: str
    masters: tuple[tuple[str, int], ...]
    classes: Numbers

    def __len__(self) -> int:
        return len(self.classes)


@dataclass(frozen=True, kw_only=True)
class Dependencies:
    """How the channels of a network depend on one another.

    Attributes:
        axes: for every parameter and buffer in the graph, by state dict name, the class of each position
            along each axis.
        aliases: further names of these, where a layer has several.
        groups: channels that may be removed.
        costs: multiply-adds of each operator, by classes.
        num_classes: classes of channels.
        untraced: entries of the state dict that the graph does not use.
        without_rule: operators without a rule that channels reached.
        open_costs: operators counted as if lengths known at run time only were 1.
    """

    axes: Mapping[str, tuple[Numbers, ...]]
    aliases: Mapping[str, tuple[str, ...]]
    groups: tuple[ChannelGroup, ...]
    costs: tuple[Cost, ...]
    num_classes: int
    untraced: tuple[str, ...]
    without_rule: tuple[str, ...]
    open_costs: tuple[str, ...]

    def all_kept(self) -> Kept:
        """Nothing removed yet."""
        return np.ones(self.num_classes, np.bool_)


def find_dependencies(
    network: nn.Layer, *, inputs: Mapping[str, Sequence[int]], form: nn.Layer | None = None
) -> Dependencies:
    """Trace a network and find out which of its channels depend on one another.

    Args:
        network: gives parameters their names; comes back as it was.
        inputs: name and shape of each float32 input, in the order of `forward`; fixed lengths, so that
            operations can be counted.
        form: a layer around the network whose `forward` is traced in place of the network's own: one that
            takes tensors only and reaches every part that training and evaluation use.
    """
    graph = trace(
        network, form=form or network, inputs={name: tuple(shape) for name, shape in inputs.items()}
    )
    walk = Walk(graph)
    missing: dict[str, int] = defaultdict(int)
    for node in graph.nodes:
        rule = RULES.get(node.kind)
        if rule is None or node.inner or not rule(walk, node):
            reached = [value for value in (*node.inputs, *node.inner) if _labelled(walk, value)]
            for value in reached:
                walk.freeze(value)
            missing[node.kind] += bool(reached)
    for value in graph.results:
        walk.freeze(value)
    without_rule = tuple(kind for kind, count in missing.items() if count)
    for kind in without_rule:
        logger.debug("pruning: no rule for %s; the channels that reach it stay", kind)
    return _resolve(walk, network, without_rule=without_rule)


def _labelled(walk: Walk, value: int | None) -> bool:
    return any(axis is not None for member in walk.members(value) for axis in walk.of(member))


def _resolve(walk: Walk, network: nn.Layer, *, without_rule: tuple[str, ...]) -> Dependencies:
    """From atoms to classes, and from the graph's values to the names of the state dict."""
    class_of, frozen = walk.atoms.classes()
    axes: dict[str, tuple[Numbers, ...]] = {}
    aliases: dict[str, tuple[str, ...]] = {}
    for value, names in walk.graph.parameters.items():
        if names and value in walk.labels:
            axes[names[0]] = tuple(class_of[axis] for axis in walk.labels[value] if axis is not None)
            aliases[names[0]] = names[1:]
    used = {*axes, *(name for names in aliases.values() for name in names)}
    costs = [
        Cost(factor=cost.factor, axes=tuple(class_of[axis] for axis in cost.axes)) for cost in walk.costs
    ]
    masters = [
        (walk.graph.parameters[master.value][0], master.axis)
        for master in walk.masters
        if walk.graph.parameters[master.value]
    ]
    return Dependencies(
        axes=axes,
        aliases=aliases,
        groups=_groups(masters, axes, frozen),
        costs=tuple(costs),
        num_classes=len(frozen),
        untraced=tuple(name for name in network.state_dict() if name not in used),
        without_rule=without_rule,
        open_costs=tuple(sorted(walk.open_costs)),
    )


def _groups(
    masters: Sequence[tuple[str, int]], axes: Mapping[str, tuple[Numbers, ...]], frozen: NDArray[np.bool_]
) -> tuple[ChannelGroup, ...]:
    """Channels by the set of weights that make them, in the order in which the network uses these."""
    makers: dict[int, list[int]] = defaultdict(list)
    for number, (name, axis) in enumerate(masters):
        for channel in np.unique(axes[name][axis]).tolist():
            if not frozen[channel]:
                makers[channel].append(number)
    members: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for channel, numbers in makers.items():
        members[tuple(numbers)].append(channel)
    groups = []
    seen: dict[str, int] = defaultdict(int)
    for makers_of, channels in sorted(members.items()):
        if len(channels) < 2:
            continue
        name = masters[makers_of[0]][0]
        seen[name] += 1
        groups.append(
            ChannelGroup(
                name=name if seen[name] == 1 else f"{name} #{seen[name]}",
                masters=tuple(masters[number] for number in makers_of),
                classes=np.array(sorted(channels), np.int64),
            )
        )
    return tuple(groups)
