"""Photos as the 2.x API takes them: a path, a BGR array, or a list of these."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.utils.errors import InputError
from paddlex.utils.images import read_image

__all__ = ["ImageFile", "read_photos"]

ImageFile = str | Path | NDArray[Any]


def read_photos(img_file: ImageFile | Sequence[ImageFile]) -> tuple[list[NDArray[np.uint8]], bool]:
    """Read what `predict` was given.

    Args:
        img_file: a path, a (H, W, 3) BGR array of 8 bits, or a list or tuple of these.

    Returns:
        ((H, W, 3) uint8 RGB photos, whether a list was given).

    Raises:
        InputError: for anything else, or an empty list.
        ImageReadError: if a photo cannot be decoded.
    """
    if not isinstance(img_file, (list, tuple)):
        return [_read(img_file, place="img_file")], False
    if not img_file:
        raise InputError("img_file: found an empty list, expected at least one path or array")
    return [_read(entry, place=f"img_file[{place}]") for place, entry in enumerate(img_file)], True


def _read(entry: Any, *, place: str) -> NDArray[np.uint8]:  # noqa: ANN401 (whatever a user gave)
    if isinstance(entry, (str, Path)):
        return read_image(Path(entry))
    if not isinstance(entry, np.ndarray):
        raise InputError(f"{place}: found {type(entry).__name__}, expected a path or a BGR array (H, W, 3)")
    if entry.ndim != 3 or entry.shape[2] != 3 or not entry.size:
        raise InputError(f"{place}: found an array {entry.shape}, expected (height, width, 3) in B, G, R")
    if entry.dtype != np.uint8:
        if not np.isfinite(entry).all() or entry.min() < 0 or entry.max() > 255:
            raise InputError(f"{place}: found values beyond 0 to 255, expected uint8")
        entry = entry.astype(np.uint8)
    return np.ascontiguousarray(entry[:, :, ::-1])
