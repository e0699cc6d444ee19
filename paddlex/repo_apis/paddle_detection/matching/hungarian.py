"""Optimal one-to-one assignment of queries to objects (DETR, arXiv:2005.12872), with mask costs."""

from dataclasses import dataclass

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor
from scipy.optimize import linear_sum_assignment

from paddlex.nn.boxes import cxcywh_to_xyxy, pairwise_generalized_box_iou
from paddlex.nn.draws import UniformDraws
from paddlex.repo_apis.paddle_detection.losses.predictions import BatchObjects, QueryPredictions
from paddlex.repo_apis.paddle_detection.matching.mask_costs import mask_costs
from paddlex.repo_apis.paddle_detection.matching.pairs import MatchedPairs
from paddlex.utils.errors import TrainingDivergedError

__all__ = ["HungarianMatcher", "MatchingWeights"]

_LOG_EPSILON = 1e-8


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
            bce, dice = mask_costs(
                pred.mask_embeds[:, image], pred.prototypes[image], objects.masks[rows], points=points[image]
            )
            cost += self.weights.mask * bce + self.weights.dice * dice
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
