"""Optimal one-to-one assignment of queries to objects (DETR, arXiv:2005.12872), with mask costs.

The mask costs compare prediction and target on random points (Mask2Former, arXiv:2112.01527). Sampling is
linear, so the prototypes are sampled once per image and one product with the embeddings gives the sampled
masks of all queries; the sum of logit times target over the points needs no sampled mask at all.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import Tensor
from paddle.utils.dlpack import from_dlpack
from scipy.optimize import linear_sum_assignment

from paddlex.nn.boxes import cxcywh_to_xyxy, pairwise_generalized_box_iou
from paddlex.nn.draws import UniformDraws
from paddlex.nn.host_threads import share_among_threads
from paddlex.nn.point_sampling import BinaryMaskSampler, bilinear_matrix, sample_binary_masks, sample_maps
from paddlex.repo_apis.paddle_detection.losses.predictions import BatchObjects, QueryPredictions
from paddlex.repo_apis.paddle_detection.matching.pairs import MatchedPairs
from paddlex.utils.errors import TrainingDivergedError

__all__ = ["HungarianMatcher", "MatchingWeights"]

Array = NDArray[np.float32]

_LOG_EPSILON = 1e-8
_ROWS_IN_CACHE = 4


@dataclass(frozen=True, kw_only=True)
class MatchingWeights:
    """Factors of the parts of the matching cost."""

    classes: float = 4.0
    boxes: float = 5.0
    giou: float = 2.0
    mask: float = 5.0
    dice: float = 5.0


class HungarianMatcher:
    """Assigns the objects of each image to its queries at the smallest total cost, layer by layer.

    All layers of one step share the drawn points: the costs of each layer are as good an estimate as with
    points of its own, and the sampling is paid once.

    Args:
        weights: factors of the parts of the cost.
        num_points: points on which masks are compared.
    """

    def __init__(self, *, weights: MatchingWeights | None = None, num_points: int = 12544) -> None:
        self.weights = weights or MatchingWeights()
        self.num_points = num_points

    def __call__(self, pred: QueryPredictions, objects: BatchObjects, draws: UniformDraws) -> MatchedPairs:
        """Return the pairs of every layer, each image's in ascending order of the query.

        Raises:
            TrainingDivergedError: if a cost is not finite.
        """
        num_layers = pred.logits.shape[0]
        costs = self.costs(pred.detach(), objects, draws)
        images: list[np.ndarray] = []
        queries: list[list[np.ndarray]] = [[] for _ in range(num_layers)]
        indices: list[list[np.ndarray]] = [[] for _ in range(num_layers)]
        for image, cost in enumerate(costs):
            if not np.isfinite(cost).all():
                raise TrainingDivergedError(
                    "the matching cost is not finite: the predictions are NaN or infinite; lower the "
                    "learning rate or train without mixed precision"
                )
            for layer in range(num_layers):
                query, target = linear_sum_assignment(cost[layer])
                queries[layer].append(query)
                indices[layer].append(target + objects.offsets[image])
            images.append(np.full(min(cost.shape[1:]), image))
        return MatchedPairs(
            images=np.concatenate(images).astype(np.int64),
            queries=np.stack([np.concatenate(part) for part in queries]).astype(np.int64),
            objects=np.stack([np.concatenate(part) for part in indices]).astype(np.int64),
        )

    def costs(self, pred: QueryPredictions, objects: BatchObjects, draws: UniformDraws) -> list[np.ndarray]:
        """Return the cost matrices of each image, (L, Q, n) float32 on the host after a single copy."""
        num_layers, batch, num_queries = pred.logits.shape[:3]
        points = draws.uniform([batch, 1, self.num_points, 2]).squeeze(1)
        parts = []
        for image, (count, first) in enumerate(zip(objects.counts, objects.offsets, strict=False)):
            if not count:
                continue
            rows = slice(int(first), int(first) + count)
            cost = self._class_and_box_cost(pred, objects, image=image, rows=rows)
            sample = _sample_image_cpu if points.place.is_cpu_place() else _sample_image
            sampled_prototypes, sampled_targets = sample(
                pred.prototypes[image], objects.masks[rows], points[image]
            )
            cost += self._mask_cost(pred.mask_embeds[:, image], sampled_prototypes, sampled_targets)
            parts.append(cost.reshape([-1]))
        host = paddle.concat(parts).numpy() if parts else np.zeros(0, np.float32)
        ends = np.cumsum(objects.counts) * num_layers * num_queries
        return [
            flat.reshape(num_layers, num_queries, count)
            for flat, count in zip(np.split(host, ends[:-1]), objects.counts, strict=True)
        ]

    def _class_and_box_cost(
        self, pred: QueryPredictions, objects: BatchObjects, *, image: int, rows: slice
    ) -> Tensor:
        """Return the (L, Q, n) focal, L1 and GIoU costs."""
        weights = self.weights
        class_ids = paddle.to_tensor(objects.class_ids[rows])
        p = F.sigmoid(paddle.index_select(pred.logits[:, image], class_ids, axis=-1))
        positive = 0.25 * (1 - p).square() * -paddle.log(p + _LOG_EPSILON)
        negative = 0.75 * p.square() * -paddle.log(1 - p + _LOG_EPSILON)
        pred_boxes, gt_boxes = pred.boxes[:, image], objects.boxes[rows]
        distance = (pred_boxes.unsqueeze(2) - gt_boxes).abs().sum(-1)
        giou = pairwise_generalized_box_iou(cxcywh_to_xyxy(pred_boxes), cxcywh_to_xyxy(gt_boxes))
        return weights.classes * (positive - negative) + weights.boxes * distance - weights.giou * giou

    def _mask_cost(self, embeds: Tensor, prototypes: Tensor, targets: Tensor) -> Tensor:
        """Return the (L, Q, n) binary cross-entropy and dice costs.

        Args:
            embeds: (L, Q, P).
            prototypes: (P, K) sampled prototypes.
            targets: (n, K) sampled targets.
        """
        # BCE(z, t) = softplus(z) - z t, and the sum of z t over the points is bilinear in embeds and targets.
        overlap = embeds @ (prototypes @ targets.T)
        statistics = _mask_statistics_cpu if embeds.place.is_cpu_place() else _mask_statistics
        softplus_sum, area, intersection = statistics(embeds, prototypes, targets)
        bce = (softplus_sum - overlap) / self.num_points
        dice = 1 - (2 * intersection + 1) / (area + targets.sum(-1) + 1)
        return self.weights.mask * bce + self.weights.dice * dice


def _sample_image(prototypes: Tensor, masks: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return one image's prototypes (P, K) and masks (n, K), both sampled at `points` (K, 2)."""
    count = masks.shape[0]
    shared = points.unsqueeze(0).expand([count, -1, -1])
    targets = sample_binary_masks(masks, index=paddle.arange(count), points=shared)
    return sample_maps(prototypes.unsqueeze(0), points.unsqueeze(0))[0], targets


def _sample_image_cpu(prototypes: Tensor, masks: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Compute what `_sample_image` does, as a sparse product."""
    host_points = points.numpy()
    height, width = prototypes.shape[1:]
    sampled = bilinear_matrix(host_points, size=(height, width)) @ prototypes.flatten(1).T.numpy()
    targets = BinaryMaskSampler(masks.numpy()).sample(np.arange(masks.shape[0]), host_points)
    return paddle.to_tensor(sampled).T, paddle.to_tensor(targets)


def _mask_statistics(embeds: Tensor, prototypes: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return sums over the points of softplus and sigmoid, (L, Q, 1) each, sigmoid times target (L, Q, n)."""
    parts = []
    for layer in embeds:  # one layer's sampled masks at a time bound the memory
        logits = layer @ prototypes
        probability = F.sigmoid(logits)
        sums = F.softplus(logits).sum(-1, keepdim=True), probability.sum(-1, keepdim=True)
        parts.append((*sums, probability @ targets.T))
    softplus_sum, area, intersection = (paddle.stack(part) for part in zip(*parts, strict=True))
    return softplus_sum, area, intersection


def _mask_statistics_cpu(
    embeds: Tensor, prototypes: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute what `_mask_statistics` does, a few queries at a time so that their masks stay in the cache."""
    num_points = prototypes.shape[1]
    labels = paddle.concat([targets, paddle.ones([1, num_points])]).T
    probability = np.empty((embeds.shape[1], num_points), np.float32)
    softplus_sums = np.empty((*embeds.shape[:2], 1), np.float32)
    products = []
    for layer, layer_embeds in enumerate(embeds):
        logits, sums = np.from_dlpack(layer_embeds @ prototypes), softplus_sums[layer]

        def reduce(blocks: range, logits: NDArray[Any] = logits, sums: Array = sums) -> None:
            for block in blocks:
                rows = slice(block * _ROWS_IN_CACHE, (block + 1) * _ROWS_IN_CACHE)
                clipped = np.maximum(logits[rows], -80)  # keeps exp finite; both functions are flat there
                odds = np.exp(-clipped)
                odds += 1
                # softplus(z) = z + log(1 + exp(-z))
                sums[rows, 0] = np.log(odds).sum(1) + clipped.sum(1)
                np.reciprocal(odds, out=probability[rows])

        share_among_threads(reduce, math.ceil(len(logits) / _ROWS_IN_CACHE))
        products.append(from_dlpack(probability) @ labels)
    intersection = paddle.stack(products)
    return paddle.to_tensor(softplus_sums), intersection[..., -1:], intersection[..., :-1]
