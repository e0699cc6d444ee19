"""How much each channel matters, judged by the weights that make it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from paddle import nn

from paddlex.compression.atoms import Numbers
from paddlex.compression.dependencies import ChannelGroup, Dependencies, Kept

__all__ = [
    "CRITERIA",
    "Criterion",
    "Ranking",
    "fitting_multiple",
    "keep_best",
    "rank_channels",
    "removed_count",
]

Criterion = Literal["l1_norm", "fpgm"]
# By group the classes of its channels, least important first.
Ranking = Mapping[str, Numbers]
_Filters = NDArray[np.float64]


def _l1_norm(filters: _Filters) -> NDArray[np.float64]:
    """Mean size of the weights (arXiv:1608.08710)."""
    means: NDArray[np.float64] = np.abs(filters).mean(axis=1)
    return means


def _distance_sum(filters: _Filters) -> NDArray[np.float64]:
    """Sum of the distances to all other filters: one in the middle is replaceable (arXiv:1811.00250)."""
    squares = (filters**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * filters @ filters.T, 0.0))
    np.fill_diagonal(distances, 0.0)
    sums: NDArray[np.float64] = distances.sum(axis=1)
    return sums


CRITERIA: Mapping[Criterion, Callable[[_Filters], NDArray[np.float64]]] = MappingProxyType(
    {"l1_norm": _l1_norm, "fpgm": _distance_sum}
)


def rank_channels(network: nn.Layer, dependencies: Dependencies, criterion: Criterion) -> Ranking:
    """Order the channels of every group.

    A channel counts as much as the filters that make it, on the average over all weights that do.

    Args:
        network: holds the weights.
        dependencies: of this network.
        criterion: `l1_norm`, mean size of a filter's weights; `fpgm`, sum of its distances to the others.
    """
    entries = network.state_dict()
    rate = CRITERIA[criterion]
    ratings: dict[tuple[str, int], NDArray[np.float64]] = {}
    ranking = {}
    for group in dependencies.groups:
        for name, axis in group.masters:
            if (name, axis) not in ratings:
                weights = np.moveaxis(entries[name].astype("float32").numpy(), axis, 0)
                ratings[name, axis] = rate(weights.reshape(len(weights), -1).astype(np.float64))
        scores = np.mean([_of_classes(group, m, ratings[m], dependencies) for m in group.masters], axis=0)
        ranking[group.name] = group.classes[np.argsort(scores, kind="stable")]
    return ranking


def _of_classes(
    group: ChannelGroup,
    master: tuple[str, int],
    ratings: NDArray[np.float64],
    dependencies: Dependencies,
) -> NDArray[np.float64]:
    """Mean rating of the filters of each class: of grouped convolutions a class has several."""
    name, axis = master
    positions = dependencies.axes[name][axis]
    inside = np.isin(positions, group.classes)
    places = np.searchsorted(group.classes, positions[inside])
    counts = np.bincount(places, minlength=len(group))
    sums = np.bincount(places, weights=ratings[inside], minlength=len(group))
    return np.asarray(sums / counts, np.float64)


def removed_count(channels: int, ratio: float, *, multiple: int = 1) -> int:
    """How many of `channels` a ratio removes; one is always left.

    Args:
        channels: of the group.
        ratio: share to remove, in [0, 1).
        multiple: what is left is the nearest multiple of this, or everything; narrow groups see
            `fitting_multiple`.
    """
    multiple = fitting_multiple(channels, multiple)
    if multiple == 1:
        return min(round(channels * ratio), channels - 1)
    wanted = channels * (1 - ratio)
    blocks = min(max(multiple, multiple * round(wanted / multiple)), channels)
    return 0 if channels - wanted <= abs(blocks - wanted) else channels - blocks


def fitting_multiple(channels: int, multiple: int) -> int:
    """`multiple`, halved until a group of so many channels has at least two of it."""
    while multiple > 1 and channels < 2 * multiple:
        multiple //= 2
    return multiple


def keep_best(
    dependencies: Dependencies, ranking: Ranking, ratios: Mapping[str, float], *, multiple: int = 1
) -> Kept:
    """What is kept when of each group the least important share goes.

    Args:
        dependencies: of the network.
        ranking: of its channels.
        ratios: share of each group to remove, in [0, 1); groups without one stay whole.
        multiple: see `removed_count`.
    """
    kept = dependencies.all_kept()
    for name, ratio in ratios.items():
        order = ranking[name]
        kept[order[: removed_count(len(order), ratio, multiple=multiple)]] = False
    return kept
