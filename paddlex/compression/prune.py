"""Removing channels from a network for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from paddle import nn

from paddlex.compression.atoms import Numbers
from paddlex.compression.criteria import Criterion, keep_best, rank_channels
from paddlex.compression.dependencies import Dependencies, Kept
from paddlex.compression.flops import count_flops
from paddlex.compression.plan import Losses, choose_ratios
from paddlex.nn.channels import fit_channels, fitted_channels
from paddlex.utils.errors import PruneError

__all__ = ["MULTIPLE", "PruneResult", "prune", "remove_channels", "require_whole"]

# Runtimes compute channels in blocks of 8 or 16; other numbers cost them more than the channels saved.
MULTIPLE = 16


@dataclass(frozen=True, kw_only=True)
class PruneResult:
    """What pruning did.

    Attributes:
        ratios: share of channels removed from each group.
        kept: of every weight that makes prunable channels the positions that are left, by state dict name.
        channels: shapes that differ from the full network's, for `nn.channels.fit_channels`.
        flops: multiply-adds (before, after).
        parameters: numbers in the state dict (before, after).
    """

    ratios: Mapping[str, float]
    kept: Mapping[str, Numbers]
    channels: Mapping[str, list[int | None]]
    flops: tuple[float, float]
    parameters: tuple[int, int]

    @property
    def pruned_flops(self) -> float:
        """Share of the multiply-adds that went."""
        return 1 - self.flops[1] / self.flops[0]

    def to_json(self) -> dict[str, Any]:
        """Fields for a result file."""
        return {
            "flops_before": self.flops[0],
            "flops_after": self.flops[1],
            "pruned_flops": round(self.pruned_flops, 4),
            "parameters_before": self.parameters[0],
            "parameters_after": self.parameters[1],
            "ratios": {name: round(ratio, 4) for name, ratio in self.ratios.items()},
        }


def prune(
    network: nn.Layer,
    dependencies: Dependencies,
    *,
    losses: Losses,
    pruned_flops: float,
    criterion: Criterion = "l1_norm",
    multiple: int = MULTIPLE,
) -> PruneResult:
    """Remove a share of a network's operations, in place; train it afterwards.

    Args:
        network: to be pruned.
        dependencies: of this network.
        losses: what each ratio of each group costs, as `analyze_sensitivity` measures it.
        pruned_flops: share of the multiply-adds to remove, in (0, 1).
        criterion: which channels of a group go first.
        multiple: see `removed_count`.

    Raises:
        PruneError: if the network is pruned already, or the share cannot be had; it is then as it was.
    """
    require_whole(network)
    ranking = rank_channels(network, dependencies, criterion)
    ratios = choose_ratios(dependencies, ranking, losses, pruned_flops=pruned_flops, multiple=multiple)
    kept = keep_best(dependencies, ranking, ratios, multiple=multiple)
    return remove_channels(network, dependencies, kept)


def require_whole(network: nn.Layer) -> None:
    """Refuse a network that has been pruned.

    Raises:
        PruneError: if it has.
    """
    if fitted_channels(network):
        raise PruneError("the network is pruned already; prune the full one once, by the whole share")


def remove_channels(network: nn.Layer, dependencies: Dependencies, kept: Kept) -> PruneResult:
    """Remove channels from every parameter that has them, in place.

    Parameters become new objects: make optimizers after this.

    Args:
        network: to be pruned.
        dependencies: of this network.
        kept: for each class of channels whether it is kept.
    """
    entries = network.state_dict()
    before = _count(network)
    channels: dict[str, list[int | None]] = {}
    values = {}
    for name, axes in dependencies.axes.items():
        places = [np.flatnonzero(kept[axis]) for axis in axes]
        lengths = [
            len(place) if len(place) < len(axis) else None for place, axis in zip(places, axes, strict=True)
        ]
        if any(length is not None for length in lengths):
            values[name] = entries[name].numpy()[np.ix_(*places)]
            channels |= {alias: lengths for alias in (name, *dependencies.aliases[name])}
    fit_channels(network, channels)
    entries = network.state_dict()
    for name, value in values.items():
        entries[name].set_value(paddle.to_tensor(value))
    masters = {master for group in dependencies.groups for master in group.masters}
    return PruneResult(
        ratios={group.name: float(1 - kept[group.classes].mean()) for group in dependencies.groups},
        kept={name: np.flatnonzero(kept[dependencies.axes[name][axis]]) for name, axis in sorted(masters)},
        channels=channels,
        flops=(count_flops(dependencies), count_flops(dependencies, kept)),
        parameters=(before, _count(network)),
    )


def _count(network: nn.Layer) -> int:
    """Numbers in the state dict; those with two names once."""
    return sum({id(value): int(np.prod(value.shape)) for value in network.state_dict().values()}.values())
