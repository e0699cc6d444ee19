"""How the drawing functions of PaddleX 2 take photos and hand drawings over."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paddlex.utils.errors import InputError
from paddlex.utils.images import WRITABLE_SUFFIXES, read_image, write_image
from paddlex.utils.logging import logger, set_up_logging

__all__ = ["deliver_drawing", "photo_to_draw_on"]


def photo_to_draw_on(image: Path | str | NDArray[np.uint8]) -> tuple[NDArray[np.uint8], str | None]:
    """Read a photo.

    Args:
        image: a file, or (H, W, 3) uint8 BGR.

    Returns:
        (H, W, 3) uint8 RGB, and the file's name; None for an array.

    Raises:
        ImageReadError: if the file cannot be read.
        InputError: for anything else.
    """
    if isinstance(image, (str, Path)):
        return read_image(image), Path(image).name
    if not isinstance(image, np.ndarray):
        raise InputError(f"image is {type(image).__name__}; expected a path or a BGR array")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise InputError(f"image {image.shape} {image.dtype}; expected (height, width, 3) uint8, BGR")
    return np.ascontiguousarray(image[:, :, ::-1]), None


def deliver_drawing(
    drawing: NDArray[np.uint8], *, name: str | None, save_dir: Path | str | None
) -> NDArray[np.uint8] | None:
    """Save a drawing as `save_dir/visualize_NAME`, or hand it over.

    Args:
        drawing: (H, W, 3) uint8 RGB.
        name: of the photo's file; None names the drawing by the time in milliseconds. A kind of file that
            cannot be written becomes PNG.
        save_dir: None to get the array.

    Returns:
        (H, W, 3) uint8 BGR if `save_dir` is None.
    """
    set_up_logging()
    if save_dir is None:
        return np.ascontiguousarray(drawing[:, :, ::-1])
    if name is None:
        target = _by_time(Path(save_dir))
    else:
        target = Path(save_dir) / f"visualize_{name}"
        if target.suffix.lower() not in WRITABLE_SUFFIXES:
            target = target.with_name(target.name + ".png")
    write_image(target, drawing)
    logger.info("The drawing has been saved in %s.", target)
    return None


def _by_time(folder: Path) -> Path:
    """A name that no file in the folder has."""
    moment = round(1000 * time.time())
    while (target := folder / f"visualize_{moment}.jpg").exists():
        moment += 1
    return target
