"""From the predictions of queries to detections: the best (query, class) pairs of each image."""

from dataclasses import dataclass

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from paddlex.nn.boxes import cxcywh_to_xyxy
from paddlex.nn.resize import resize_bilinear

__all__ = ["TopPairs", "gather_queries", "official_rows", "original_sizes", "paste_masks", "select_top_pairs"]


@dataclass(frozen=True)
class TopPairs:
    """The K best (query, class) pairs of each image, best first; a query may occur with several classes.

    Attributes:
        scores: (B, K) in [0, 1].
        class_ids: (B, K) int64.
        queries: (B, K) int64, index of the query.
    """

    scores: Tensor
    class_ids: Tensor
    queries: Tensor


def select_top_pairs(logits: Tensor, *, count: int) -> TopPairs:
    """Return the pairs with the highest score of logits (B, Q, C), at most `count`."""
    num_queries, num_classes = logits.shape[1:]
    # Ranking logits instead of probabilities gives the same order without the saturation of large ones.
    best, index = paddle.topk(logits.flatten(1), min(count, num_queries * num_classes), axis=1)
    queries = paddle.floor_divide(index, paddle.full_like(index, num_classes))
    return TopPairs(F.sigmoid(best), index - queries * num_classes, queries)


def gather_queries(values: Tensor, queries: Tensor) -> Tensor:
    """Return rows (B, K, D) of `values` (B, Q, D) at index `queries` (B, K)."""
    index = queries.unsqueeze(-1).expand([-1, -1, values.shape[2]])
    return paddle.take_along_axis(values, index, axis=1, broadcast=False)


def original_sizes(im_shape: Tensor, scale_factor: Tensor) -> Tensor:
    """Return the (B, 2) float32 height and width of the photos, in whole pixels.

    Args:
        im_shape: (B, 2) height and width of the network input.
        scale_factor: (B, 2) network input over photo, y first.
    """
    return paddle.floor(im_shape / scale_factor + 0.5)


def official_rows(pairs: TopPairs, boxes: Tensor, *, sizes: Tensor) -> Tensor:
    """Return rows (B * K, 6) of class, score, x1, y1, x2, y2 in pixels of the photo; corners are not clipped.

    Args:
        pairs: the K detections of each image.
        boxes: (B, K, 4) cxcywh in fractions of the image.
        sizes: (B, 2) height and width of the photos.
    """
    height, width = sizes[:, 0:1], sizes[:, 1:2]
    scale = paddle.concat([width, height, width, height], axis=1).unsqueeze(1)
    columns = [pairs.class_ids.astype("float32").unsqueeze(-1), pairs.scores.unsqueeze(-1)]
    return paddle.concat([*columns, cxcywh_to_xyxy(boxes) * scale], axis=-1).flatten(0, 1)


def paste_masks(logits: Tensor, *, size: Tensor) -> Tensor:
    """Return int32 masks (K, H, W) of one photo.

    Args:
        logits: (1, K, h, w) mask logits over the whole image.
        size: (2,) height and width of the photo.
    """
    pixels = size.astype("int32")
    return (resize_bilinear(logits, [pixels[0], pixels[1]])[0] > 0).astype("int32")
