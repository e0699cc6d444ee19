"""Bool arrays of any size at one bit a pixel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from paddlex.utils.errors import ShapeError

__all__ = ["BoolArray", "PackedCrops"]

BoolArray = NDArray[np.bool_]


class PackedCrops(Sequence[BoolArray]):
    """Bool arrays kept at one bit a pixel; indexing unpacks one of them.

    Args:
        crops: bool arrays (h_i, w_i).
    """

    def __init__(self, crops: Iterable[BoolArray]) -> None:
        self._rows: list[NDArray[np.uint8]] = []
        self._shapes: list[tuple[int, int]] = []
        for crop in crops:
            if crop.ndim != 2:
                raise ShapeError(f"crop {crop.shape}; expected (height, width)")
            self._rows.append(np.packbits(crop, axis=1))
            self._shapes.append((crop.shape[0], crop.shape[1]))

    @property
    def shapes(self) -> NDArray[np.int32]:
        """(N, 2) height and width of each array."""
        return np.array(self._shapes, dtype=np.int32).reshape(-1, 2)

    @property
    def nbytes(self) -> int:
        """Memory the bits take."""
        return sum(rows.nbytes for rows in self._rows)

    @classmethod
    def concatenate(cls, parts: Iterable[PackedCrops]) -> PackedCrops:
        """Share the arrays of all `parts` in order, still packed."""
        joined = cls(())
        for part in parts:
            joined._rows += part._rows
            joined._shapes += part._shapes
        return joined

    def select(self, indices: Iterable[int]) -> PackedCrops:
        """Share the arrays at `indices`, still packed."""
        chosen = PackedCrops(())
        for index in indices:
            chosen._rows.append(self._rows[index])
            chosen._shapes.append(self._shapes[index])
        return chosen

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> BoolArray: ...
    @overload
    def __getitem__(self, index: slice) -> PackedCrops: ...
    def __getitem__(self, index: int | slice) -> BoolArray | PackedCrops:
        if isinstance(index, slice):
            return self.select(range(*index.indices(len(self))))
        return np.unpackbits(self._rows[index], axis=1, count=self._shapes[index][1]).view(bool)
