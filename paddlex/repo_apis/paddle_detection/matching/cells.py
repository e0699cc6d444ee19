"""What the assigners of objects to cells take and return."""

from collections.abc import Sequence
from dataclasses import dataclass

import paddle
from paddle import Tensor

__all__ = ["CellAssignment", "PaddedObjects", "points_inside"]

_EPSILON = 1e-9


@dataclass(frozen=True, kw_only=True)
class PaddedObjects:
    """The objects of a batch, padded to the same number n per image.

    Attributes:
        boxes: (B, n, 4) xyxy in pixels of the network input.
        class_ids: (B, n) int64; 0 where padded.
        valid: (B, n) float32, 1 or, where padded, 0.
    """

    boxes: Tensor
    class_ids: Tensor
    valid: Tensor

    @classmethod
    def pad(cls, boxes: Sequence[Tensor], class_ids: Sequence[Tensor]) -> "PaddedObjects":
        """Join lists of one (n_i, 4) and one (n_i,) per image; at least one image has an object."""
        counts = [ids.shape[0] for ids in class_ids]
        longest = max(counts)
        return cls(
            boxes=paddle.stack([_pad_rows(values.astype("float32"), longest, width=4) for values in boxes]),
            class_ids=paddle.stack([_pad_rows(ids.astype("int64"), longest) for ids in class_ids]),
            valid=paddle.stack([_pad_rows(paddle.ones([count]), longest) for count in counts]),
        )


def _pad_rows(values: Tensor, count: int, *, width: int | None = None) -> Tensor:
    """Append zeros until there are `count` rows."""
    missing = count - values.shape[0]
    if not missing:
        return values
    blank = paddle.zeros([missing] if width is None else [missing, width], dtype=values.dtype)
    return blank if missing == count else paddle.concat([values, blank])


@dataclass(frozen=True, kw_only=True)
class CellAssignment:
    """Which object each of the L cells learns.

    Attributes:
        objects: (B, L) int64 index of the object within its image; 0 for cells without one.
        positive: (B, L) bool, whether the cell has an object.
        quality: (B, L) float32 in [0, 1], the score that the cell's class is to reach; 0 without an object.
    """

    objects: Tensor
    positive: Tensor
    quality: Tensor


def points_inside(points: Tensor, boxes: Tensor) -> Tensor:
    """Return bool (...): whether points lie inside boxes, edges excluded, by broadcasting.

    Args:
        points: (..., 2) x, y.
        boxes: (..., 4) xyxy.
    """
    margin = paddle.minimum(points - boxes[..., :2], boxes[..., 2:] - points)
    return paddle.minimum(margin[..., 0], margin[..., 1]) > _EPSILON
