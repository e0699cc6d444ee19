"""Weights from a file into a network, with names matched by suffix and every difference told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import paddle
from paddle import Tensor, nn

from paddlex.utils.errors import WeightsError
from paddlex.utils.logging import logger

__all__ = ["LoadReport", "load_weights"]

_LISTED = 3


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What became of each name.

    Attributes:
        loaded: entries of the network that were filled.
        skipped: entries whose shape in the file differs: (name, shape in the file, shape in the network).
        missing: entries of the network that the file has nothing for.
        unused: names of the file that fit no entry.
    """

    loaded: tuple[str, ...]
    skipped: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def log(self, source: str) -> None:
        """Log a summary."""
        total = len(self.loaded) + len(self.skipped) + len(self.missing)
        logger.info("%s: %d of %d entries of the network loaded", source, len(self.loaded), total)
        shapes = [f"{name} {list(file)} in the file, {list(ours)} here" for name, file, ours in self.skipped]
        if shapes:
            logger.info("left as initialised, other shape (other classes?): %s", _shortened(shapes))
        if self.missing:
            logger.info("left as initialised, not in the file: %s", _shortened(self.missing))
        if self.unused:
            logger.info("in the file, not in the network: %s", _shortened(self.unused))


def load_weights(
    network: nn.Layer,
    arrays: Mapping[str, np.ndarray],
    *,
    source: str,
    allow_partial: bool,
    num_classes: int | None = None,
) -> LoadReport:
    """Copy arrays into a network.

    A file name fits an entry of the network when they are equal or the entry ends with `.` and the file
    name; of several the longest is taken. So the weights of a bare backbone fit the backbone inside. Stage
    res5 of a ResNet fits wherever the network has it: R-CNN without a pyramid has it in its box head.

    Args:
        network: to be filled.
        arrays: by name, as `read_pdparams` returns them.
        source: where they come from, for messages.
        allow_partial: take what fits (to start training) or insist on everything (to evaluate or export).
        num_classes: classes of the network, so that a difference in classes can be named as such.

    Returns:
        What was loaded and what was not.

    Raises:
        WeightsError: if two entries claim the same array, if nothing fits, or, unless `allow_partial`, if
            anything is missing or has another shape. The network is then as it was.
    """
    entries: dict[str, Tensor] = dict(network.state_dict())
    matches = _match(entries, arrays, source=source)
    report = _compare(entries, arrays, matches)
    if not report.loaded:
        raise WeightsError(
            f"{source}: none of its {len(arrays)} weights fits this network "
            f"({_shortened(list(arrays))} against {_shortened(list(entries))}); name weights of this model"
        )
    if not allow_partial:
        _require_whole(report, source=source, num_classes=num_classes)
    for name in report.loaded:
        entries[name].set_value(paddle.to_tensor(_numbers(arrays[matches[name]])).astype(entries[name].dtype))
    return report


def _compare(
    entries: Mapping[str, Tensor], arrays: Mapping[str, np.ndarray], matches: Mapping[str, str]
) -> LoadReport:
    skipped = tuple(
        (name, tuple(arrays[match].shape), tuple(entries[name].shape))
        for name, match in matches.items()
        if tuple(arrays[match].shape) != tuple(entries[name].shape)
    )
    misfits = {name for name, _, _ in skipped}
    used = set(matches.values())
    # Layers shared between parts have two names for one tensor; a file may know only one of them.
    filled = {id(entries[name]) for name in matches if name not in misfits}
    return LoadReport(
        loaded=tuple(name for name in matches if name not in misfits),
        skipped=skipped,
        missing=tuple(
            name for name, entry in entries.items() if name not in matches and id(entry) not in filled
        ),
        unused=tuple(name for name in arrays if name not in used),
    )


def _match(entries: Iterable[str], arrays: Iterable[str], *, source: str) -> dict[str, str]:
    """The file's name for each entry that has one."""
    known = {_bare_res5(name): name for name in arrays}
    matches: dict[str, str] = {}
    takers: dict[str, list[str]] = defaultdict(list)
    for name in entries:
        parts = name.split(".")
        suffixes = (".".join(parts[start:]) for start in range(len(parts)))
        suffix = next((suffix for suffix in suffixes if suffix in known), None)
        if suffix is not None:
            matches[name] = known[suffix]
            takers[known[suffix]].append(name)
    for match, names in takers.items():
        if len(names) > 1:
            raise WeightsError(
                f"{source}: {match!r} fits {' and '.join(names[:2])} alike; give it the whole "
                "name of one of them in the file"
            )
    return matches


def _bare_res5(name: str) -> str:
    return name.removeprefix("backbone.") if name.startswith("backbone.res5.") else name


def _require_whole(report: LoadReport, *, source: str, num_classes: int | None) -> None:
    if report.skipped:
        name, found, expected = report.skipped[0]
        differing = [(f, e) for f, e in zip(found, expected, strict=False) if f != e]
        # A class count, or with background one more, is the only size that differs.
        if num_classes is not None and len(found) == len(expected) and len(differing) == 1:
            theirs, ours = differing[0]
            if ours - num_classes in (0, 1):
                raise WeightsError(
                    f"{source}: weights for {theirs - (ours - num_classes)} classes, the network has "
                    f"{num_classes}; use weights of these classes, or the data set they were trained on"
                )
        raise WeightsError(
            f"{source}: {name} has shape {list(found)}, the network expects {list(expected)} "
            f"({len(report.skipped)} such entries); use weights of this model"
        )
    if report.missing:
        raise WeightsError(
            f"{source}: {len(report.missing)} entries of the network are not in it: "
            f"{_shortened(report.missing)}; use the whole weights of this model"
        )


def _numbers(array: np.ndarray) -> np.ndarray:
    """Undo Paddle's storing of bfloat16 as unsigned 16-bit integers."""
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def _shortened(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
