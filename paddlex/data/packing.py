"""Lists of arrays kept as one flat array.

A data set that lives in a million small Python objects is copied page by page into every forked worker,
because counting references writes to each object. A handful of flat arrays is shared, and cheap to send.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from paddlex.data.formats.segmentation import Polygons, Rle, Segmentation

__all__ = ["PackedSegmentations", "Ragged"]


@dataclass(frozen=True, eq=False)
class Ragged:
    """N arrays of differing lengths, end to end.

    Attributes:
        values: (T,) all elements.
        starts: (N + 1,) int64; array i is `values[starts[i]:starts[i + 1]]`.
    """

    values: NDArray[Any]
    starts: NDArray[np.int64]

    @classmethod
    def pack(cls, arrays: Sequence[NDArray[Any]], *, dtype: DTypeLike) -> Ragged:
        """Join `arrays`, each 1-D."""
        starts = np.cumsum([0, *map(len, arrays)], dtype=np.int64)
        values = np.concatenate(arrays) if arrays else np.zeros(0)
        return cls(values.astype(dtype, copy=False), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> NDArray[Any]:
        """Array `index`, a view."""
        return self.values[self.starts[index] : self.starts[index + 1]]

    def select(self, indices: Sequence[int] | NDArray[Any]) -> Ragged:
        """The arrays of `indices`."""
        return Ragged.pack([self[index] for index in indices], dtype=self.values.dtype)


@dataclass(frozen=True, eq=False)
class PackedSegmentations:
    """N segmentations.

    Attributes:
        parts: float64 polygon parts of all segmentations.
        part_starts: (N + 1,) int64; segmentation i owns parts `part_starts[i]` up to `part_starts[i + 1]`.
        counts: uint8 compressed run lengths; empty where the segmentation is polygons.
    """

    parts: Ragged
    part_starts: NDArray[np.int64]
    counts: Ragged

    @classmethod
    def pack(cls, segmentations: Sequence[Segmentation]) -> PackedSegmentations:
        """Join polygons and run lengths; the size of the latter is their photo's and is not kept."""
        parts = [
            segmentation.parts if isinstance(segmentation, Polygons) else () for segmentation in segmentations
        ]
        counts = [
            segmentation.counts if isinstance(segmentation, Rle) else b"" for segmentation in segmentations
        ]
        return cls(
            parts=Ragged.pack([part for group in parts for part in group], dtype=np.float64),
            part_starts=np.cumsum([0, *map(len, parts)], dtype=np.int64),
            counts=Ragged.pack([np.frombuffer(text, np.uint8) for text in counts], dtype=np.uint8),
        )

    def __len__(self) -> int:
        return len(self.counts)

    def select(self, indices: Sequence[int] | NDArray[Any]) -> PackedSegmentations:
        """The segmentations of `indices`."""
        parts = [range(*self.part_starts[index : index + 2]) for index in indices]
        return PackedSegmentations(
            parts=self.parts.select([part for group in parts for part in group]),
            part_starts=np.cumsum([0, *map(len, parts)], dtype=np.int64),
            counts=self.counts.select(indices),
        )

    def get(self, index: int, *, size: tuple[int, int]) -> Segmentation:
        """Segmentation `index`, on a photo of `size` (height, width)."""
        counts = self.counts[index]
        if len(counts):
            return Rle(size, counts.tobytes())
        first, end = self.part_starts[index : index + 2]
        return Polygons(tuple(self.parts[part] for part in range(first, end)))
