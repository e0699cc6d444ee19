"""Channels that stand or fall together.

Every position along every axis of a parameter is an atom. What the network computes ties atoms: the sum of
two feature maps ties channel i of one to channel i of the other. Tied atoms form a class, which is kept or
removed as a whole; a frozen atom, such as a class logit, freezes its class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

__all__ = ["Atoms", "Labels", "Numbers"]

Numbers = NDArray[np.int64]
# For each axis of a tensor the atom of each position, or None: the axis is as long as it is.
Labels = tuple[Numbers | None, ...]


class Atoms:
    """Makes atoms and remembers which are tied and which are frozen."""

    def __init__(self) -> None:
        self._count = 0
        self._ties: list[tuple[Numbers, Numbers]] = []
        self._frozen: list[Numbers] = []

    def new(self, count: int) -> Numbers:
        """Return `count` new atoms."""
        first = self._count
        self._count += count
        return np.arange(first, self._count, dtype=np.int64)

    def fixed(self, count: int) -> Numbers:
        """Return `count` new atoms that are frozen."""
        atoms = self.new(count)
        self.freeze(atoms)
        return atoms

    def tie(self, first: Numbers | None, second: Numbers | None) -> None:
        """Tie two axes position by position; None, an axis that must keep its length, freezes the other.

        Args:
            first: (n,) atoms.
            second: (n,) atoms.
        """
        if first is None or second is None:
            self.freeze(first)
            self.freeze(second)
        else:
            assert first.shape == second.shape, (first.shape, second.shape)
            self._ties.append((first, second))

    def freeze(self, atoms: Numbers | None) -> None:
        """Keep these for good."""
        if atoms is not None and atoms.size:
            self._frozen.append(atoms)

    def classes(self) -> tuple[Numbers, NDArray[np.bool_]]:
        """Return the class of each atom, and for each class whether it is frozen."""
        pairs = [np.stack([a.ravel(), b.ravel()]) for a, b in self._ties]
        rows, columns = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), np.int64)
        shape = (self._count, self._count)
        graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=shape)
        number, class_of = connected_components(graph, directed=False)
        frozen = np.zeros(number, np.bool_)
        for atoms in self._frozen:
            frozen[class_of[atoms.ravel()]] = True
        return class_of.astype(np.int64), frozen
