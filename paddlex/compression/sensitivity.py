"""What each group of channels costs in score: the least important are switched off, and the score taken.

The file is JSON, written anew after every measurement, so a run that was interrupted goes on from there.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from paddle import nn

from paddlex.compression.criteria import Criterion, Ranking, keep_best, rank_channels, removed_count
from paddlex.compression.dependencies import Dependencies
from paddlex.compression.masking import masked
from paddlex.compression.plan import Losses
from paddlex.utils.errors import FileFormatError, PruneError
from paddlex.utils.files import read_json, write_json
from paddlex.utils.progress import progress

__all__ = ["RATIOS", "Sensitivities", "analyze_sensitivity", "read_sensitivities"]

RATIOS = tuple(round(0.1 * step, 1) for step in range(1, 10))
_LEAST = 1e-3
_ORIGIN = ("criterion", "groups", "weights", "about")


@dataclass(frozen=True, kw_only=True)
class Sensitivities:
    """Losses by group and ratio, and what they were measured on.

    Attributes:
        criterion: decides which channels of a group go first.
        groups: number of channels of each group.
        weights: checksum of the weights.
        baseline: score of the whole network.
        losses: (baseline - score) / (baseline + 0.001) of each group at each ratio.
        about: what else makes measurements comparable, such as the data set and the number of photos.
    """

    criterion: str
    groups: Mapping[str, int]
    weights: str
    baseline: float
    losses: Losses
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether every group has been measured at every ratio."""
        return all(len(self.losses.get(name, ())) == len(RATIOS) for name in self.groups)

    def write(self, file: Path) -> None:
        """Write the file, whole or not at all."""
        losses = {name: {str(ratio): loss for ratio, loss in of.items()} for name, of in self.losses.items()}
        origin = {key: getattr(self, key) for key in _ORIGIN}
        write_json(file, {**origin, "baseline": self.baseline, "sensitivities": losses})


def analyze_sensitivity(
    network: nn.Layer,
    dependencies: Dependencies,
    *,
    evaluate: Callable[[], float],
    file: Path,
    criterion: Criterion = "l1_norm",
    about: Mapping[str, Any] | None = None,
) -> Sensitivities:
    """Measure every group at every ratio, with a progress bar, and go on where an earlier run stopped.

    Ratios that remove the same number of channels are measured once.

    Args:
        network: comes back as it was.
        dependencies: of this network.
        evaluate: scores the network as it is at the time; larger is better.
        file: JSON that is written after each measurement, and continued if there.
        criterion: decides which channels of a group go first.
        about: what else makes measurements comparable, told by the file.

    Raises:
        PruneError: if the file belongs to another network, other weights, another criterion or other `about`.
        FileFormatError: if the file is none of ours.
    """
    ranking = rank_channels(network, dependencies, criterion)
    groups = {group.name: len(group) for group in dependencies.groups}
    found = Sensitivities(
        criterion=criterion,
        groups=groups,
        weights=_checksum(network),
        baseline=float("nan"),
        losses={},
        about=dict(about or {}),
    )
    if file.is_file():
        earlier = read_sensitivities(file)
        _require_same(earlier, found, file=file)
        found = earlier
    else:
        found = _with(found, baseline=float(evaluate()))
        found.write(file)
    steps = [(name, ratio) for name in groups for ratio in RATIOS]
    todo = [(name, ratio) for name, ratio in steps if ratio not in found.losses.get(name, {})]
    measured = _measure(network, dependencies, ranking, evaluate, start=found, todo=todo)
    for known in progress(measured, description="Analysing sensitivity", total=len(todo)):
        known.write(file)
        found = known
    return found


def _measure(
    network: nn.Layer,
    dependencies: Dependencies,
    ranking: Ranking,
    evaluate: Callable[[], float],
    *,
    start: Sensitivities,
    todo: list[tuple[str, float]],
) -> Iterator[Sensitivities]:
    """Yield what is known after each further step."""
    found = start
    for name, ratio in todo:
        known = dict(found.losses.get(name, {}))
        count = removed_count(found.groups[name], ratio)
        alike = {removed_count(found.groups[name], other): loss for other, loss in known.items()}
        if count == 0:
            loss = 0.0
        elif count in alike:
            loss = alike[count]
        else:
            with masked(network, dependencies, keep_best(dependencies, ranking, {name: ratio})):
                loss = (found.baseline - float(evaluate())) / (found.baseline + _LEAST)
        found = _with(found, losses={**found.losses, name: {**known, ratio: loss}})
        yield found


def read_sensitivities(file: Path) -> Sensitivities:
    """Read what `analyze_sensitivity` wrote.

    Raises:
        FileFormatError: if it is none of ours.
    """
    content = read_json(file)
    try:
        return Sensitivities(
            criterion=str(content["criterion"]),
            groups={str(name): int(count) for name, count in content["groups"].items()},
            weights=str(content["weights"]),
            baseline=float(content["baseline"]),
            losses={
                str(name): {float(ratio): float(loss) for ratio, loss in losses.items()}
                for name, losses in content["sensitivities"].items()
            },
            about=dict(content["about"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileFormatError(
            f"{file}: no file of sensitivities ({type(error).__name__}: {error}); remove it to measure anew"
        ) from error


def _require_same(earlier: Sensitivities, wanted: Sensitivities, *, file: Path) -> None:
    words = {
        "groups": "network",
        "weights": "state of weights",
        "criterion": "criterion",
        "about": "data set",
    }
    for key, word in words.items():
        if getattr(earlier, key) != getattr(wanted, key):
            raise PruneError(
                f"{file}: sensitivities of another {word} than the present; remove the file, or name another"
            )


def _with(known: Sensitivities, **changes: Any) -> Sensitivities:  # noqa: ANN401 (fields of several types)
    return Sensitivities(**{**vars(known), **changes})


def _checksum(network: nn.Layer) -> str:
    total = 0
    for name, value in sorted(network.state_dict().items()):
        total = zlib.crc32(np.ascontiguousarray(value.numpy()).tobytes(), zlib.crc32(name.encode(), total))
    return f"{total:08x}"
