"""From the predictions of cells to detections: suppression first, masks for the survivors alone."""

from dataclasses import dataclass

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor

from paddlex.nn.boxes import cells_in_boxes
from paddlex.nn.multiclass_nms import Kept
from paddlex.nn.resize import resize_bilinear

__all__ = ["RankedCells", "official_detections", "rank_cells"]


@dataclass(frozen=True)
class RankedCells:
    """The K detections of each image, best first; images with fewer end in rows of class -1.

    Attributes:
        boxes: (B, K, 4) xyxy.
        scores: (B, K); 0 where padded.
        class_ids: (B, K) int64.
        cells: (B, K) int64 index of the cell; 0 where padded.
    """

    boxes: Tensor
    scores: Tensor
    class_ids: Tensor
    cells: Tensor


def rank_cells(kept: Kept, *, num_cells: int) -> RankedCells:
    """Sort what suppression left of B images of `num_cells` cells; K is the largest count, at least 1."""
    rows, index, counts = kept.rows.numpy(), kept.index.numpy(), kept.counts.numpy()
    shape = len(counts), max(int(counts.max()), 1)
    boxes, scores = np.zeros((*shape, 4), np.float32), np.zeros(shape, np.float32)
    class_ids, cells = np.full(shape, -1, np.int64), np.zeros(shape, np.int64)
    for image, (count, end) in enumerate(zip(counts, counts.cumsum(), strict=True)):
        order = end - count + np.argsort(-rows[end - count : end, 1], kind="stable")
        class_ids[image, :count], scores[image, :count] = rows[order, 0], rows[order, 1]
        boxes[image, :count], cells[image, :count] = rows[order, 2:], index[order] % num_cells
    return RankedCells(*(paddle.to_tensor(values) for values in (boxes, scores, class_ids, cells)))


def official_detections(
    kept: Kept,
    *,
    coefficients: Tensor,
    prototypes: Tensor,
    input_size: tuple[int, int],
    scale_factor: Tensor,
    photo_size: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the detections of one photo as official inference models give them.

    A photo without detections gets one row of zeros and an empty mask.

    Args:
        kept: rows with boxes in pixels of the network input.
        coefficients: (1, L, P).
        prototypes: (1, P, h, w).
        input_size: (height, width) of the network input.
        scale_factor: (1, 2) network input over photo, y first.
        photo_size: (2,) height and width.

    Returns:
        Rows (K, 6) of class, score, x1, y1, x2, y2 in pixels of the photo; their number (1,) int32; masks
        (K, height, width) float32 of 0 and 1.
    """
    count = kept.counts.clip(min=1)
    # One row of zeros more, the last, is left out again unless it is the only one: no branch in the graph.
    rows = paddle.concat([kept.rows, paddle.zeros([1, 6])])
    index = paddle.concat([kept.index, paddle.zeros([1], dtype="int32")])
    shown = paddle.arange(count[0])
    rows, index = paddle.gather(rows, shown), paddle.gather(index, shown)
    y_scale, x_scale = scale_factor[:, 0:1], scale_factor[:, 1:2]
    scale = paddle.concat([x_scale, y_scale, x_scale, y_scale], axis=1)
    masks = _mask_probabilities(paddle.gather(coefficients[0], index), prototypes)
    masks = resize_bilinear(masks, input_size)
    inside = cells_in_boxes(rows[:, 2:], size=input_size).unsqueeze(0)
    pixels = photo_size.astype("int32")
    masks = resize_bilinear(masks * inside.astype(masks.dtype), [pixels[0], pixels[1]])[0]
    rows = paddle.concat([rows[:, :2], rows[:, 2:] / scale], axis=1)
    return rows, count, (masks > 0.5).astype("float32")


def _mask_probabilities(coefficients: Tensor, prototypes: Tensor) -> Tensor:
    """Return (1, N, h, w) of coefficients (N, P) and prototypes (1, P, h, w)."""
    height, width = prototypes.shape[2:]
    logits = paddle.matmul(coefficients, prototypes[0].flatten(1))
    return F.sigmoid(logits).reshape([1, -1, height, width])
