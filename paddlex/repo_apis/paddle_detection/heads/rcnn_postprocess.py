"""From the predictions of an R-CNN's last stage to detections, rows and masks of a photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from paddlex.nn.box_coding import CodingWeights, decode_boxes
from paddlex.nn.boxes import clip_boxes

__all__ = [
    "DetectionLimits",
    "ensure_row",
    "own_class",
    "pad_detections",
    "paste_box_masks",
    "photo_rows",
    "refine_boxes",
    "select_detections",
]

# Sides of boxes are at least this where they divide, pixels.
_SMALLEST_SIDE = 1e-6
# Parts of a photo that masks are pasted into one after another.
_BANDS = 8


@dataclass(frozen=True, kw_only=True)
class DetectionLimits:
    """Which boxes of a photo are its detections.

    Attributes:
        score_threshold: score that a detection exceeds.
        nms_iou: IoU above which the lower of two detections of a class is dropped.
        keep_top_k: most detections of a photo.
    """

    score_threshold: float = 0.05
    nms_iou: float = 0.5
    keep_top_k: int = 100


def refine_boxes(deltas: Tensor, boxes: Tensor, *, coding_weights: CodingWeights, sizes: Tensor) -> Tensor:
    """Return the boxes (R, K, 4) that the deltas move proposals to, clipped to the images.

    Args:
        deltas: (R, 4 * K): K is the number of classes, or 1 for all classes alike.
        boxes: (R, 4) xyxy proposals in pixels of the network input.
        coding_weights: factors on the deltas.
        sizes: (R, 2) height and width of each proposal's image, without padding.
    """
    moved = decode_boxes(deltas.reshape([0, -1, 4]), boxes.unsqueeze(1), weights=coding_weights)
    return clip_boxes(moved, sizes.unsqueeze(1))


def select_detections(boxes: Tensor, scores: Tensor, *, limits: DetectionLimits) -> Tensor:
    """Suppress duplicates within each class and keep the best of one photo.

    Args:
        boxes: (R, C, 4) xyxy, a box of each proposal for each class.
        scores: (R, C), without the background.
        limits: thresholds.

    Returns:
        Rows (n, 6) of class, score, x1, y1, x2, y2, in order of class and then of proposal; n may be 0.
    """
    count = paddle.shape(scores)[:1].astype("int32")
    # The one operator that runs both here and in Paddle Inference; its Python wrapper is not public.
    rows, _, _ = paddle._C_ops.multiclass_nms3(
        *(boxes, scores, count),
        *(limits.score_threshold, -1, limits.keep_top_k, limits.nms_iou, True, 1.0, scores.shape[1]),
    )
    return rows


def ensure_row(rows: Tensor, *, class_id: int) -> Tensor:
    """Return `rows` (n, 6), or one of class `class_id`, score 0 and box (0, 0, 1, 1) if there is none.

    No branch depends on n, so that the graph can be exported.
    """
    filler = paddle.to_tensor([[float(class_id), 0.0, 0.0, 0.0, 1.0, 1.0]])
    count = paddle.shape(rows)[0]
    return paddle.concat([rows, filler])[: paddle.maximum(count, paddle.ones_like(count))]


def pad_detections(rows: Sequence[Tensor], masks: Sequence[Tensor], *, im_shape: Tensor) -> dict[str, Tensor]:
    """Sort the detections of each photo by score and fill them up to the same number K with class -1.

    Args:
        rows: per photo (n, 6) of class, score, x1, y1, x2, y2 in pixels of the network input.
        masks: per photo (n, M, M).
        im_shape: (B, 2) height and width of the network inputs without padding.

    Returns:
        "boxes" (B, K, 4) xyxy in fractions of the photo; "scores" (B, K) descending; "class_ids" (B, K)
        int64; "masks" (B, K, M, M).
    """
    count = max(part.shape[0] for part in rows)
    sorted_rows, sorted_masks = [], []
    for part, part_masks in zip(rows, masks, strict=True):
        order = paddle.argsort(part[:, 1], descending=True, stable=True)
        missing = count - part.shape[0]
        filler = paddle.to_tensor([[-1.0, 0.0, 0.0, 0.0, 0.0, 0.0]]).expand([missing, 6])
        sorted_rows.append(paddle.concat([part.gather(order), filler]))
        sorted_masks.append(
            F.pad(part_masks.gather(order), [0, missing, 0, 0, 0, 0], pad_from_left_axis=True)
        )
    joined = paddle.stack(sorted_rows)
    sides = im_shape.flip(1).unsqueeze(1)
    return {
        "boxes": joined[:, :, 2:] / paddle.concat([sides, sides], axis=2),
        "scores": joined[:, :, 1],
        "class_ids": joined[:, :, 0].astype("int64"),
        "masks": paddle.stack(sorted_masks),
    }


def own_class(values: Tensor, class_ids: Tensor) -> Tensor:
    """Return the part (R, ...) of `values` (R, C, ...) that belongs to each row's class (R,)."""
    rows = paddle.arange(paddle.shape(class_ids)[0], dtype="int64")
    return paddle.gather_nd(values, paddle.stack([rows, class_ids.astype("int64")], axis=1))


def photo_rows(rows: Tensor, *, scale_factor: Tensor, size: Tensor) -> Tensor:
    """Move rows of detections from the network input onto the photo.

    Args:
        rows: (n, 6) of class, score, x1, y1, x2, y2 in pixels of the network input.
        scale_factor: (2,) network input over photo, y first.
        size: (2,) height and width of the photo.

    Returns:
        Rows (n, 6) with boxes clipped to the photo; a box without area gets class -1.
    """
    factors = paddle.concat([scale_factor.flip(0), scale_factor.flip(0)])
    boxes = clip_boxes(rows[:, 2:] / factors, size)
    visible = ((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])).astype("float32")
    class_ids = rows[:, 0] * visible - (1.0 - visible)
    return paddle.concat([class_ids.unsqueeze(1), rows[:, 1:2], boxes], axis=1)


def paste_box_masks(masks: Tensor, boxes: Tensor, *, size: Tensor) -> Tensor:
    """Resample masks from their boxes onto the photo: int32 (n, H, W), 1 where the probability is >= 0.5.

    Bilinear between the centres of cells, zero outside of them. Along rows and columns the weights are
    independent, so no (n, H, W, 2) grid of sampling points is needed; and probabilities exist for one band of
    the photo at a time, so that little more than the result is in memory.

    Args:
        masks: (n, M, M) probabilities, spanning each its box.
        boxes: (n, 4) xyxy in pixels of the photo.
        size: (2,) height and width of the photo.
    """
    cells = masks.shape[-1]
    height, width = size.astype("int64").unbind()
    # Bands of one height, because a traced graph does not know the photo's: the last one may overhang.
    band_height = (height + _BANDS - 1) // _BANDS
    rows = _interpolation(boxes[:, 1], boxes[:, 3], pixels=band_height * _BANDS, cells=cells)
    columns = _interpolation(boxes[:, 0], boxes[:, 2], pixels=width, cells=cells).transpose([0, 2, 1])
    bands = [
        paddle.bmm(band, columns) >= 0.5 for band in paddle.split(paddle.bmm(rows, masks), _BANDS, axis=1)
    ]
    return paddle.concat(bands, axis=1)[:, :height].astype("int32")


def _interpolation(low: Tensor, high: Tensor, *, pixels: Tensor, cells: int) -> Tensor:
    """Return the weight (n, pixels, cells) of each cell between `low` and `high` (n,) for each pixel."""
    centres = paddle.arange(0, pixels, dtype="float32") + 0.5
    extents = (high - low).clip(min=_SMALLEST_SIDE).unsqueeze(1)
    places = (centres.unsqueeze(0) - low.unsqueeze(1)) / extents * float(cells) - 0.5
    distance = paddle.abs(places.unsqueeze(2) - paddle.arange(cells, dtype="float32"))
    return F.relu(1.0 - distance)
