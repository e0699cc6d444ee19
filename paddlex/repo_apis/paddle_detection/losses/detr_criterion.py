"""Training losses of Mask-RT-DETR: classification, boxes and masks of all layers (arXiv:2304.08069)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import paddle
from paddle import Tensor

from paddlex.nn.boxes import box_iou, cxcywh_to_xyxy
from paddlex.nn.draws import UniformDraws
from paddlex.repo_apis.paddle_detection.losses.box import box_losses
from paddlex.repo_apis.paddle_detection.losses.focal import sigmoid_focal_loss
from paddlex.repo_apis.paddle_detection.losses.mask_iou import paired_mask_iou, resize_masks
from paddlex.repo_apis.paddle_detection.losses.point_mask import PointMaskLoss
from paddlex.repo_apis.paddle_detection.losses.predictions import (
    BatchObjects,
    DenoisingMeta,
    QueryPredictions,
    Targets,
)
from paddlex.repo_apis.paddle_detection.losses.varifocal import varifocal_loss
from paddlex.repo_apis.paddle_detection.matching.hungarian import HungarianMatcher
from paddlex.repo_apis.paddle_detection.matching.pairs import MatchedPairs, pair_denoising_queries
from paddlex.utils.errors import ShapeError

__all__ = ["TERMS", "DetrCriterion", "LossWeights"]

TERMS = ("class", "bbox", "giou", "mask", "dice")


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Factors of the loss terms."""

    classes: float = 4.0
    bbox: float = 5.0
    giou: float = 2.0
    mask: float = 5.0
    dice: float = 5.0


class DetrCriterion:
    """Turns the predictions of a query network into its losses.

    The last layer gives the main terms, the others are summed into the `_aux` terms; denoising queries give
    the same terms with `_dn`. Every term is divided by the number of objects of the batch, averaged over the
    training processes.

    Args:
        num_classes: number of classes C.
        matcher: assigns objects to the queries.
        point_loss: mask losses of matched pairs.
        weights: factors of the terms.
        draws: source of all random numbers; replaceable.
        average: maps the number of objects of this process to the mean over all training processes; None for
            a single process.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        matcher: HungarianMatcher | None = None,
        point_loss: PointMaskLoss | None = None,
        weights: LossWeights | None = None,
        draws: UniformDraws | None = None,
        average: Callable[[float], float] | None = None,
    ) -> None:
        self.num_classes = num_classes
        self.matcher = matcher or HungarianMatcher()
        self.point_loss = point_loss or PointMaskLoss()
        self.weights = weights or LossWeights()
        self.draws = draws or UniformDraws()
        self.average = average

    def __call__(
        self,
        pred: QueryPredictions,
        targets: Targets,
        denoising_pred: QueryPredictions | None = None,
        denoising_meta: DenoisingMeta | None = None,
    ) -> dict[str, Tensor]:
        """Return the 20 terms `loss_{class,bbox,giou,mask,dice}{,_aux,_dn,_aux_dn}` and their sum `loss`.

        Args:
            pred: ordinary queries; encoder prediction first, main prediction last.
            targets: ground truth of the batch.
            denoising_pred: denoising queries, or None; its terms are then zero.
            denoising_meta: layout of the denoising queries.

        Returns:
            Scalars. `loss` depends on all predictions, be it with gradient zero, so that data-parallel
            training finds a gradient for each parameter.

        Raises:
            ShapeError: if predictions and targets do not fit together.
            DatasetError: if a class id is outside [0, C).
            TrainingDivergedError: if a prediction is not finite.
        """
        self._check(pred, targets)
        with paddle.amp.auto_cast(enable=False):  # sums over thousands of points need float32
            return self._losses(
                pred.float(), targets, denoising_pred.float() if denoising_pred else None, denoising_meta
            )

    def _losses(
        self,
        pred: QueryPredictions,
        targets: Targets,
        denoising_pred: QueryPredictions | None,
        denoising_meta: DenoisingMeta | None,
    ) -> dict[str, Tensor]:
        objects = BatchObjects.from_targets(targets, num_classes=self.num_classes)
        count = self.average(float(objects.total)) if self.average else float(objects.total)
        normalizer = max(1.0, count)
        pairs = self.matcher(pred, objects, self.draws)
        losses, total = self._terms(pred, objects, pairs, normalizer=normalizer, suffix="")
        if denoising_pred is None or denoising_meta is None:
            losses |= {f"loss_{term}{aux}_dn": paddle.zeros([]) for aux in ("", "_aux") for term in TERMS}
        else:
            pairs = pair_denoising_queries(denoising_meta, objects, num_layers=denoising_pred.logits.shape[0])
            normalizer *= denoising_meta.num_groups
            of_denoising, part = self._terms(
                denoising_pred, objects, pairs, normalizer=normalizer, suffix="_dn"
            )
            losses |= of_denoising
            total = total + part
        return {**losses, "loss": total}

    def _check(self, pred: QueryPredictions, targets: Targets) -> None:
        batch, num_classes = pred.logits.shape[1], pred.logits.shape[-1]
        if num_classes != self.num_classes:
            raise ShapeError(f"logits of {num_classes} classes, expected {self.num_classes}")
        if len(targets.class_ids) != batch:
            raise ShapeError(f"targets of {len(targets.class_ids)} images for predictions of {batch}")

    def _terms(
        self,
        pred: QueryPredictions,
        objects: BatchObjects,
        pairs: MatchedPairs,
        *,
        normalizer: float,
        suffix: str,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return main and auxiliary terms of one kind of query, and their sum."""
        sums, masks = self._pair_losses(pred, objects, pairs) if len(pairs) else _no_pair_losses(pred)
        weights = self.weights
        factors = (weights.classes, weights.bbox, weights.giou, weights.mask, weights.dice)
        losses: dict[str, Tensor] = {}
        for term, factor, per_layer in zip(TERMS, factors, sums, strict=True):
            scaled = per_layer * (factor / normalizer)
            losses[f"loss_{term}{suffix}"] = scaled[-1]
            losses[f"loss_{term}_aux{suffix}"] = scaled[:-1].sum()
        # The two terms of the masks carry no gradient of their own, only their weighted sum does.
        classes, bbox, giou = (factor * term for factor, term in zip(factors, sums[:3], strict=False))
        return losses, (classes + bbox + giou + masks).sum() / normalizer

    def _pair_losses(
        self, pred: QueryPredictions, objects: BatchObjects, pairs: MatchedPairs
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return the sums over pairs of each term, in the order of `TERMS`, and of both mask terms weighted.

        All are (L,).
        """
        indices = paddle.to_tensor(pairs.objects)
        pred_boxes = _gather_pairs(pred.boxes, pairs)
        gt_boxes = paddle.gather(objects.boxes, indices.flatten()).reshape(pred_boxes.shape)
        distance, giou_loss = box_losses(pred_boxes, gt_boxes)
        pair_logits = _pair_mask_logits(pred, pairs)
        weights = (self.weights.mask, self.weights.dice)
        masks, bce, dice = self.point_loss(pair_logits, objects.masks, indices.T, self.draws, weights=weights)
        scores = box_iou(cxcywh_to_xyxy(pred_boxes.detach()), cxcywh_to_xyxy(gt_boxes))
        height, width = pair_logits.shape[-2:]
        gt_masks = resize_masks(objects.masks, size=(2 * height, 2 * width))
        main = paired_mask_iou(pair_logits[:, -1].detach(), gt_masks, index=indices[-1])
        scores = paddle.concat([scores[:-1], main.unsqueeze(0)])
        class_loss = _class_loss(pred.logits, objects, pairs, scores)
        sums = class_loss, distance.sum(1), giou_loss.sum(1), bce.sum(0), dice.sum(0)
        return sums, masks.sum(0)


def _no_pair_losses(pred: QueryPredictions) -> tuple[tuple[Tensor, ...], Tensor]:
    """Return the sums of a batch without objects: focal loss of the negatives, and zeros.

    The zeros stay connected to the predictions they would have come from.
    """
    class_loss = sigmoid_focal_loss(pred.logits, paddle.zeros_like(pred.logits)).sum([1, 2, 3])
    box_zero = 0.0 * pred.boxes.sum([1, 2, 3])
    mask_zero = 0.0 * (pred.mask_embeds.sum([1, 2, 3]) + pred.prototypes.sum())
    return (class_loss, box_zero, box_zero, mask_zero.detach(), mask_zero.detach()), mask_zero


def _flat_queries(pairs: MatchedPairs, *, batch: int, num_queries: int) -> np.ndarray:
    """Return the (L, M) index of each pair's query in the flattened (L, B, Q) axes."""
    layers = np.arange(len(pairs.queries))[:, None]
    return (layers * batch + pairs.images) * num_queries + pairs.queries


def _gather_pairs(values: Tensor, pairs: MatchedPairs) -> Tensor:
    """Return (L, M, D), the rows of (L, B, Q, D) that belong to the pairs."""
    num_layers, batch, num_queries, width = values.shape
    index = paddle.to_tensor(_flat_queries(pairs, batch=batch, num_queries=num_queries).reshape(-1))
    return paddle.gather(values.reshape([-1, width]), index).reshape([num_layers, len(pairs), width])


def _pair_mask_logits(pred: QueryPredictions, pairs: MatchedPairs) -> Tensor:
    """Return the (M, L, h, w) mask logits of the pairs, one matrix product per image."""
    embeds = _gather_pairs(pred.mask_embeds, pairs).transpose([1, 0, 2])
    _, width, map_height, map_width = pred.prototypes.shape
    images, first = np.unique(pairs.images, return_index=True)
    maps = [
        embeds[int(start) : int(end)].reshape([-1, width]) @ pred.prototypes[int(image)].flatten(1)
        for image, start, end in zip(images, first, [*first[1:], len(pairs)], strict=True)
    ]
    return paddle.concat(maps).reshape([len(pairs), -1, map_height, map_width])


def _class_loss(logits: Tensor, objects: BatchObjects, pairs: MatchedPairs, scores: Tensor) -> Tensor:
    """Return the varifocal loss of each layer, (L,), given the (L, M) IoU of the pairs."""
    _, batch, num_queries, num_classes = logits.shape
    queries = _flat_queries(pairs, batch=batch, num_queries=num_queries)
    index = paddle.to_tensor((queries * num_classes + objects.class_ids[pairs.objects]).reshape(-1))
    blank = paddle.zeros([logits.size], dtype=logits.dtype)
    target = paddle.scatter(blank, index, scores.flatten().astype(logits.dtype)).reshape(logits.shape)
    labels = paddle.scatter(blank, index, paddle.ones_like(index, dtype=logits.dtype)).reshape(logits.shape)
    return varifocal_loss(logits, target, labels).sum([1, 2, 3])
