"""Transforms that move pixels: image, boxes, masks and label map together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from paddlex.data.transforms.validation import (
    require,
    require_colour,
    require_interp,
    require_label,
    require_probability,
    require_size,
)
from paddlex.structures.moves import Move
from paddlex.structures.sample import Sample
from paddlex.utils.errors import ShapeError

__all__ = [
    "IGNORE_INDEX",
    "Pad",
    "PadStride",
    "RandomExpand",
    "RandomFlip",
    "RandomShortSideResize",
    "Resize",
    "clip_boxes",
    "drawn_interp",
    "moved",
    "pad_sample",
    "resize_sample",
    "resized_size",
]

# Label maps are padded with the index that losses and scores ignore.
IGNORE_INDEX = 255
_INTERPOLATIONS = 5


def moved(sample: Sample, image: NDArray[Any], **changes: Any) -> Sample:  # noqa: ANN401 (fields of Sample)
    """`sample` with a new image; padding that the old one had counts as content from now on."""
    return replace(sample, image=image, **{"content_size": None, **changes})


def clip_boxes(boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Boxes xyxy cut to an image of `size` (height, width)."""
    height, width = size
    return boxes.clip(0, np.array([width, height, width, height], dtype=np.float32))


# ---------------------------------------------------------------- resizing


def resized_size(
    size: tuple[int, int], *, target_size: tuple[int, int], keep_ratio: bool, swap_sides: bool = True
) -> tuple[int, int]:
    """(height, width) after resizing.

    With `keep_ratio` the short side reaches min(target) unless the long side would exceed max(target); sides
    are rounded half to even, as the official inference reader does (its training rounds half up, which
    `RandomShortSideResize` follows: the two differ by a pixel, at exact halves only). Without `swap_sides`
    the target's numbers bound height and width, whichever of them is longer.
    """
    if not keep_ratio:
        return target_size
    if swap_sides:
        scale = min(max(target_size) / max(size), min(target_size) / min(size))
    else:
        scale = min(target_size[0] / size[0], target_size[1] / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def drawn_interp(interp: int, *, random_interp: bool, rng: np.random.Generator) -> int:
    """`interp`, or one of OpenCV's five codes if it is to be drawn."""
    return int(rng.integers(_INTERPOLATIONS)) if random_interp else interp


def resize_sample(sample: Sample, size: tuple[int, int], *, interp: int) -> Sample:
    """Resize to exactly `size` (height, width).

    Bitmaps and the label map go by nearest neighbour, polygons exactly; boxes are clipped.

    Args:
        sample: image (H, W, 3).
        size: (height, width), pixels.
        interp: OpenCV interpolation code of the image.
    """
    height, width = sample.size
    y_scale, x_scale = size[0] / height, size[1] / width
    boxes = sample.boxes * np.array([x_scale, y_scale, x_scale, y_scale], dtype=np.float32)
    label_map = sample.label_map
    if label_map is not None:
        label_map = cv2.resize(label_map, size[::-1], interpolation=cv2.INTER_NEAREST)
    return moved(
        sample,
        cv2.resize(sample.image, size[::-1], interpolation=interp),
        boxes=clip_boxes(boxes, size),
        masks=sample.masks.resize(size) if sample.masks is not None else None,
        label_map=label_map,
        scale_factor=(sample.scale_factor[0] * y_scale, sample.scale_factor[1] * x_scale),
        moves=(*sample.moves, Move(sample.size, size)),
    )


@dataclass(frozen=True, kw_only=True)
class Resize:
    """Resize to a fixed size, or into it with the aspect kept.

    Attributes:
        target_size: (height, width); with `keep_ratio` its short and long side bound the result.
        keep_ratio: keep the aspect.
        swap_sides: with `keep_ratio`, let the target stand upright for upright photos and lie for others, as
            detection does; False bounds the height by the first number and the width by the second.
        interp: OpenCV code: 0 nearest, 1 linear, 2 cubic, 3 area, 4 Lanczos.
        random_interp: draw one of these instead.
    """

    target_size: tuple[int, int]
    keep_ratio: bool = False
    interp: int = 2
    swap_sides: bool = True
    random_interp: bool = False

    def __post_init__(self) -> None:
        require_size(self, name="target_size", value=self.target_size)
        require_interp(self, name="interp", value=self.interp)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Resize image, boxes, masks and label map."""
        size = resized_size(
            sample.size,
            target_size=self.target_size,
            keep_ratio=self.keep_ratio,
            swap_sides=self.swap_sides,
        )
        interp = drawn_interp(self.interp, random_interp=self.random_interp, rng=rng)
        return resize_sample(sample, size, interp=interp)


@dataclass(frozen=True, kw_only=True)
class RandomShortSideResize:
    """Resize with the aspect kept, the short side to a random length: multi-scale training.

    Attributes:
        short_sides: lengths to draw from, pixels; one listed twice is drawn twice as often.
        max_long_side: the short side stays shorter where the long one would exceed this, pixels.
        interp: OpenCV code, as `Resize`.
    """

    short_sides: tuple[int, ...]
    max_long_side: int
    interp: int = 2

    def __post_init__(self) -> None:
        found = self.short_sides
        require(bool(found), self, name="short_sides", found=found, expected="at least one length")
        for side in found:
            require_size(self, name="short_sides", value=(side, side))
        require_size(self, name="max_long_side", value=(self.max_long_side, self.max_long_side))
        require_interp(self, name="interp", value=self.interp)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Resize image, boxes, masks and label map."""
        short_side = self.short_sides[rng.integers(len(self.short_sides))]
        scale = min(short_side / min(sample.size), self.max_long_side / max(sample.size))
        height, width = (max(1, int(scale * side + 0.5)) for side in sample.size)
        return resize_sample(sample, (height, width), interp=self.interp)


# ---------------------------------------------------------------- padding


def pad_sample(
    sample: Sample,
    size: tuple[int, int],
    *,
    offset: tuple[int, int] = (0, 0),
    fill: tuple[float, ...] = (0.0, 0.0, 0.0),
    label_fill: int = IGNORE_INDEX,
) -> Sample:
    """Place image, boxes, masks and label map on a larger canvas.

    Args:
        sample: image (H, W, 3).
        size: (height, width) of the canvas, pixels.
        offset: (y, x) of the image on it.
        fill: R, G, B around the image.
        label_fill: class index around the label map.

    Raises:
        ShapeError: if the image leaves the canvas.
    """
    (height, width), (above, left) = sample.size, offset
    below, right = size[0] - height - above, size[1] - width - left
    if min(above, left, below, right) < 0:
        at = f" at {list(offset)}" if any(offset) else ""
        raise ShapeError(f"image of {height} x {width} pixels cannot be padded to {size[0]} x {size[1]}{at}")
    if size == sample.size:
        return sample
    borders = above, below, left, right
    label_map = sample.label_map
    if label_map is not None:
        label_map = cv2.copyMakeBorder(label_map, *borders, cv2.BORDER_CONSTANT, value=(label_fill,) * 4)
    return moved(
        sample,
        cv2.copyMakeBorder(sample.image, *borders, cv2.BORDER_CONSTANT, value=(*fill, 0.0)),
        boxes=sample.boxes + np.array([left, above, left, above], dtype=np.float32),
        masks=sample.masks.place(size=size, y=above, x=left) if sample.masks is not None else None,
        label_map=label_map,
        content_size=(sample.content_size or sample.size) if offset == (0, 0) else None,
        moves=(*sample.moves, Move(sample.size, size, offset)),
    )


@dataclass(frozen=True, kw_only=True)
class Pad:
    """Pad at the bottom and right to a fixed size.

    Attributes:
        size: (height, width), at least the image's.
        fill_value: R, G, B of the padding.
    """

    size: tuple[int, int] = (640, 640)
    fill_value: tuple[float, float, float] = (127.5, 127.5, 127.5)

    def __post_init__(self) -> None:
        require_size(self, name="size", value=self.size)
        require_colour(self, name="fill_value", value=self.fill_value)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Pad image, masks and label map."""
        return pad_sample(sample, self.size, fill=self.fill_value)


@dataclass(frozen=True, kw_only=True)
class PadStride:
    """Pad with zeros at the bottom and right to multiples of a network's stride.

    Attributes:
        stride: pixels; 0 or below leaves the image as it is.
    """

    stride: int = 32

    def __post_init__(self) -> None:
        require(
            isinstance(self.stride, int), self, name="stride", found=self.stride, expected="a whole number"
        )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Pad image, masks and label map."""
        if self.stride <= 0:
            return sample
        height, width = (-(-side // self.stride) * self.stride for side in sample.size)
        return pad_sample(sample, (height, width))


# ---------------------------------------------------------------- random moves


@dataclass(frozen=True, kw_only=True)
class RandomFlip:
    """Mirror left and right (x becomes width - x), or top and bottom.

    Attributes:
        prob: chance of a flip.
        direction: `horizontal` or `vertical`.
    """

    prob: float = 0.5
    direction: Literal["horizontal", "vertical"] = "horizontal"

    def __post_init__(self) -> None:
        require_probability(self, name="prob", value=self.prob)
        known = self.direction in ("horizontal", "vertical")
        require(known, self, name="direction", found=self.direction, expected="horizontal or vertical")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Flip image, boxes, masks and label map, or nothing."""
        if rng.random() >= self.prob:
            return sample
        axis = 0 if self.direction == "horizontal" else 1
        boxes, masks = sample.boxes.copy(), sample.masks
        boxes[:, axis::2] = sample.size[1 - axis] - sample.boxes[:, [axis + 2, axis]]
        if masks is not None:
            masks = masks.vflip() if axis else masks.hflip()
        return moved(
            sample,
            cv2.flip(sample.image, 1 - axis),
            boxes=boxes,
            masks=masks,
            label_map=cv2.flip(sample.label_map, 1 - axis) if sample.label_map is not None else None,
        )


@dataclass(frozen=True, kw_only=True)
class RandomExpand:
    """Place the photo on a larger plain canvas, so that objects get smaller (SSD, arXiv:1512.02325).

    A canvas four times as wide and high as a phone's photo takes 600 MB. Networks see a fraction of that, so
    a photo is shrunk first when its canvas would exceed `max_pixels`.

    Attributes:
        prob: chance of expanding.
        max_ratio: sides grow by a factor drawn from 1 to this.
        fill: R, G, B of the canvas.
        max_pixels: limit of the canvas's area; 2 ** 24 leaves 1200 pixels a side to the smallest crop of 0.3.
        label_fill: class index of the canvas in the label map.
    """

    prob: float = 0.5
    max_ratio: float = 4.0
    fill: tuple[float, float, float] = (123.675, 116.28, 103.53)
    max_pixels: int = 2**24
    label_fill: int = IGNORE_INDEX

    def __post_init__(self) -> None:
        require_probability(self, name="prob", value=self.prob)
        require(self.max_ratio >= 1, self, name="max_ratio", found=self.max_ratio, expected="at least 1")
        require_colour(self, name="fill", value=self.fill)
        require(self.max_pixels > 0, self, name="max_pixels", found=self.max_pixels, expected="above 0")
        require_label(self, name="label_fill", value=self.label_fill)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Expand a uint8 image with its boxes and masks, or nothing."""
        if rng.random() >= self.prob:
            return sample
        ratio = rng.uniform(1.0, self.max_ratio)
        sample = self._shrunk(sample, ratio)
        height, width = sample.size
        size = int(height * ratio), int(width * ratio)
        y = int(rng.integers(0, size[0] - height + 1))
        x = int(rng.integers(0, size[1] - width + 1))
        # The canvas stands for a photo taken from farther away: all of it is content.
        expanded = pad_sample(sample, size, offset=(y, x), fill=self.fill, label_fill=self.label_fill)
        return replace(expanded, content_size=None)

    def _shrunk(self, sample: Sample, ratio: float) -> Sample:
        height, width = sample.size
        factor = (self.max_pixels / (height * width)) ** 0.5 / ratio
        if factor >= 1:
            return sample
        size = max(1, int(height * factor)), max(1, int(width * factor))
        return resize_sample(sample, size, interp=cv2.INTER_AREA)
