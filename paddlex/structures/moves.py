"""Where the pixels of a network's input came from, and the way back for what it predicts about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from paddlex.utils.errors import ShapeError

__all__ = ["Move", "predicted_classes", "restore_labels", "restore_logits"]


@dataclass(frozen=True)
class Move:
    """One step that changed an image's size.

    Attributes:
        before: (height, width) before it, pixels.
        after: (height, width) after it.
        offset: (y, x) of the old image's first pixel on the new canvas; None where it was resized.
        align_corners: the corner pixels' centres stayed where they were; else the image's corners did.
    """

    before: tuple[int, int]
    after: tuple[int, int]
    offset: tuple[int, int] | None = None
    align_corners: bool = False


def restore_logits(logits: NDArray[Any], moves: Sequence[Move]) -> NDArray[np.float32]:
    """Bring logits back to the photo: padding is cut off, resizing undone bilinearly.

    Args:
        logits: (C, h, w) of the network's input.
        moves: how the photo became that input.

    Returns:
        (C, H, W) float32 on the photo.

    Raises:
        ShapeError: if the logits are not of the size that the last move led to.
    """
    planes = [_restored(plane, moves, interp=cv2.INTER_LINEAR) for plane in logits.astype(np.float32)]
    return np.stack(planes)


def restore_labels(label_map: NDArray[Any], moves: Sequence[Move]) -> NDArray[Any]:
    """Bring a label map (h, w) back to the photo: as `restore_logits`, by nearest neighbour.

    Returns:
        (H, W) on the photo.
    """
    return _restored(label_map, moves, interp=cv2.INTER_NEAREST)


def predicted_classes(logits: NDArray[Any], moves: Sequence[Move] = ()) -> NDArray[np.int32]:
    """The class of largest logit at each pixel of the photo, logits being restored first.

    Equals the argmax of `restore_logits` in the memory of two classes, not of all.

    Args:
        logits: (C, h, w) of the network's input.
        moves: how the photo became that input.

    Returns:
        (H, W) in 0..C-1; of equal logits the first class.
    """
    best = _restored(logits[0].astype(np.float32), moves, interp=cv2.INTER_LINEAR).copy()
    classes = np.zeros(best.shape, np.int32)
    for class_id, plane in enumerate(logits[1:], start=1):
        restored = _restored(plane.astype(np.float32), moves, interp=cv2.INTER_LINEAR)
        classes[restored > best] = class_id
        np.maximum(best, restored, out=best)
    return classes


def _restored(plane: NDArray[Any], moves: Sequence[Move], *, interp: int) -> NDArray[Any]:
    for move in reversed(moves):
        if plane.shape != move.after:
            raise ShapeError(f"map of {plane.shape} (height, width) on an input of {move.after}")
        height, width = move.before
        if move.offset is None and move.align_corners:
            rows, cols = (_aligned(old, new) for old, new in zip(plane.shape, move.before, strict=True))
            plane = rows @ plane @ cols.T
        elif move.offset is None:
            # The half-pixel rule of networks' interpolation with align_corners False.
            plane = np.asarray(cv2.resize(plane, (width, height), interpolation=interp))
        else:
            y, x = move.offset
            plane = plane[y : y + height, x : x + width]
    return plane


def _aligned(old: int, new: int) -> NDArray[np.float32]:
    """(new, old) weights of linear interpolation between samples whose first and last coincide."""
    places = np.linspace(0, old - 1, new) if new > 1 else np.zeros(1)
    below = np.minimum(places.astype(int), max(old - 2, 0))
    weights = np.zeros((new, old), np.float32)
    weights[np.arange(new), below] = 1 - (places - below)
    if old > 1:
        weights[np.arange(new), below + 1] = places - below
    return weights
