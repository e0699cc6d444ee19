"""One photo with its annotations, on its way from disk to the network."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.structures.moves import Move
from paddlex.structures.shapes import Masks
from paddlex.utils.errors import ShapeError

__all__ = ["Sample"]


def _no_boxes() -> NDArray[np.float32]:
    return np.zeros((0, 4), np.float32)


def _no_classes() -> NDArray[np.int64]:
    return np.zeros((0,), np.int64)


@dataclass
class Sample:
    """What a transform receives and returns.

    Attributes:
        image: (H, W, 3) RGB, uint8 until a transform normalises it to float32.
        image_id: id in the annotation file.
        path: the photo.
        original_size: (height, width) of the photo as read, upright, pixels.
        boxes: (N, 4) float32 xyxy, pixels of `image`.
        class_ids: (N,) int64, contiguous from 0.
        masks: N masks on the canvas of `image`, as crops or as shapes; None when the task has none.
        label_map: (H, W) class index per pixel for semantic segmentation, or None.
        scale_factor: (vertical, horizontal) size of `image` over `original_size`, as resized so far.
        content_size: (height, width) of what is no padding, which lies at the bottom and right; None where
            nothing was padded.
        moves: resizing and padding so far, which `restore_logits` undoes; crops and flips have no way back.
    """

    image: NDArray[Any]
    image_id: int
    path: Path
    original_size: tuple[int, int]
    boxes: NDArray[np.float32] = field(default_factory=_no_boxes)
    class_ids: NDArray[np.int64] = field(default_factory=_no_classes)
    masks: Masks | None = None
    label_map: NDArray[Any] | None = None
    scale_factor: tuple[float, float] = (1.0, 1.0)
    content_size: tuple[int, int] | None = None
    moves: tuple[Move, ...] = ()

    def __post_init__(self) -> None:
        if self.image.ndim != 3:
            raise ShapeError(f"image {self.image.shape}; expected (height, width, channels)")
        if self.boxes.shape != (len(self.class_ids), 4):
            raise ShapeError(f"boxes {self.boxes.shape} for {len(self.class_ids)} class ids")
        if self.masks is not None and len(self.masks) != len(self.class_ids):
            raise ShapeError(f"{len(self.masks)} masks for {len(self.class_ids)} class ids")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of `image`, pixels."""
        return self.image.shape[0], self.image.shape[1]
