"""Box regression of the R-CNN family: a box told relative to another (arXiv:1311.2524, appendix C)."""

import math
from typing import TypeAlias

import paddle
from paddle import Tensor

__all__ = ["UNIT_WEIGHTS", "CodingWeights", "decode_boxes", "encode_boxes"]

CodingWeights: TypeAlias = tuple[float, float, float, float]

UNIT_WEIGHTS: CodingWeights = (1.0, 1.0, 1.0, 1.0)
# A box grows at most from 16 to 1000 pixels, so that an untrained network cannot overflow.
_MAX_LOG_SCALE = math.log(1000.0 / 16.0)


def encode_boxes(boxes: Tensor, gt_boxes: Tensor, *, weights: CodingWeights = UNIT_WEIGHTS) -> Tensor:
    """Return the deltas that move `boxes` onto `gt_boxes`.

    Args:
        boxes: (..., 4) xyxy with positive sides, in any unit.
        gt_boxes: (..., 4) likewise, of a shape that broadcasts.
        weights: factors of the four deltas.

    Returns:
        (..., 4): shift of the centre in x and y relative to the sides, logarithm of the sides' ratios.
    """
    centre, size = _centre_and_size(boxes)
    gt_centre, gt_size = _centre_and_size(gt_boxes)
    deltas = paddle.concat([(gt_centre - centre) / size, paddle.log(gt_size / size)], axis=-1)
    return deltas * paddle.to_tensor(weights, dtype=deltas.dtype)


def decode_boxes(deltas: Tensor, boxes: Tensor, *, weights: CodingWeights = UNIT_WEIGHTS) -> Tensor:
    """Return `boxes` moved by `deltas`; a side grows at most 62.5 times.

    Args:
        deltas: (..., 4) as `encode_boxes` returns them.
        boxes: (..., 4) xyxy, of a shape that broadcasts.
        weights: factors that the deltas were encoded with.

    Returns:
        (..., 4) xyxy, not clipped.
    """
    centre, size = _centre_and_size(boxes)
    deltas = deltas / paddle.to_tensor(weights, dtype=deltas.dtype)
    moved = deltas[..., :2] * size + centre
    half_size = deltas[..., 2:].clip(max=_MAX_LOG_SCALE).exp() * size * 0.5
    return paddle.concat([moved - half_size, moved + half_size], axis=-1)


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + size * 0.5, size
