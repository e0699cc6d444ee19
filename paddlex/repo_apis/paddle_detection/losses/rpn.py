"""Targets and losses of the region proposal network (arXiv:1506.01497, section 3.1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from paddlex.nn.box_coding import encode_boxes
from paddlex.nn.draws import UniformDraws
from paddlex.repo_apis.paddle_detection.losses.box import smooth_l1
from paddlex.repo_apis.paddle_detection.matching.iou import match_boxes
from paddlex.repo_apis.paddle_detection.matching.sampling import sample_positives_and_negatives

__all__ = ["AnchorSample", "RPNCriterion"]


@dataclass(frozen=True, eq=False, kw_only=True)
class AnchorSample:
    """The S anchors of a photo to learn from, P positive ones first.

    Attributes:
        indices: (S,) int64 among all anchors.
        labels: (S,) float32, 1 for an object and 0 for background.
        deltas: (S, 4) from the anchor to its object; 0 for background.
    """

    indices: Tensor
    labels: Tensor
    deltas: Tensor


@dataclass(frozen=True, kw_only=True)
class RPNCriterion:
    """Cross-entropy of objectness and L1 of the deltas, over sampled anchors.

    Attributes:
        samples_per_image: anchors of a photo to learn from; both losses are divided by this times the photos.
        positive_fraction: largest share of positives.
        positive_iou: an anchor with at least this IoU is positive.
        negative_iou: one with less than this is negative, unless it is some object's best.
        min_pos_iou: IoU that an object's best anchors need to be positive.
        beta: where smooth L1 turns linear; 0 for L1.
        cls_weight: factor of the cross-entropy.
        reg_weight: factor of the L1 loss.
    """

    samples_per_image: int = 256
    positive_fraction: float = 0.5
    positive_iou: float = 0.7
    negative_iou: float = 0.3
    min_pos_iou: float = 0.0
    beta: float = 0.0
    cls_weight: float = 1.0
    reg_weight: float = 1.0

    def __call__(
        self,
        logits: Tensor,
        deltas: Tensor,
        *,
        anchors: Tensor,
        gt_boxes: Sequence[Tensor],
        draws: UniformDraws,
    ) -> dict[str, Tensor]:
        """Return the losses "rpn_cls" and "rpn_reg".

        Args:
            logits: (B, N) objectness of all anchors.
            deltas: (B, N, 4).
            anchors: (N, 4) xyxy in pixels of the network input.
            gt_boxes: per photo (n, 4) likewise; n may be 0.
            draws: source of randomness.
        """
        cls_terms, reg_terms = [], []
        for image_logits, image_deltas, image_boxes in zip(logits, deltas, gt_boxes, strict=True):
            sample = self.sample(anchors, image_boxes, draws=draws)
            sampled_logits = image_logits.gather(sample.indices)
            cls_terms.append(
                F.binary_cross_entropy_with_logits(sampled_logits, sample.labels, reduction="sum")
            )
            errors = smooth_l1(image_deltas.gather(sample.indices) - sample.deltas, beta=self.beta)
            reg_terms.append((errors.sum(axis=-1) * sample.labels).sum())
        normalizer = self.samples_per_image * len(cls_terms)
        return {
            "rpn_cls": paddle.add_n(cls_terms) * (self.cls_weight / normalizer),
            "rpn_reg": paddle.add_n(reg_terms) * (self.reg_weight / normalizer),
        }

    def sample(self, anchors: Tensor, gt_boxes: Tensor, *, draws: UniformDraws) -> AnchorSample:
        """Choose the anchors (N, 4) of one photo with objects `gt_boxes` (n, 4) to learn from."""
        matches = match_boxes(anchors, gt_boxes, min_best_iou=self.min_pos_iou)
        is_positive = (matches.ious >= self.positive_iou) | matches.is_best
        is_negative = (matches.ious < self.negative_iou) & ~is_positive
        positives, negatives = sample_positives_and_negatives(
            is_positive,
            is_negative,
            count=self.samples_per_image,
            positive_fraction=self.positive_fraction,
            draws=draws,
        )
        targets = encode_boxes(
            anchors.gather(positives), gt_boxes.gather(matches.gt_indices.gather(positives))
        )
        padding = [0, len(negatives)]
        return AnchorSample(
            indices=paddle.concat([positives, negatives]),
            labels=F.pad(paddle.ones([len(positives)]), padding),
            deltas=paddle.concat([targets, paddle.zeros([len(negatives), 4])]),
        )
