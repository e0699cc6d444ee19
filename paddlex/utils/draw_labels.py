"""Label maps in colours, on the photo."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from paddlex.utils.errors import ShapeError
from paddlex.utils.fonts import font_for, font_size, readable_names

__all__ = ["blend_label_map", "with_legend"]


def blend_label_map(
    image: NDArray[np.uint8],
    label_map: NDArray[np.integer],
    *,
    colors: NDArray[np.uint8],
    weight: float = 0.6,
) -> NDArray[np.uint8]:
    """Tint each pixel with the colour of its class.

    Args:
        image: (H, W, 3).
        label_map: (H, W), indices of `colors`.
        colors: (N, 3) in the order of the image's channels.
        weight: of the image in the sum; the colours weigh the rest.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ShapeError: if image and label map differ in size.
    """
    if image.shape[:2] != label_map.shape:
        raise ShapeError(f"label map {label_map.shape} on an image {image.shape}; expected one size")
    tint = colors[label_map]
    return np.asarray(cv2.addWeighted(image, weight, tint, 1.0 - weight, 0.0), dtype=np.uint8)


def with_legend(
    image: NDArray[np.uint8], *, names: Sequence[str], class_ids: Sequence[int], colors: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Put names and colours of classes on a panel right of a picture, so that they hide nothing.

    Args:
        image: (H, W, 3) RGB.
        names: from top to bottom; those that the picture's height has no room for are left out.
        class_ids: of the names, indices of `colors`.
        colors: (N, 3) RGB.

    Returns:
        (H, W + panel, 3); the picture itself where there are no names.
    """
    height, width = image.shape[:2]
    texts = readable_names(names, class_ids)
    font = font_for(texts, size=font_size(height, width))
    line = sum(font.getmetrics())
    texts = texts[: max(0, height // line)]
    if not texts:
        return image
    gap = max(2, line // 4)
    widest = max(math.ceil(font.getlength(text)) for text in texts)
    panel = Image.new("RGB", (line + widest + 3 * gap, height), (255, 255, 255))
    pen = ImageDraw.Draw(panel)
    for place, (text, class_id) in enumerate(zip(texts, class_ids, strict=False)):
        top = place * line
        color = tuple(colors[class_id].tolist())
        pen.rectangle((gap, top + gap // 2, gap + line - gap, top + line - gap // 2 - 1), fill=color)
        pen.text((line + 2 * gap, top), text, fill=(0, 0, 0), font=font)
    return np.concatenate([image, np.asarray(panel, np.uint8)], axis=1)
