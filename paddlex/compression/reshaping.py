"""Where channels go when a tensor takes another shape."""

from __future__ import annotations

import math

import numpy as np

from paddlex.compression.atoms import Atoms, Labels, Numbers

__all__ = ["carry_through_reshape"]

Shape = tuple[int, ...]


def carry_through_reshape(atoms: Atoms, before: Shape, labels: Labels, after: Shape) -> Labels:
    """Labels of a reshaped tensor.

    Runs of axes with equal products belong together: (C, H, W) may become (C H W), which repeats every
    channel H W times, and back. An axis of length one carries nothing. What cannot be followed (channels cut
    into heads, say) is frozen.

    Args:
        atoms: freezes.
        before: lengths of the axes, -1 where known at run time only.
        labels: of these.
        after: lengths of the new axes.
    """
    result: list[Numbers | None] = [None] * len(after)
    for length, axis in zip(before, labels, strict=True):
        if length == 1:
            atoms.freeze(axis)
    for sources, targets in _runs(before, after):
        lengths = [before[place] for place in sources]
        axes = [labels[place] for place in sources]
        if [after[place] for place in targets] == lengths:
            carried: list[Numbers | None] = axes
        else:
            carried = _regroup(axes, lengths, [after[place] for place in targets])
            if all(axis is None for axis in carried):
                for axis in axes:
                    atoms.freeze(axis)
        for place, axis in zip(targets, carried, strict=True):
            result[place] = axis
    return tuple(result)


def _runs(before: Shape, after: Shape) -> list[tuple[list[int], list[int]]]:
    """Smallest runs of axes, without those of length one, that hold the same values before and after.

    From the last axis backwards, because the first may have a length that is known at run time only.
    """
    sources = [place for place, length in enumerate(before) if length != 1]
    targets = [place for place, length in enumerate(after) if length != 1]
    runs = []
    while sources and targets:
        run = ([sources.pop()], [targets.pop()])
        while (left := _product(before, run[0])) != (right := _product(after, run[1])):
            shorter, stock = (run[0], sources) if 0 < left < right or right < 0 else (run[1], targets)
            if not stock:
                break
            shorter.insert(0, stock.pop())
        else:
            runs.append(run)
            continue
        # Not to be matched: all that is left belongs together.
        run[0][:0], run[1][:0] = sources, targets
        sources, targets = [], []
        runs.append(run)
    if sources:
        runs.append((sources, []))
    return runs


def _product(shape: Shape, places: list[int]) -> int:
    lengths = [shape[place] for place in places]
    return -1 if -1 in lengths else math.prod(lengths)


def _regroup(axes: list[Numbers | None], lengths: list[int], targets: list[int]) -> list[Numbers | None]:
    """Labels of the axes that a run becomes; all None where they cannot be told."""
    nothing: list[Numbers | None] = [None] * len(targets)
    labelled = [place for place, axis in enumerate(axes) if axis is not None]
    if len(labelled) != 1 or -1 in lengths or -1 in targets or not targets:
        return nothing
    shape = [1] * len(lengths)
    shape[labelled[0]] = -1
    axis = axes[labelled[0]]
    assert axis is not None
    values = np.broadcast_to(axis.reshape(shape), lengths).reshape(targets)
    for place in range(len(targets)):
        along = np.moveaxis(values, place, 0).reshape(targets[place], -1)
        if (along == along[:, :1]).all():
            return [along[:, 0].copy() if other == place else None for other in range(len(targets))]
    return nothing
