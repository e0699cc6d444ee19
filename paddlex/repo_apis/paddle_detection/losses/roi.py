"""Losses of R-CNN on sampled boxes: class, box and mask (arXiv:1506.01497, arXiv:1703.06870)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from paddlex.nn.box_coding import CodingWeights, encode_boxes
from paddlex.repo_apis.paddle_detection.heads.rcnn_postprocess import own_class
from paddlex.repo_apis.paddle_detection.losses.box import smooth_l1
from paddlex.repo_apis.paddle_detection.matching.mask_targets import MaskTargets
from paddlex.repo_apis.paddle_detection.matching.roi_sampling import SampledBoxes

__all__ = ["RoICriterion"]


@dataclass(frozen=True, kw_only=True)
class RoICriterion:
    """Cross-entropy of the class, L1 of the deltas and binary cross-entropy of the mask.

    Attributes:
        beta: where smooth L1 turns linear; 0 for L1.
        cls_weight: factor of the class loss.
        reg_weight: factor of the box loss.
        mask_weight: factor of the mask loss.
    """

    beta: float = 0.0
    cls_weight: float = 1.0
    reg_weight: float = 1.0
    mask_weight: float = 1.0

    def box_terms(
        self,
        logits: Tensor,
        deltas: Tensor,
        *,
        samples: Sequence[SampledBoxes],
        coding_weights: CodingWeights,
    ) -> tuple[Tensor, Tensor]:
        """Return the class loss and the box loss, both means over all R sampled boxes of the batch.

        Args:
            logits: (R, C + 1), the background last.
            deltas: (R, 4 * C), or (R, 4) for all classes alike.
            samples: per photo the boxes that the predictions are for.
            coding_weights: factors on the deltas.
        """
        class_ids = paddle.concat([sample.class_ids for sample in samples])
        class_loss = F.cross_entropy(logits, class_ids, reduction="mean") * self.cls_weight
        foreground = paddle.nonzero(class_ids < logits.shape[1] - 1).flatten()
        if len(foreground) == 0:
            # Data-parallel training waits for a gradient of every layer, be it zero.
            return class_loss, 0.0 * (logits.mean() + deltas.mean())
        targets = encode_boxes(
            paddle.concat([sample.boxes for sample in samples]).gather(foreground),
            paddle.concat([sample.gt_boxes for sample in samples]).gather(foreground),
            weights=coding_weights,
        )
        chosen = deltas.gather(foreground).reshape([len(foreground), -1, 4])
        ids = class_ids.gather(foreground)
        chosen = own_class(chosen, ids if chosen.shape[1] > 1 else paddle.zeros_like(ids))
        errors = smooth_l1(chosen - targets, beta=self.beta)
        # By all boxes, not only those of the foreground: each object counts alike (arXiv:1504.08083).
        return class_loss, errors.sum() * (self.reg_weight / logits.shape[0])

    def mask_term(self, logits: Tensor, targets: MaskTargets) -> Tensor:
        """Return the mask loss of each box's own class, a mean over all boxes and cells.

        Args:
            logits: (F, C, M, M).
            targets: of the same F boxes.
        """
        chosen = own_class(logits, targets.class_ids)
        errors = F.binary_cross_entropy_with_logits(chosen, targets.masks, reduction="none")
        return (errors * targets.weights.reshape([-1, 1, 1])).mean() * self.mask_weight
