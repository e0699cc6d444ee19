"""Anchors of query selection: one small square per cell of every level."""

from collections.abc import Sequence

import numpy as np
import paddle
from paddle import Tensor

__all__ = ["anchor_tables"]

_BASE_SIDE = 0.05
_BORDER = 0.01


def anchor_tables(level_sizes: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Return the anchors of feature maps, fine to coarse, cells row by row.

    An anchor of level l is centred on its cell and 0.05 * 2^l of the image wide and high. It is valid when
    its four numbers keep 0.01 away from 0 and 1.

    Args:
        level_sizes: (height, width) of every level.

    Returns:
        Anchor logits (1, L, 4), the inverse sigmoid of cxcywh in fractions of the image, +inf where invalid;
        validity (1, L, 1), 1.0 or 0.0. Both float32.
    """
    anchors = []
    for level, (height, width) in enumerate(level_sizes):
        y, x = np.mgrid[:height, :width].astype(np.float32) + 0.5
        side = np.full((height, width), _BASE_SIDE * 2.0**level, np.float32)
        anchors.append(np.stack([x / width, y / height, side, side], axis=-1).reshape(-1, 4))
    boxes = np.concatenate(anchors)[None].astype(np.float32)
    valid = ((boxes > _BORDER) & (boxes < 1.0 - _BORDER)).all(axis=-1, keepdims=True)
    # A side of 1 or more has no logit, and no valid anchor has one; the value is not used.
    inside = np.clip(boxes, 1e-6, 1.0 - 1e-6)
    logits = np.where(valid, np.log(inside / (1.0 - inside)), np.inf)
    return paddle.to_tensor(logits.astype(np.float32)), paddle.to_tensor(valid.astype(np.float32))
