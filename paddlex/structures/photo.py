"""A photo whose pixels are held only as long as somebody works on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from paddlex.utils.errors import ImageReadError, ShapeError

__all__ = ["Photo"]


class Photo:
    """Pixels, and where to read them again.

    A list of a thousand results would otherwise hold a thousand photos in memory.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        read_again: returns the same pixels anew; None keeps them for good.

    Raises:
        ShapeError: for any other array.
    """

    def __init__(
        self, pixels: NDArray[np.uint8], *, read_again: Callable[[], NDArray[np.uint8]] | None = None
    ) -> None:
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise ShapeError(f"photo {pixels.shape} {pixels.dtype}; expected (height, width, 3) uint8")
        self.size: tuple[int, int] = (pixels.shape[0], pixels.shape[1])
        self._pixels: NDArray[np.uint8] | None = pixels
        self._read_again = read_again

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB.

        Raises:
            ImageReadError: if the file went away or changed its size since it was first read.
        """
        if self._pixels is not None:
            return self._pixels
        assert self._read_again is not None, "pixels are released only when they can be read again"
        pixels = self._read_again()
        if pixels.shape[:2] != self.size:
            raise ImageReadError(
                f"the photo is {pixels.shape[:2]} now and was {self.size} (height, width) when it was "
                "predicted; predict it again"
            )
        return pixels

    def release(self) -> None:
        """Forget the pixels if they can be read again."""
        if self._read_again is not None:
            self._pixels = None
