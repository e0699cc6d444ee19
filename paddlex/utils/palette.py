"""Colours of class indices: the table of PASCAL VOC, by which label maps are usually shown."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["mask_palette", "voc_colors"]


@lru_cache(maxsize=1)
def voc_colors() -> NDArray[np.uint8]:
    """(256, 3) RGB; entry 0 is black. The bits of an index, three at a time, are the high bits of R, G, B."""
    colors = np.zeros((256, 3), np.uint8)
    for index in range(256):
        for place in range(8):
            for channel in range(3):
                bit = index >> (3 * place + channel) & 1
                colors[index, channel] |= bit << (7 - place)
    colors.flags.writeable = False
    return colors


def mask_palette() -> NDArray[np.uint8]:
    """(256, 3) RGB of label maps in files: the table without its first entry, as PaddleX 3 writes them.

    Class 0 is dark red; 255, which is ignored, is black.
    """
    return np.roll(voc_colors(), -1, axis=0)
