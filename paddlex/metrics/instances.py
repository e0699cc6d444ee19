"""The instances of one photo as instance metrics take them in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paddlex.structures.masks import MaskCrops
from paddlex.utils.errors import ShapeError

__all__ = ["AnnotatedInstances", "PredictedInstances"]


@dataclass(frozen=True, eq=False)
class PredictedInstances:
    """What a network found on a photo.

    Attributes:
        boxes: (N, 4) float xyxy, pixels of the photo.
        scores: (N,) float in [0, 1].
        class_ids: (N,) int, contiguous from 0.
        masks: N masks on the photo.

    Raises:
        ShapeError: if N differs.
    """

    boxes: NDArray[np.floating]
    scores: NDArray[np.floating]
    class_ids: NDArray[np.integer]
    masks: MaskCrops

    def __post_init__(self) -> None:
        _require_count(len(self.masks), boxes=self.boxes, scores=self.scores, class_ids=self.class_ids)

    def __len__(self) -> int:
        return len(self.masks)


@dataclass(frozen=True, eq=False)
class AnnotatedInstances:
    """What a person marked on a photo.

    Attributes:
        boxes: (N, 4) float64 xyxy, pixels of the photo.
        class_ids: (N,) int, contiguous from 0.
        masks: N masks on the photo.
        crowd: (N,) bool; a crowd region holds many objects: predictions in it are neither right nor wrong.
        areas: (N,) float64, pixels, as the annotation file states them; they decide small, medium and large.

    Raises:
        ShapeError: if N differs.
    """

    boxes: NDArray[np.float64]
    class_ids: NDArray[np.integer]
    masks: MaskCrops
    crowd: NDArray[np.bool_]
    areas: NDArray[np.float64]

    def __post_init__(self) -> None:
        _require_count(
            len(self.masks), boxes=self.boxes, class_ids=self.class_ids, crowd=self.crowd, areas=self.areas
        )

    def __len__(self) -> int:
        return len(self.masks)


def _require_count(count: int, **arrays: NDArray[np.generic]) -> None:
    for name, array in arrays.items():
        expected = (count, 4) if name == "boxes" else (count,)
        if array.shape != expected:
            raise ShapeError(f"{name} {array.shape} for {count} masks; expected {expected}")
