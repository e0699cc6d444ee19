"""The list `Deploy.transforms` of semantic models, and the operations that it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paddlex.utils.errors import FileFormatError

__all__ = ["operations_from_transforms", "transforms_from_operations"]

_HALVES = [0.5, 0.5, 0.5]
_SAME_IN_BOTH = ("PadStride", "Padding", "ResizeByLong", "ResizeByShort")


def transforms_from_operations(operations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The official list for what a model does to a photo first; the order of axes is understood there.

    Args:
        operations: as `Preprocessor` takes them.
    """
    transforms = []
    for operation in operations:
        if operation["type"] == "NormalizeImage":
            transforms.append(
                {"type": "Normalize", "mean": list(operation["mean"]), "std": list(operation["std"])}
            )
        elif operation["type"] != "Permute":
            assert operation["type"] in _SAME_IN_BOTH
            transforms.append(dict(operation))
    return transforms


def operations_from_transforms(file: Path, transforms: object) -> tuple[dict[str, Any], ...]:
    """What `Preprocessor` takes for an official list.

    Args:
        file: for messages.
        transforms: the list; an empty one, or None, means normalisation by 0.5 and 0.5 alone.

    Raises:
        FileFormatError: naming the entry that is unknown.
    """
    if not isinstance(transforms, list | None):
        raise FileFormatError(f"{file}: Deploy.transforms: expected a list, found {transforms!r}")
    operations = [
        _operation(transform, place=f"{file}: Deploy.transforms[{number}]")
        for number, transform in enumerate(transforms or [{"type": "Normalize"}])
    ]
    axes = next(i for i, one in enumerate([*operations, {"type": ""}]) if one["type"] in ("", "PadStride"))
    return (*operations[:axes], {"type": "Permute"}, *operations[axes:])


def _operation(transform: object, *, place: str) -> dict[str, Any]:
    kind = transform.get("type") if isinstance(transform, dict) else None
    if not isinstance(transform, dict) or kind not in (*_SAME_IN_BOTH, "Normalize", "Resize"):
        raise FileFormatError(
            f"{place}: found {transform!r}; expected one of Normalize, Resize, {', '.join(_SAME_IN_BOTH)}"
        )
    parameters = {key: value for key, value in transform.items() if key != "type"}
    if kind == "Normalize":
        mean, std = parameters.get("mean", _HALVES), parameters.get("std", _HALVES)
        return {"type": "NormalizeImage", "is_scale": True, "mean": mean, "std": std}
    if kind == "Resize":
        # PaddleSeg names the width first.
        width, height = parameters["target_size"]
        keep = bool(parameters.get("keep_ratio", False))
        return {"type": "Resize", "target_size": [height, width], "keep_ratio": keep, "interp": 1}
    return {"type": kind, **parameters}
