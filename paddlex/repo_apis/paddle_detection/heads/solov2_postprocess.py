"""From the cells of SOLOv2 (arXiv:2003.10152) to its instances, by Matrix NMS on the masks."""

from dataclasses import dataclass

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from paddlex.nn.coordinates import spatial_size
from paddlex.nn.reductions import max_along
from paddlex.nn.resize import resize_bilinear

__all__ = ["Segments", "SelectionLimits", "matrix_nms", "paste_probabilities", "select_segments"]

_MASK_THRESHOLD = 0.5
# Above any score, so that the filler passes every selection by score.
_FILLER_RANK = 2.0


@dataclass(frozen=True, kw_only=True)
class SelectionLimits:
    """What is taken and what is kept.

    Attributes:
        score_threshold: category scores above it are candidates.
        max_candidates: at most so many, those with the best scores, are drawn. A safeguard: every candidate
            takes 8 bytes per 16 pixels of the network input, and an untrained network has thousands.
        pre_nms: rows that take part in Matrix NMS.
        sigma: strength of its decay.
        keep_threshold: decayed scores from it on are kept.
        num_detections: rows of an image, the filler included.
    """

    score_threshold: float = 0.1
    max_candidates: int = 2000
    pre_nms: int = 500
    sigma: float = 2.0
    keep_threshold: float = 0.05
    num_detections: int = 100


@dataclass(frozen=True)
class Segments:
    """Instances of one image, best first.

    The last row is no instance: it is there so that no list is empty, with class 0 and score 0. Where all
    `num_detections` rows are instances, the published evaluation still ignores the last one.

    Attributes:
        scores: (K,).
        class_ids: (K,) int64.
        masks: (K, h, w) probabilities.
    """

    scores: Tensor
    class_ids: Tensor
    masks: Tensor


def select_segments(
    scores: Tensor, kernels: Tensor, features: Tensor, *, strides: Tensor, limits: SelectionLimits
) -> Segments:
    """Draw the masks of the cells that found something, score them by their clarity and drop duplicates.

    Args:
        scores: (S, C) category scores of the cells, local maxima only.
        kernels: (S, D) mask kernels.
        features: (D, h, w) feature map that they are multiplied with.
        strides: (S,) float32: a mask must have more pixels than this.
        limits: what is taken and kept.
    """
    cells, scores, class_ids = _take_candidates(scores, limits=limits)
    kernels = paddle.concat([kernels, paddle.ones([1, kernels.shape[1]], kernels.dtype)])
    masks = F.sigmoid(paddle.matmul(paddle.gather(kernels, cells), features.flatten(1)).astype("float32"))
    hard = (masks > _MASK_THRESHOLD).astype(masks.dtype)
    areas = hard.sum(axis=1)
    # Below every area: the filler is kept even where it draws nothing.
    strides = paddle.gather(paddle.concat([strides, paddle.full([1], -1.0)]), cells)
    scores = scores * (masks * hard).sum(axis=1) / areas.clip(min=1.0)
    rows = _rank(scores, allowed=areas > strides)
    rows = paddle.concat([rows[:-1][: limits.pre_nms], rows[-1:]])
    scores, class_ids = paddle.gather(scores, rows), paddle.gather(class_ids, rows)
    scores = scores * matrix_nms(paddle.gather(hard, rows), class_ids, sigma=limits.sigma)
    kept = _rank(scores, allowed=paddle.logical_or(scores >= limits.keep_threshold, scores <= 0.0))
    kept = kept[: limits.num_detections]
    height, width = spatial_size(features)
    return Segments(
        paddle.gather(scores, kept),
        paddle.gather(class_ids, kept),
        paddle.gather(masks, paddle.gather(rows, kept)).reshape([-1, height, width]),
    )


def _take_candidates(scores: Tensor, *, limits: SelectionLimits) -> tuple[Tensor, Tensor, Tensor]:
    """Return cell, score and class of the candidates in the order of the cells, the filler as cell S last."""
    num_classes = scores.shape[1]
    flat = scores.flatten()
    rank = paddle.concat([flat, paddle.full([1], _FILLER_RANK, flat.dtype)])
    index = paddle.nonzero(rank > limits.score_threshold).flatten()
    best = paddle.argsort(paddle.gather(rank, index), descending=True, stable=True)
    # One more than the limit, for the filler.
    index = paddle.sort(paddle.gather(index, best[: limits.max_candidates + 1]))
    cells = paddle.floor_divide(index, paddle.full_like(index, num_classes))
    values = paddle.concat([flat, paddle.zeros([1], flat.dtype)])
    return cells, paddle.gather(values, index), index - cells * num_classes


def _rank(scores: Tensor, *, allowed: Tensor) -> Tensor:
    """Return the rows of scores (N,) that are allowed (N,), best first."""
    rows = paddle.nonzero(allowed).flatten()
    return paddle.gather(rows, paddle.argsort(paddle.gather(scores, rows), descending=True, stable=True))


def matrix_nms(masks: Tensor, class_ids: Tensor, *, sigma: float) -> Tensor:
    """Return the factor (N,) by which each mask's score decays because better masks cover the same pixels.

    With o_ij the IoU of masks i and j of one class, i the better, and o_i the largest IoU of mask i with a
    better one, the factor of j is the smallest exp(-sigma o_ij^2) / exp(-sigma o_i^2); see equation 4 of the
    paper for the Gaussian decay.

    Args:
        masks: (N, P) of 0 and 1, float32, the best score first.
        class_ids: (N,).
        sigma: strength.
    """
    areas = masks.sum(axis=1, keepdim=True)
    intersections = paddle.matmul(masks, masks, transpose_y=True)
    unions = areas + areas.t() - intersections
    same_class = class_ids.unsqueeze(1) == class_ids.unsqueeze(0)
    ious = paddle.triu(intersections / unions.clip(min=1.0) * same_class.astype(masks.dtype), diagonal=1)
    compensations = max_along(ious, axis=0).unsqueeze(1)
    return paddle.exp(-sigma * max_along(ious**2 - compensations**2, axis=0))


def paste_probabilities(masks: Tensor, *, im_shape: Tensor, size: Tensor) -> Tensor:
    """Return uint8 masks (K, H, W) of one photo.

    Args:
        masks: (K, h, w) probabilities over the padded network input, at a quarter of its size.
        im_shape: (2,) height and width of the network input without padding.
        size: (2,) height and width of the photo.
    """
    height, width = spatial_size(masks)
    content, photo = im_shape.astype("int32"), size.astype("int32")
    enlarged = resize_bilinear(masks.unsqueeze(0), [height * 4, width * 4])
    enlarged = enlarged[:, :, : content[0], : content[1]]
    pasted = resize_bilinear(enlarged, [photo[0], photo[1]])[0]
    return (pasted > _MASK_THRESHOLD).astype("uint8")
