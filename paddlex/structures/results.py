"""What a model found on a photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.structures.masks import MaskCrops
from paddlex.structures.photo import Photo
from paddlex.utils.errors import ShapeError

__all__ = ["Detections", "InstanceResult", "PhotoPrediction", "label_names"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Detections:
    """N found instances on a canvas.

    Attributes:
        boxes: (N, 4) float32 xyxy, pixels of the canvas.
        scores: (N,) float32.
        class_ids: (N,) int64, contiguous from 0.
        masks: N masks on the canvas.

    Raises:
        ShapeError: if the counts differ.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    masks: MaskCrops

    def __post_init__(self) -> None:
        count = len(self.masks)
        if (
            self.boxes.shape != (count, 4)
            or self.scores.shape != (count,)
            or self.class_ids.shape != (count,)
        ):
            raise ShapeError(
                f"boxes {self.boxes.shape}, scores {self.scores.shape}, class_ids {self.class_ids.shape} "
                f"for {count} masks; expected ({count}, 4), ({count},), ({count},)"
            )

    def __len__(self) -> int:
        return len(self.masks)

    @classmethod
    def empty(cls, size: tuple[int, int]) -> Detections:
        """Nothing found on a canvas of `size` (height, width)."""
        return cls(
            boxes=np.zeros((0, 4), np.float32),
            scores=np.zeros(0, np.float32),
            class_ids=np.zeros(0, np.int64),
            masks=MaskCrops.empty(size),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class PhotoPrediction:
    """What was predicted about one photo, page or video frame.

    Attributes:
        photo: the photo, upright.
        input_path: its file; None for an array.
        page_index: page of a document, from 0; None for a photo.
        frame_index: frame of a video, from 0; None for a photo.
    """

    photo: Photo
    input_path: str | None = None
    page_index: int | None = None
    frame_index: int | None = None

    @property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB; read again when the pixels have been released."""
        return self.photo.pixels

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the photo, pixels."""
        return self.photo.size


@dataclass(frozen=True, eq=False, kw_only=True)
class InstanceResult(Detections, PhotoPrediction):
    """The instances of one photo, page or video frame.

    Attributes:
        labels: N class names.

    Raises:
        ShapeError: if the counts differ or the masks lie on another canvas than the photo.
    """

    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.labels) != len(self):
            raise ShapeError(f"{len(self.labels)} labels for {len(self)} masks")
        if tuple(self.masks.size) != self.photo.size:
            raise ShapeError(f"masks of size {self.masks.size} on a photo of size {self.photo.size}")


def label_names(class_ids: NDArray[Any], *, class_names: Sequence[str]) -> tuple[str, ...]:
    """Names of class ids; an id beyond the list is named by its number."""
    return tuple(class_names[i] if i < len(class_names) else f"class {i}" for i in class_ids.tolist())
