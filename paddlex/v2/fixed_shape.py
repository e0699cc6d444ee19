"""Photos of any size brought to one size, for graphs whose users want it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paddlex.utils.errors import UsageError

__all__ = ["with_fixed_shape"]

_RESIZES = ("Resize", "ResizeByShort", "ResizeByLong")
_STRIDE, _CUBIC, _LINEAR = 32, 2, 1


def with_fixed_shape(
    operations: Sequence[Mapping[str, Any]], shape: Sequence[int], *, keep_ratio: bool
) -> list[dict[str, Any]]:
    """Replace what resizes photos, or put it before their normalisation.

    Args:
        operations: as inference.yml lists them.
        shape: (height, width); with `keep_ratio` multiples of 32, which the photo is fitted into and padded
            to with zeros.
        keep_ratio: of the photo.

    Raises:
        UsageError: for anything else.
    """
    height, width = _checked(shape, keep_ratio=keep_ratio)
    resize = {
        "type": "Resize",
        "interp": _CUBIC if keep_ratio else _LINEAR,
        "keep_ratio": keep_ratio,
        "swap_sides": False,
        "target_size": [height, width],
    }
    changed = [dict(operation) for operation in operations]
    places = [place for place, operation in enumerate(changed) if operation["type"] in _RESIZES]
    if places:
        changed[places[0]] = resize
        changed = [one for place, one in enumerate(changed) if place not in places[1:]]
    else:
        first = next(i for i, operation in enumerate(changed) if operation["type"] == "NormalizeImage")
        changed.insert(first, resize)
    if keep_ratio:
        kept = [one for one in changed if one["type"] not in ("Pad", "PadStride", "Padding")]
        changed = [*kept, {"type": "Pad", "fill_value": [0.0, 0.0, 0.0], "size": [height, width]}]
    return changed


def _checked(shape: Sequence[int], *, keep_ratio: bool) -> tuple[int, int]:
    sides = list(shape)[-2:] if isinstance(shape, (list, tuple)) and len(shape) in (2, 4) else []
    fitting = [
        isinstance(side, int) and side > 0 and (not keep_ratio or side % _STRIDE == 0) for side in sides
    ]
    if not fitting or not all(fitting):
        multiple = f", both multiples of {_STRIDE}" if keep_ratio else ""
        raise UsageError(f"fixed_input_shape: found {shape!r}, expected [height, width]{multiple}")
    return sides[0], sides[1]
