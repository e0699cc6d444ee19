"""Checks that transforms make of their own parameters; each failure names transform, parameter and remedy."""

from __future__ import annotations

from collections.abc import Sequence

from paddlex.utils.errors import ConfigError

__all__ = [
    "require",
    "require_colour",
    "require_interp",
    "require_label",
    "require_probability",
    "require_range",
    "require_size",
]


def require(condition: bool, owner: object, *, name: str, found: object, expected: str) -> None:
    """Raise ConfigError unless `condition` holds for parameter `name` of transform `owner`."""
    if not condition:
        raise ConfigError(f"{type(owner).__name__}.{name}: found {found!r}, expected {expected}")


def require_probability(owner: object, *, name: str, value: object) -> None:
    """Require a number from 0 to 1."""
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
    require(fits, owner, name=name, found=value, expected="a number from 0 to 1")


def require_range(owner: object, *, name: str, value: object, lowest: float = float("-inf")) -> None:
    """Require (low, high) with lowest <= low <= high."""
    fits = isinstance(value, Sequence) and len(value) == 2 and all(map(_is_number, value))
    fits = fits and lowest <= value[0] <= value[1]  # type: ignore[index]
    bound = "" if lowest == float("-inf") else f", not below {lowest:g}"
    require(fits, owner, name=name, found=value, expected=f"two ascending numbers{bound}")


def require_size(owner: object, *, name: str, value: object) -> None:
    """Require (height, width), positive whole numbers."""
    fits = isinstance(value, Sequence) and len(value) == 2 and all(_is_side(side) for side in value)
    require(fits, owner, name=name, found=value, expected="[height, width] in pixels")


def require_colour(owner: object, *, name: str, value: object) -> None:
    """Require three numbers."""
    fits = isinstance(value, Sequence) and len(value) == 3 and all(map(_is_number, value))
    require(fits, owner, name=name, found=value, expected="three numbers, R G B")


def require_interp(owner: object, *, name: str, value: object) -> None:
    """Require an OpenCV interpolation code."""
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 4
    expected = "0 nearest, 1 linear, 2 cubic, 3 area or 4 Lanczos"
    require(fits, owner, name=name, found=value, expected=expected)


def require_label(owner: object, *, name: str, value: object) -> None:
    """Require a class index of a label map."""
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255
    require(fits, owner, name=name, found=value, expected="a whole number, 0 to 255")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
