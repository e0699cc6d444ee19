"""Mask loss of prototype networks (YOLACT, arXiv:1904.02689): cross entropy inside the object's box."""

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from paddlex.nn.boxes import cells_in_boxes

__all__ = ["cropped_mask_loss"]


def cropped_mask_loss(
    coefficients: Tensor,
    prototypes: Tensor,
    *,
    counts: Sequence[int],
    objects: Tensor,
    gt_masks: Tensor,
    gt_boxes: Tensor,
) -> Tensor:
    """Return the sum over cells' masks of the mean cross entropy inside the box, divided by the box's share.

    The mean is over the whole grid, with zeros outside the box; so a box counts the same whatever its size.

    Args:
        coefficients: (P, K) of the prototypes, image by image.
        prototypes: (B, K, h, w).
        counts: number of rows of each of the B images; they add up to P > 0.
        objects: (P,) int64, the object of each row.
        gt_masks: (G, h, w) uint8 of 0 and 1.
        gt_boxes: (G, 4) xyxy in cells of the grid.

    Returns:
        Scalar.
    """
    height, width = prototypes.shape[2:]
    num_cells = height * width
    inside = cells_in_boxes(gt_boxes, size=(height, width)).flatten(1)
    gt_masks = gt_masks.flatten()
    # The mean over h * w cells, divided by the box's share of them, is the sum divided by the box's area.
    weights = 1.0 / ((gt_boxes[:, 2] - gt_boxes[:, 0]) * (gt_boxes[:, 3] - gt_boxes[:, 1]))
    images = [image for image, count in enumerate(counts) if count]
    sections = [counts[image] for image in images]
    maps = prototypes.unbind(0)
    terms = []
    for image, rows, of_rows in zip(
        images, coefficients.split(sections), objects.split(sections), strict=True
    ):
        logits = paddle.matmul(rows, maps[image].flatten(1)).flatten()
        # The gradient needs the cells inside alone, mostly less than a tenth of the map.
        cells = paddle.nonzero(paddle.gather(inside, of_rows).flatten()).flatten()
        object_of_cell = paddle.gather(of_rows, cells // num_cells)
        targets = paddle.gather(gt_masks, object_of_cell * num_cells + cells % num_cells)
        loss = F.binary_cross_entropy_with_logits(
            paddle.gather(logits, cells), targets.astype(logits.dtype), reduction="none"
        )
        terms.append((loss * paddle.gather(weights, object_of_cell)).sum())
    return paddle.add_n(terms)
