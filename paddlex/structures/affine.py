"""Affine maps of a canvas, for photos, masks and points alike.

A map is a (2, 3) matrix on continuous coordinates x, y: pixel i covers [i, i + 1).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["map_points", "warp_image"]


def map_points(points: NDArray[Any], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2) points x, y on the new canvas."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def warp_image(
    image: NDArray[Any],
    matrix: NDArray[np.float64],
    *,
    size: tuple[int, int],
    interp: int = cv2.INTER_NEAREST,
    fill: tuple[float, ...] = (0.0,),
) -> NDArray[Any]:
    """The image on the new canvas.

    Args:
        image: (H, W) or (H, W, channels).
        matrix: (2, 3), from the old canvas to the new one.
        size: (height, width) of the new canvas, pixels.
        interp: OpenCV code; area interpolation, which is for shrinking only, counts as linear.
        fill: value of each channel where the old canvas does not reach.
    """
    # OpenCV counts from the centres of pixels.
    shift = matrix[:, 2] + (matrix[:, :2].sum(axis=1) - 1) / 2
    centred = np.concatenate([matrix[:, :2], shift[:, None]], axis=1)
    code = cv2.INTER_LINEAR if interp == cv2.INTER_AREA else interp
    return np.asarray(
        cv2.warpAffine(
            image, centred, size[::-1], flags=code, borderMode=cv2.BORDER_CONSTANT, borderValue=fill
        )
    )
