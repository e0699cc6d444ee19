"""Box arithmetic on tensors whose last axis holds the four numbers of a box.

Two notations occur: `cxcywh` (centre, width, height) and `xyxy` (two opposite corners). Unless a function
says otherwise it works in any unit, pixels or fractions of the image.
"""

import paddle
from paddle import Tensor

from paddlex.nn.coordinates import spatial_size
from paddlex.nn.reductions import max_along

__all__ = [
    "box_area",
    "box_iou",
    "cells_in_boxes",
    "clip_boxes",
    "cxcywh_to_xyxy",
    "generalized_box_iou",
    "inverse_sigmoid",
    "masks_to_boxes",
    "pairwise_box_iou",
    "pairwise_generalized_box_iou",
    "xyxy_to_cxcywh",
]


def cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    """Convert (..., 4) boxes from centre and size to corners."""
    centre, half_size = boxes[..., :2], boxes[..., 2:] * 0.5
    return paddle.concat([centre - half_size, centre + half_size], axis=-1)


def xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    """Convert (..., 4) boxes from corners to centre and size."""
    top_left, bottom_right = boxes[..., :2], boxes[..., 2:]
    return paddle.concat([(top_left + bottom_right) * 0.5, bottom_right - top_left], axis=-1)


def box_area(boxes: Tensor) -> Tensor:
    """Return the areas (...) of xyxy `boxes` (..., 4); negative sides are not clipped."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def box_iou(boxes1: Tensor, boxes2: Tensor, *, epsilon: float = 1e-9) -> Tensor:
    """Return the intersection over union of boxes that correspond, by broadcasting.

    Args:
        boxes1: (..., 4) xyxy.
        boxes2: (..., 4) xyxy, of a shape that broadcasts with `boxes1`.
        epsilon: added to the union, so that two empty boxes give 0.

    Returns:
        (...) in [0, 1].
    """
    intersection, union = _intersection_and_union(boxes1, boxes2)
    return intersection / (union + epsilon)


def clip_boxes(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Return xyxy `boxes` (..., 4) with their corners moved into images of `sizes`.

    Args:
        boxes: (..., 4) xyxy.
        sizes: (..., 2) height and width, of a shape that broadcasts with the leading axes of `boxes`.
    """
    corner = sizes.flip(-1)
    return paddle.minimum(boxes.clip(min=0.0), paddle.concat([corner, corner], axis=-1))


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor, *, epsilon: float = 1e-10) -> Tensor:
    """Return the generalised IoU (arXiv:1902.09630) of boxes that correspond, by broadcasting.

    Args:
        boxes1: (..., 4) xyxy.
        boxes2: (..., 4) xyxy, of a shape that broadcasts with `boxes1`.
        epsilon: added to the union and to the enclosing area.

    Returns:
        (...) in [-1, 1].
    """
    intersection, union = _intersection_and_union(boxes1, boxes2)
    union = union + epsilon
    top_left = paddle.minimum(boxes1[..., :2], boxes2[..., :2])
    bottom_right = paddle.maximum(boxes1[..., 2:], boxes2[..., 2:])
    sides = bottom_right - top_left
    enclosure = sides[..., 0] * sides[..., 1] + epsilon
    return intersection / union - (enclosure - union) / enclosure


def pairwise_box_iou(boxes1: Tensor, boxes2: Tensor, *, epsilon: float = 1e-9) -> Tensor:
    """Return the (..., N, M) IoU between xyxy boxes (..., N, 4) and (..., M, 4)."""
    return box_iou(boxes1.unsqueeze(-2), boxes2.unsqueeze(-3), epsilon=epsilon)


def pairwise_generalized_box_iou(boxes1: Tensor, boxes2: Tensor, *, epsilon: float = 1e-10) -> Tensor:
    """Return the (..., N, M) generalised IoU between xyxy boxes (..., N, 4) and (..., M, 4)."""
    return generalized_box_iou(boxes1.unsqueeze(-2), boxes2.unsqueeze(-3), epsilon=epsilon)


def inverse_sigmoid(values: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    """Return log(x / (1 - x)) of `values` clipped to [0, 1], both factors held above `epsilon`.

    An exact 0 gives about log(epsilon), an exact 1 about -log(epsilon).
    """
    values = values.clip(min=0.0, max=1.0)
    return paddle.log(values.clip(min=epsilon) / (1.0 - values).clip(min=epsilon))


def cells_in_boxes(boxes: Tensor, *, size: tuple[int, int]) -> Tensor:
    """Return bool (N, H, W): the cells whose column c and row r have x1 <= c < x2 and y1 <= r < y2.

    Args:
        boxes: (N, 4) xyxy in cells.
        size: (H, W) of the grid.
    """
    x1, y1, x2, y2 = (boxes[:, i : i + 1] for i in range(4))
    rows, columns = (paddle.arange(length, dtype=boxes.dtype) for length in size)
    in_rows = ((rows >= y1) & (rows < y2)).unsqueeze(2)
    in_columns = ((columns >= x1) & (columns < x2)).unsqueeze(1)
    return in_rows & in_columns


def masks_to_boxes(logits: Tensor, *, threshold: float = 0.0) -> Tensor:
    """Return the tight boxes of the masks `logits > threshold`, as fractions of the mask's own size.

    Args:
        logits: (..., H, W) float32.
        threshold: largest value that is background.

    Returns:
        (..., 4) float32 xyxy in [0, 1]; the far corner is exclusive (a lone pixel has one pixel's area).
        An empty mask gives four zeros.
    """
    height, width = (
        side if isinstance(side, int) else side.astype("float32") for side in spatial_size(logits)
    )
    x_min, x_max = _extent(max_along(logits, axis=-2) > threshold, width)
    y_min, y_max = _extent(max_along(logits, axis=-1) > threshold, height)
    return paddle.stack([x_min / width, y_min / height, x_max / width, y_max / height], axis=-1)


def _extent(occupied: Tensor, length: int | Tensor) -> tuple[Tensor, Tensor]:
    """Return the first set index and the last one plus 1 along the last axis; (0, 0) when none is set."""
    flags = occupied.astype("float32")
    index = paddle.arange(length, dtype="float32")
    end = max_along(flags * (index + 1.0), axis=-1)
    # With nothing set this start is `length`, which the minimum turns into 0.
    start = length - max_along(flags * (length - index), axis=-1)
    return paddle.minimum(start, end), end


def _intersection_and_union(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    # Column by column: broadcasting (..., 2) slices takes thrice the time.
    left = paddle.maximum(boxes1[..., 0], boxes2[..., 0])
    top = paddle.maximum(boxes1[..., 1], boxes2[..., 1])
    right = paddle.minimum(boxes1[..., 2], boxes2[..., 2])
    bottom = paddle.minimum(boxes1[..., 3], boxes2[..., 3])
    intersection = (right - left).clip(min=0.0) * (bottom - top).clip(min=0.0)
    return intersection, box_area(boxes1) + box_area(boxes2) - intersection
