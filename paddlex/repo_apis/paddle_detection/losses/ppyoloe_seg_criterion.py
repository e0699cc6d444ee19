"""Training losses of PP-YOLOE_seg: class, box, distribution of the box's sides, mask (arXiv:2203.16250)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from paddlex.nn.boxes import generalized_box_iou
from paddlex.repo_apis.paddle_detection.heads.ppyoloe_seg import PROTOTYPE_STRIDE, CellPredictions
from paddlex.repo_apis.paddle_detection.losses.cropped_mask import cropped_mask_loss
from paddlex.repo_apis.paddle_detection.losses.distribution_focal import distribution_focal_loss
from paddlex.repo_apis.paddle_detection.losses.ground_truth import require_class_ids
from paddlex.repo_apis.paddle_detection.losses.varifocal import varifocal_loss
from paddlex.repo_apis.paddle_detection.matching.atss import ATSSAssigner
from paddlex.repo_apis.paddle_detection.matching.cells import CellAssignment, PaddedObjects
from paddlex.repo_apis.paddle_detection.matching.task_aligned import TaskAlignedAssigner
from paddlex.utils.errors import ShapeError, TrainingDivergedError

__all__ = ["PPYOLOESegCriterion", "PPYOLOESegLossWeights", "PPYOLOESegTargets"]


@dataclass(frozen=True, kw_only=True)
class PPYOLOESegLossWeights:
    """Factors of the loss terms."""

    classes: float = 1.0
    iou: float = 2.5
    dfl: float = 0.5
    mask: float = 2.5


@dataclass(frozen=True, kw_only=True)
class PPYOLOESegTargets:
    """Ground truth of a batch, one entry per image; an image may have no object.

    Attributes:
        boxes: per image (n, 4) float32 xyxy in pixels of the network input.
        class_ids: per image (n,) int64.
        masks: per image (n, h, w) uint8 of 0 and 1, at the size of the prototypes.

    Raises:
        ShapeError: if an image's boxes, class ids and masks differ in number.
    """

    boxes: Sequence[Tensor]
    class_ids: Sequence[Tensor]
    masks: Sequence[Tensor]

    def __post_init__(self) -> None:
        for image, (count, boxes, masks) in enumerate(zip(self.counts, self.boxes, self.masks, strict=True)):
            if list(boxes.shape) != [count, 4] or masks.ndim != 3 or masks.shape[0] != count:
                raise ShapeError(
                    f"targets of image {image} of the batch: {count} class ids, boxes {boxes.shape}, masks "
                    f"{masks.shape}; expected boxes ({count}, 4) and masks ({count}, h, w)"
                )

    @property
    def counts(self) -> list[int]:
        """Objects of each image."""
        return [int(ids.shape[0]) for ids in self.class_ids]


class PPYOLOESegCriterion:
    """Turns the predictions of all cells into losses.

    Every term is divided by the sum of the target scores of the batch, averaged over the training processes
    and at least 1.

    Args:
        num_classes: number of classes C.
        assigner: assigns objects to cells by what the network predicts.
        static_assigner: assigns them by their places, early in a run.
        static_fraction: the part of a run, from its beginning, that the static assigner has.
        weights: factors of the terms.
        average: maps the sum of the target scores of this process to the mean over all training processes;
            None for a single process.

    Attributes:
        progress: fraction of the run that lies behind, in [0, 1]; the trainer sets it before every step.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        assigner: TaskAlignedAssigner | None = None,
        static_assigner: ATSSAssigner | None = None,
        static_fraction: float = 0.0,
        weights: PPYOLOESegLossWeights | None = None,
        average: Callable[[float], float] | None = None,
    ) -> None:
        self.num_classes = num_classes
        self.assigner = assigner or TaskAlignedAssigner()
        self.static_assigner = static_assigner or ATSSAssigner()
        self.static_fraction = static_fraction
        self.progress = 0.0
        self.weights = weights or PPYOLOESegLossWeights()
        self.average = average

    def __call__(self, pred: CellPredictions, targets: PPYOLOESegTargets) -> dict[str, Tensor]:
        """Return the terms `loss_cls`, `loss_iou`, `loss_dfl`, `loss_mask` and their sum `loss`.

        Args:
            pred: predictions of all cells.
            targets: ground truth of the batch.

        Returns:
            Scalars. `loss` depends on all predictions, be it with gradient zero, so that data-parallel
            training finds a gradient for each parameter.

        Raises:
            ShapeError: if predictions and targets do not fit together.
            DatasetError: if a class id is outside [0, C).
            TrainingDivergedError: if a class logit is not finite.
        """
        self._check(pred, targets)
        with paddle.amp.auto_cast(enable=False):  # sums over thousands of cells need float32
            return self._losses(pred.float(), targets)

    def assign(self, pred: CellPredictions, targets: PPYOLOESegTargets) -> CellAssignment | None:
        """Return the assignment of objects to cells; None without a positive cell."""
        if not sum(targets.counts):
            return None
        points = pred.points * pred.strides
        objects = PaddedObjects.pad(targets.boxes, targets.class_ids)
        if self.progress < self.static_fraction:
            assignment = self.static_assigner(
                pred.boxes, points=points, strides=pred.strides, objects=objects
            )
        else:
            assignment = self.assigner(F.sigmoid(pred.logits), pred.boxes, points=points, objects=objects)
        return assignment if bool(assignment.positive.any()) else None

    def _check(self, pred: CellPredictions, targets: PPYOLOESegTargets) -> None:
        batch, _, num_classes = pred.logits.shape
        if num_classes != self.num_classes:
            raise ShapeError(f"logits of {num_classes} classes, expected {self.num_classes}")
        if not bool(paddle.isfinite(pred.logits).all()):
            raise TrainingDivergedError(
                "a class logit is not finite, so no loss can be told; resume from the last checkpoint with a "
                "lower Train.learning_rate, a longer Train.warmup_steps or Train.amp off"
            )
        if len(targets.counts) != batch:
            raise ShapeError(f"targets of {len(targets.counts)} images for predictions of {batch}")
        if sum(targets.counts):
            class_ids = paddle.concat([ids.astype("int64") for ids in targets.class_ids if len(ids)])
            require_class_ids(class_ids.numpy(), num_classes=self.num_classes)

    def _losses(self, pred: CellPredictions, targets: PPYOLOESegTargets) -> dict[str, Tensor]:
        assignment = self.assign(pred, targets)
        if assignment is None:
            terms = _terms_without_objects(pred)
            normalizer = self._normalizer(paddle.zeros([]))
        else:
            terms = self._terms(pred, targets, assignment)
            normalizer = self._normalizer(assignment.quality.sum())
        weights = self.weights
        factors = (weights.classes, weights.iou, weights.dfl, weights.mask)
        names = ("loss_cls", "loss_iou", "loss_dfl", "loss_mask")
        losses = {
            name: term * factor / normalizer for name, term, factor in zip(names, terms, factors, strict=True)
        }
        losses["loss"] = paddle.add_n(list(losses.values()))
        return losses

    def _normalizer(self, total: Tensor) -> Tensor:
        if self.average is not None:
            total = paddle.to_tensor(self.average(float(total)))
        return total.clip(min=1.0)

    def _terms(
        self, pred: CellPredictions, targets: PPYOLOESegTargets, assignment: CellAssignment
    ) -> tuple[Tensor, ...]:
        """Return the sums of the four terms over the batch."""
        batch, num_cells, num_classes = pred.logits.shape
        # Index of the P positive cells in the flattened (B, L) axes, and of their objects in the batch.
        cells = paddle.nonzero(assignment.positive.flatten()).flatten()
        counts = assignment.positive.astype("int64").sum(1).tolist()
        offsets = paddle.to_tensor([sum(targets.counts[:image]) for image in range(batch)], dtype="int64")
        objects = paddle.gather((assignment.objects + offsets.unsqueeze(1)).flatten(), cells)
        quality = paddle.gather(assignment.quality.flatten(), cells)
        strides = paddle.gather(pred.strides, cells % num_cells)
        points = paddle.gather(pred.points, cells % num_cells)
        gt_boxes = _join(targets.boxes).astype("float32")
        class_ids = paddle.gather(_join(targets.class_ids), objects).astype("int64")

        wanted = paddle.gather(gt_boxes, objects) / strides
        boxes = paddle.gather(pred.grid_boxes.flatten(0, 1), cells)
        distances = paddle.concat([points - wanted[:, :2], wanted[:, 2:] - points], axis=-1)
        side_logits = paddle.gather(pred.side_logits.flatten(0, 1), cells)
        return (
            _class_loss(pred.logits, index=cells * num_classes + class_ids, quality=quality),
            ((1.0 - generalized_box_iou(boxes, wanted)) * quality).sum(),
            (distribution_focal_loss(side_logits, distances).mean(-1) * quality).sum(),
            cropped_mask_loss(
                paddle.gather(pred.coefficients.flatten(0, 1), cells),
                pred.prototypes,
                counts=counts,
                objects=objects,
                gt_masks=_join(targets.masks),
                gt_boxes=gt_boxes / PROTOTYPE_STRIDE,
            ),
        )


def _terms_without_objects(pred: CellPredictions) -> tuple[Tensor, ...]:
    """Return the class loss of the background, and zeros that stay connected to the other predictions."""
    blank = paddle.zeros_like(pred.logits)
    sides = 0.0 * pred.side_logits.sum()
    masks = 0.0 * (pred.coefficients.sum() + pred.prototypes.sum())
    return varifocal_loss(pred.logits, blank, blank, saturating=True).sum(), sides, sides, masks


def _class_loss(logits: Tensor, *, index: Tensor, quality: Tensor) -> Tensor:
    """Return the summed varifocal loss, given the flat index and target score of the positive elements."""
    blank = paddle.zeros([logits.size], dtype=logits.dtype)
    scores = paddle.scatter(blank, index, quality).reshape(logits.shape)
    labels = paddle.scatter(blank, index, paddle.ones_like(quality)).reshape(logits.shape)
    return varifocal_loss(logits, scores, labels, saturating=True).sum()


def _join(values: Sequence[Tensor]) -> Tensor:
    """Concatenate what is not empty."""
    return paddle.concat([value for value in values if len(value)])
