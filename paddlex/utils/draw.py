"""Instances drawn on a photo: tinted masks with outlines, boxes, labels.

Everything scales with the photo, so that a 100-pixel and a 6000-pixel photo are equally readable, and only
the pixels of the objects are touched, so that a 12-megapixel photo takes no float copy.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from paddlex.utils.errors import ShapeError
from paddlex.utils.fonts import fit_text, font_for, font_size, picture_scale, readable_names

__all__ = ["PALETTE", "Crops", "DrawingStyle", "class_color", "draw_instances", "text_color"]

Color = tuple[int, int, int]
Box = tuple[int, int, int, int]


class Crops(Protocol):
    """Masks as crops, as `paddlex.structures.masks.MaskCrops` has them."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the canvas."""

    def __len__(self) -> int: ...

    def boxes(self) -> NDArray[np.float32]:
        """(N, 4) xyxy of each mask."""

    def crop(self, index: int) -> tuple[int, int, NDArray[np.bool_]]:
        """(y, x, pixels) of one mask."""


# RGB; neighbouring classes differ in hue as far as possible.
PALETTE: tuple[Color, ...] = tuple(
    (int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16))
    for code in (
        "FF0000 CCFF00 00FF66 0066FF CC00FF FF4D00 80FF00 00FFB2 001AFF FF00E5 "
        "FF9900 33FF00 00FFFF 3300FF FF0099 FFE500 00FF1A 00B2FF 8000FF FF004D"
    ).split()
)
_LIGHT_TEXT: Color = (255, 255, 255)
_DARK_TEXT: Color = (20, 14, 53)
# Between the brightest colour that carries light text and the darkest that carries dark text in the palette.
_BRIGHT_LUMA = 112


@dataclass(frozen=True)
class DrawingStyle:
    """The colours of a drawing.

    Attributes:
        palette: RGB by class id; ids beyond it start over.
        opacity: of the tint of masks, in [0, 1].
        whitening: share of white in that tint, in [0, 1].
    """

    palette: tuple[Color, ...] = PALETTE
    opacity: float = 0.5
    whitening: float = 0.0

    def color(self, class_id: int) -> Color:
        """RGB of a class: the same on every photo, whatever else is on it."""
        return self.palette[class_id % len(self.palette)]

    def text_color(self, class_id: int) -> Color:
        """RGB of text that is legible on `color(class_id)`."""
        red, green, blue = self.color(class_id)
        return _LIGHT_TEXT if 0.299 * red + 0.587 * green + 0.114 * blue < _BRIGHT_LUMA else _DARK_TEXT


_STYLE = DrawingStyle()


def class_color(class_id: int) -> Color:
    """RGB of a class in our own style."""
    return _STYLE.color(class_id)


def text_color(class_id: int) -> Color:
    """RGB of text that is legible on `class_color(class_id)`."""
    return _STYLE.text_color(class_id)


def draw_instances(
    image: NDArray[np.uint8],
    *,
    boxes: NDArray[Any],
    labels: Sequence[str],
    class_ids: Sequence[int] | NDArray[Any],
    masks: Crops | None = None,
    scores: Sequence[float] | NDArray[Any] | None = None,
    style: DrawingStyle = _STYLE,
) -> NDArray[np.uint8]:
    """Draw instances on a copy of a photo.

    Masks are tinted from the largest to the smallest, so that none is buried. Labels stay inside the photo
    and clear of one another and of other objects; where there is no room for one, the colour tells the class.

    Args:
        image: (H, W, 3) uint8 RGB.
        boxes: (N, 4) xyxy, pixels.
        labels: N class names.
        class_ids: (N,), choose the colours.
        masks: N masks on the canvas of `image`.
        scores: (N,) in [0, 1], written behind the label.
        style: the colours.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ShapeError: if the counts differ or the masks have another canvas.
    """
    _require_equal_counts(image, boxes=boxes, labels=labels, class_ids=class_ids, masks=masks, scores=scores)
    canvas = image.copy()
    line = _line_width(image)
    if masks is not None:
        _tint(canvas, masks, class_ids=class_ids, line=line, style=style)
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    for box, class_id in zip(boxes, class_ids, strict=True):
        _outline(pen, box, color=style.color(int(class_id)), line=line)
    _write_labels(
        pen,
        boxes=boxes,
        texts=_texts(labels, class_ids, scores),
        class_ids=class_ids,
        scores=scores,
        style=style,
    )
    return np.asarray(picture)


def _require_equal_counts(
    image: NDArray[Any],
    *,
    boxes: NDArray[Any],
    labels: Sequence[str],
    class_ids: Sequence[int] | NDArray[Any],
    masks: Crops | None,
    scores: Sequence[float] | NDArray[Any] | None,
) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ShapeError(f"image {image.shape} {image.dtype}; expected (height, width, 3) uint8")
    if np.shape(boxes) != (len(labels), 4) or len(class_ids) != len(labels):
        raise ShapeError(f"boxes {np.shape(boxes)}, {len(labels)} labels, {len(class_ids)} class ids")
    if scores is not None and len(scores) != len(labels):
        raise ShapeError(f"{len(scores)} scores for {len(labels)} labels")
    if masks is not None and (len(masks) != len(labels) or tuple(masks.size) != image.shape[:2]):
        raise ShapeError(
            f"{len(masks)} masks of size {masks.size} for {len(labels)} labels on {image.shape[:2]}"
        )


# -------------------------------------------------------------------- sizes


def _line_width(image: NDArray[Any]) -> int:
    return min(max(round(0.003 * picture_scale(*image.shape[:2])), 1), 12)


# -------------------------------------------------------------------- masks and boxes


def _tint(
    canvas: NDArray[np.uint8],
    masks: Crops,
    *,
    class_ids: Sequence[int] | NDArray[Any],
    line: int,
    style: DrawingStyle,
) -> None:
    kernel = np.ones((2 * line + 1, 2 * line + 1), np.uint8)
    x1, y1, x2, y2 = masks.boxes().T
    # Large ones first, so that small ones stay visible; unpacked one at a time.
    for index in np.argsort(-(x2 - x1) * (y2 - y1), kind="stable"):
        y, x, crop = masks.crop(int(index))
        if not crop.size:
            continue
        color = style.color(int(class_ids[index]))
        region = canvas[y : y + crop.shape[0], x : x + crop.shape[1]]
        mask = np.ascontiguousarray(crop).view(np.uint8)
        inner = cv2.erode(mask, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        tinted = cv2.LUT(region, _blend_table(color, style.opacity, style.whitening))
        tinted[crop & (inner == 0)] = color
        # Twenty times as fast as numpy's masked copy.
        region[:] = cv2.copyTo(tinted, mask, region)


@functools.lru_cache(maxsize=256)
def _blend_table(color: Color, opacity: float, whitening: float) -> NDArray[np.uint8]:
    """(1, 256, 3): what each of the 256 levels of a channel becomes under a tint."""
    levels = np.arange(256)[None, :, None]
    tint = (1 - whitening) * np.array(color) + whitening * 255
    return ((1 - opacity) * levels + opacity * tint).astype(np.uint8)


def _outline(pen: ImageDraw.ImageDraw, box: NDArray[Any], *, color: Color, line: int) -> None:
    width, height = pen.im.size
    x1, x2 = (int(v) for v in np.clip(np.round(box[0::2]), 0, width - 1))
    y1, y2 = (int(v) for v in np.clip(np.round(box[1::2]), 0, height - 1))
    pen.rectangle((min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)), outline=color, width=line)


# -------------------------------------------------------------------- labels


def _texts(
    labels: Sequence[str],
    class_ids: Sequence[int] | NDArray[Any],
    scores: Sequence[float] | NDArray[Any] | None,
) -> list[str]:
    """Names with scores; a name that no font can show is replaced by its class number."""
    names = readable_names(labels, class_ids)
    if scores is None:
        return names
    return [f"{name} {score:.2f}" for name, score in zip(names, scores, strict=True)]


def _write_labels(
    pen: ImageDraw.ImageDraw,
    *,
    boxes: NDArray[Any],
    texts: Sequence[str],
    class_ids: Sequence[int] | NDArray[Any],
    scores: Sequence[float] | NDArray[Any] | None,
    style: DrawingStyle,
) -> None:
    width, height = pen.im.size
    font = font_for(texts, size=font_size(height, width))
    padding = max(1, round(font.size / 8))
    order = np.argsort(-np.asarray(scores), kind="stable") if scores is not None else np.arange(len(texts))
    taken: list[Box] = []
    for index in order:
        text = fit_text(texts[index], font=font, width=width - 2 * padding)
        size = (math.ceil(font.getlength(text)) + 2 * padding, sum(font.getmetrics()))
        others = np.delete(boxes, index, axis=0)
        places = _places(boxes[index], size=size, canvas=(width, height))
        place = next((p for p in places if _is_clear(p, labels=taken, boxes=others)), None)
        if place is None:
            continue
        taken.append(place)
        class_id = int(class_ids[index])
        pen.rectangle((place[0], place[1], place[2] - 1, place[3] - 1), fill=style.color(class_id))
        pen.text((place[0] + padding, place[1]), text, fill=style.text_color(class_id), font=font)


def _places(box: NDArray[Any], *, size: tuple[int, int], canvas: tuple[int, int]) -> Iterator[Box]:
    """Where a label may lie inside the canvas, best first: above its box, in its head, below, in its foot."""
    x1, y1, x2, y2 = (float(v) for v in box)
    slack = (max(canvas[0] - size[0], 0), max(canvas[1] - size[1], 0))
    tops = [top for top in (y1 - size[1], y1, y2, y2 - size[1]) if 0 <= top <= slack[1]]
    for top, left in itertools.product(tops or [min(max(y1, 0), slack[1])], (x1, x2 - size[0])):
        x, y = round(min(max(left, 0), slack[0])), round(top)
        yield x, y, x + size[0], y + size[1]


def _is_clear(place: Box, *, labels: Sequence[Box], boxes: NDArray[Any]) -> bool:
    """Whether a label touches no other label and hides at most half of any other object."""
    if labels and _shared_areas(place, np.array(labels)).any():
        return False
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return not (_shared_areas(place, boxes) > areas / 2).any()


def _shared_areas(place: Box, boxes: NDArray[Any]) -> NDArray[Any]:
    widths = np.minimum(place[2], boxes[:, 2]) - np.maximum(place[0], boxes[:, 0])
    heights = np.minimum(place[3], boxes[:, 3]) - np.maximum(place[1], boxes[:, 1])
    return np.asarray(np.maximum(widths, 0) * np.maximum(heights, 0))
