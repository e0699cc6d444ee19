"""A few photos to try a model on: the user's own where there are any."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from paddlex.utils.errors import ImageReadError
from paddlex.utils.images import IMAGE_SUFFIXES, read_image

__all__ = ["find_sample_photos", "wide_and_high"]

# Enough to see a difference between graphs; larger photos only take longer.
_LONGEST_SIDE = 640
_MOST_FILES = 10_000


def find_sample_photos(folder: Path | None, *, count: int = 3) -> list[NDArray[np.uint8]]:
    """Up to `count` readable photos from a folder and those below it, else a drawn pattern.

    Args:
        folder: a data set, or None; where it has a folder `images`, only that is searched, for masks are no
            photos.
        count: photos wanted.

    Returns:
        At least one (H, W, 3) uint8 RGB array, sides at most 640 pixels.
    """
    if folder is not None and (folder / "images").is_dir():
        folder = folder / "images"
    found = list(itertools.islice(_readable(folder), count)) if folder is not None else []
    return found or [_pattern(seed) for seed in range(2)]


def wide_and_high(images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Two photos, one wide and one high: a graph that takes any size must follow their shape."""
    first, second = images[0], images[1 % len(images)]
    if (first.shape[0] < first.shape[1]) == (second.shape[0] < second.shape[1]):
        second = np.ascontiguousarray(np.rot90(second))
    return [first, second]


def _readable(folder: Path) -> Iterator[NDArray[np.uint8]]:
    files = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    for path in sorted(itertools.islice(files, _MOST_FILES)):
        try:
            yield _shrink(read_image(path))
        except ImageReadError:
            continue


def _shrink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = _LONGEST_SIDE / max(image.shape[:2])
    if factor >= 1:
        return image
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _pattern(seed: int) -> NDArray[np.uint8]:
    """Coloured discs on a smooth ground: edges and areas of many sizes."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = cv2.resize(ground, (640, 480), interpolation=cv2.INTER_CUBIC)
    for radius in (90, 60, 40, 25, 12, 6) * 3:
        centre = (int(rng.integers(640)), int(rng.integers(480)))
        cv2.circle(image, centre, radius, rng.integers(0, 256, 3).tolist(), thickness=-1)
    return np.asarray(image, np.uint8)
