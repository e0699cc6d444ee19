"""`visualize` of PaddleX 2 for label maps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paddlex.utils.draw_labels import blend_label_map
from paddlex.utils.drawn_files import deliver_drawing, photo_to_draw_on
from paddlex.utils.errors import InputError
from paddlex.utils.palette import voc_colors

__all__ = ["visualize"]


def visualize(
    image: Path | str | NDArray[np.uint8],
    result: Mapping[str, Any],
    weight: float = 0.6,
    save_dir: Path | str | None = "./",
    color: ArrayLike | None = None,
) -> NDArray[np.uint8] | None:
    """Tint each pixel of a photo with the colour of its class: `weight * photo + (1 - weight) * colour`.

    Args:
        image: a file, or (H, W, 3) uint8 BGR.
        result: of that one photo, with `label_map` (H, W), as a segmenter's `predict` returns it.
        weight: of the photo, in [0, 1]; near 0 only the colours are seen.
        save_dir: folder that gets `visualize_<name of the photo>`, arrays are named by the time in
            milliseconds; None returns the drawing.
        color: flat list B0, G0, R0, B1, ... 0 to 255, in place of the first colours of the table (that of
            PASCAL VOC, applied to B, G, R).

    Returns:
        (H, W, 3) uint8 BGR if `save_dir` is None.

    Raises:
        ImageReadError: if the photo cannot be read.
        InputError: if an argument is not what is described here; one line tells which and why.
    """
    if not isinstance(weight, (int, float)) or not 0 <= weight <= 1:
        raise InputError(f"weight {weight!r}; expected a number from 0 to 1, for example 0.6")
    rgb, name = photo_to_draw_on(image)
    label_map = _label_map(result, size=(rgb.shape[0], rgb.shape[1]))
    drawing = blend_label_map(rgb, label_map, colors=_colors(color), weight=float(weight))
    return deliver_drawing(drawing, name=name, save_dir=save_dir)


def _label_map(result: object, *, size: tuple[int, int]) -> NDArray[np.uint8]:
    if isinstance(result, (list, tuple)):
        raise InputError("result is a list: the results of several photos; draw them one by one")
    if not isinstance(result, Mapping):
        raise InputError(f"result is {type(result).__name__}; expected a dict with label_map")
    if "label_map" not in result:
        keys = ", ".join(map(str, result)) or "none"
        raise InputError(f"result has no label_map; its keys: {keys:.120}")
    label_map = np.asarray(result["label_map"])
    if label_map.shape != size:
        raise InputError(f"label_map {label_map.shape} on a photo {size}; expected one size")
    if label_map.dtype.kind not in "iu":
        raise InputError(f"label_map of {label_map.dtype}; expected whole numbers, a class for each pixel")
    # Classes beyond the 256 colours start over.
    return label_map.astype(np.uint8)


def _colors(color: ArrayLike | None) -> NDArray[np.uint8]:
    """(256, 3) RGB."""
    table = voc_colors().copy()
    if color is not None:
        try:
            given = np.asarray(color, dtype=np.float64).ravel()
        except (TypeError, ValueError):
            given = np.zeros(1)
        if given.size % 3 or given.size > table.size:
            raise InputError(
                f"color: {given.size} values; expected B, G, R for each class, as [0, 0, 0, 0, 0, 255]"
            )
        if not ((given >= 0) & (given <= 255)).all():
            raise InputError("color: values outside 0 to 255")
        table[: given.size // 3] = given.round().reshape(-1, 3)
    return np.ascontiguousarray(table[:, ::-1])
