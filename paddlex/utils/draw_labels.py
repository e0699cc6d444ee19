"""Label maps in colours, on the photo."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from paddlex.utils.errors import ShapeError

__all__ = ["blend_label_map"]


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
