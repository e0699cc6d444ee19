"""Rotation by a random angle: image, boxes, masks and label map together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from paddlex.data.transforms.geometry import IGNORE_INDEX, clip_boxes, moved
from paddlex.data.transforms.validation import require, require_colour, require_interp, require_label
from paddlex.structures.affine import map_points, warp_image
from paddlex.structures.sample import Sample

__all__ = ["RandomRotate"]


@dataclass(frozen=True, kw_only=True)
class RandomRotate:
    """Rotate about the centre by a random angle; the canvas grows so that the whole photo stays on it.

    Attributes:
        rotate_range: greatest angle to either side, degrees.
        im_padding_value: value of each channel in the corners, rounded where the image holds bytes.
        label_padding_value: class index of the corners in the label map.
        interp: OpenCV code of the image, as `Resize`.
    """

    rotate_range: float = 15.0
    im_padding_value: tuple[float, float, float] = (127.5, 127.5, 127.5)
    label_padding_value: int = IGNORE_INDEX
    interp: int = cv2.INTER_LINEAR

    def __post_init__(self) -> None:
        fits = 0 <= self.rotate_range <= 180
        require(fits, self, name="rotate_range", found=self.rotate_range, expected="0 to 180 degrees")
        require_colour(self, name="im_padding_value", value=self.im_padding_value)
        require_label(self, name="label_padding_value", value=self.label_padding_value)
        require_interp(self, name="interp", value=self.interp)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Rotate image, boxes, masks and label map; a box becomes the box around what it held."""
        angle = float(rng.uniform(-self.rotate_range, self.rotate_range))
        matrix, size = _rotation(sample.size, angle)
        masks = sample.masks.warp(matrix, size=size) if sample.masks is not None else None
        boxes = masks.boxes() if masks is not None else _boxes_around(sample.boxes, matrix)
        label_map = sample.label_map
        if label_map is not None:
            label_map = warp_image(label_map, matrix, size=size, fill=(float(self.label_padding_value),))
        image = warp_image(sample.image, matrix, size=size, interp=self.interp, fill=self.im_padding_value)
        turned = moved(
            sample, image, boxes=clip_boxes(boxes, size), masks=masks, label_map=label_map, moves=()
        )
        areas = masks.area() if masks is not None else np.ones(len(boxes))
        return _selected(turned, np.flatnonzero(areas > 0))


def _selected(sample: Sample, kept: NDArray[np.int64]) -> Sample:
    if len(kept) == len(sample.boxes):
        return sample
    masks = sample.masks[kept] if sample.masks is not None else None
    return replace(sample, boxes=sample.boxes[kept], class_ids=sample.class_ids[kept], masks=masks)


def _rotation(size: tuple[int, int], angle: float) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """The (2, 3) matrix from pixels (x, y) of the photo to those of the grown canvas, and its size."""
    height, width = size
    turn = np.deg2rad(angle)
    cos, sin = np.cos(turn), np.sin(turn)
    new_width = max(1, int(np.ceil(abs(width * cos) + abs(height * sin) - 1e-9)))
    new_height = max(1, int(np.ceil(abs(width * sin) + abs(height * cos) - 1e-9)))
    linear = np.array([[cos, sin], [-sin, cos]])
    shift = np.array([new_width, new_height]) / 2 - linear @ (np.array([width, height]) / 2)
    return np.concatenate([linear, shift[:, None]], axis=1), (new_height, new_width)


def _boxes_around(boxes: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """(N, 4) xyxy around the turned corners of boxes."""
    corners = map_points(boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2), matrix).reshape(-1, 4, 2)
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32)
