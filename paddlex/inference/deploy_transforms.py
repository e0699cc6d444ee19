"""The list `Deploy.transforms` of semantic models, and the operations that it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paddlex.utils.errors import FileFormatError

__all__ = ["operations_from_transforms", "transforms_from_operations"]

_HALVES = [0.5, 0.5, 0.5]
_SAME_IN_BOTH = ("CLAHE", "Clip", "PadStride", "Padding", "ResizeByLong", "ResizeByShort", "ToFloat")
_LEVELS = ("min_val", "max_val")


def transforms_from_operations(operations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The official list for what a model does to a photo first; the order of axes is understood there.

    Args:
        operations: as `Preprocessor` takes them.
    """
    transforms = []
    for operation in operations:
        if operation["type"] == "NormalizeImage":
            levels = {key: list(operation[key]) for key in ("mean", "std", *_LEVELS) if key in operation}
            transforms.append({"type": "Normalize", **levels})
        elif operation["type"] == "Resize":
            height, width = operation["target_size"]
            rest = {key: value for key, value in operation.items() if key not in ("type", "target_size")}
            # PaddleSeg names the width first.
            transforms.append({"type": "Resize", "target_size": [width, height], **rest})
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
        levels = {key: parameters[key] for key in _LEVELS if key in parameters}
        mean, std = parameters.get("mean", _HALVES), parameters.get("std", _HALVES)
        return {"type": "NormalizeImage", "is_scale": True, "mean": mean, "std": std, **levels}
    if kind == "Resize":
        width, height = parameters["target_size"]
        settings = {"keep_ratio": bool(parameters.get("keep_ratio", False)), "interp": 1}
        ours = {key: parameters[key] for key in ("interp", "swap_sides") if key in parameters}
        if not isinstance(ours.get("interp", 1), int):  # PaddleSeg's is a name
            ours.pop("interp")
        return {"type": "Resize", "target_size": [height, width], **settings, **ours}
    return {"type": kind, **parameters}
