"""The state of a walk over a network's operators: what is known of each tensor, parameter and cost so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paddlex.compression.atoms import Atoms, Labels, Numbers
from paddlex.compression.graph import Graph, Node

__all__ = ["Cost", "Master", "Walk"]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Multiply-adds of one operator: a factor times the lengths of axes that pruning may shorten.

    Attributes:
        factor: product of everything of fixed length.
        axes: atoms of each axis.
    """

    factor: float
    axes: tuple[Numbers, ...]


@dataclass(frozen=True, kw_only=True)
class Master:
    """Weights that make channels: an output axis whose positions can be rated and removed.

    Attributes:
        value: number of the parameter in the graph.
        axis: of the output channels.
    """

    value: int
    axis: int


class Walk:
    """What rules read and write.

    Args:
        graph: to be walked.

    Attributes:
        atoms: of all parameters.
        labels: of each value seen so far.
        lists: values of each list of tensors.
        masters: parameters that make channels, in order of use.
        costs: of the operators so far.
        learnt: values that are parameters in another shape.
        open_costs: kinds of operators whose cost depends on lengths known at run time only.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.atoms = Atoms()
        self.labels: dict[int, Labels] = {}
        self.lists: dict[int, tuple[int, ...]] = {}
        self.masters: dict[Master, None] = {}
        self.costs: list[Cost] = []
        self.learnt: set[int] = set()
        self.open_costs: set[str] = set()

    def shape(self, value: int) -> tuple[int, ...]:
        """Length of each axis, -1 where known at run time only."""
        return self.graph.shapes[value]

    def of(self, value: int | None) -> Labels:
        """Labels of a value; nothing is known of inputs of the network and of what no rule describes."""
        if value is None:
            return ()
        known = self.labels.get(value)
        return known if known is not None else (None,) * len(self.graph.shapes.get(value, ()))

    def members(self, value: int | None) -> tuple[int, ...]:
        """The tensors of a list, or the tensor itself."""
        if value is None:
            return ()
        return self.lists.get(value, (value,))

    def integers(self, value: int | None) -> tuple[int, ...] | None:
        """The integers of a constant, or None if it is none."""
        return None if value is None else self.graph.constants.get(value)

    def put(self, value: int, labels: Labels) -> None:
        """Set the labels of a result."""
        assert all(
            axis is None or len(axis) == length
            for axis, length in zip(labels, self.shape(value), strict=True)
        ), (self.shape(value), [axis if axis is None else len(axis) for axis in labels])
        self.labels[value] = labels

    def freeze(self, value: int | None) -> None:
        """Keep every channel of a value for good."""
        for member in self.members(value):
            for axis in self.of(member):
                self.atoms.freeze(axis)

    def is_parameter(self, value: int | None) -> bool:
        """Whether a value is a parameter as it stands."""
        return value in self.graph.parameters

    def add_master(self, value: int, axis: int) -> None:
        """Note that a parameter makes channels along `axis`."""
        self.masters[Master(value=value, axis=axis)] = None

    def add_cost(self, node: Node, lengths: tuple[int, ...], axes: Labels, *, factor: float = 1.0) -> None:
        """Note the multiply-adds of an operator.

        Args:
            node: the operator.
            lengths: of the axes whose product they are.
            axes: atoms of each, or None where it is fixed.
            factor: multiplies them.
        """
        labelled = []
        for length, axis in zip(lengths, axes, strict=True):
            if axis is not None:
                labelled.append(axis)
            elif length < 0:
                self.open_costs.add(node.kind)
            else:
                factor *= length
        self.costs.append(Cost(factor=float(np.float64(factor)), axes=tuple(labelled)))
