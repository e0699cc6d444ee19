"""The networks Mask R-CNN (arXiv:1703.06870) and Cascade Mask R-CNN (arXiv:1712.00726)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.conv_bn import fuse_units, unfreeze_units
from paddlex.nn.draws import UniformDraws
from paddlex.repo_apis.paddle_detection.backbones.resnet import ResNet, start_from_shortcuts
from paddlex.repo_apis.paddle_detection.heads.box_head import BoxHead, BoxStage, CascadeBoxHead
from paddlex.repo_apis.paddle_detection.heads.mask_head import MaskHead
from paddlex.repo_apis.paddle_detection.heads.query_postprocess import original_sizes
from paddlex.repo_apis.paddle_detection.heads.rcnn_postprocess import (
    DetectionLimits,
    ensure_row,
    own_class,
    pad_detections,
    paste_box_masks,
    photo_rows,
    refine_boxes,
    select_detections,
)
from paddlex.repo_apis.paddle_detection.heads.roi_align import RoIAlign
from paddlex.repo_apis.paddle_detection.heads.rpn import RPNHead, flatten_levels
from paddlex.repo_apis.paddle_detection.heads.rpn_anchors import AnchorGrid
from paddlex.repo_apis.paddle_detection.heads.rpn_proposals import ProposalLimits, make_proposals
from paddlex.repo_apis.paddle_detection.losses.ground_truth import require_class_ids
from paddlex.repo_apis.paddle_detection.losses.roi import RoICriterion
from paddlex.repo_apis.paddle_detection.losses.rpn import RPNCriterion
from paddlex.repo_apis.paddle_detection.matching.mask_targets import make_mask_targets
from paddlex.repo_apis.paddle_detection.matching.roi_sampling import RoISampler, SampledBoxes, label_boxes
from paddlex.repo_apis.paddle_detection.necks.fpn import FPN
from paddlex.structures.mask_form import MaskForm
from paddlex.structures.shapes import InstanceShapes

__all__ = ["MaskRCNN"]

_NO_CLASS = -1


class MaskRCNN(nn.Layer):
    """Proposals, then boxes, then masks inside the boxes.

    Boxes and proposals are xyxy in pixels of the network input.

    Args:
        backbone: image to features.
        neck: features to levels of one width; None hands the features over as they are (C4).
        rpn_head: levels to objectness and deltas of the anchors.
        bbox_head: RoI features to classes and deltas, in one stage or several.
        mask_head: RoI features to mask logits.
        anchors: of the levels.
        train_proposals: what becomes a proposal in training.
        test_proposals: what becomes one in evaluation.
        roi_pooler: cuts proposals out of the levels, for the box head.
        mask_pooler: cuts detections out of the levels, for the mask head; None lets the mask head continue
            from what the trunk of the box head makes of `roi_pooler`'s features (C4).
        mask_resolution: side of a mask, in cells.
        detection_limits: which boxes are detections.
        rpn_criterion: targets and losses of the proposals.
        roi_sampler: chooses the proposals to learn from.
        roi_criterion: losses of boxes and masks.
    """

    mask_form = MaskForm("box", "probabilities")
    # What upstream's quantisation leaves alone.
    kept_float = ("rpn_head", "bbox_head.*fc[67]", "bbox_head.bbox_*", "mask_head")

    def __init__(
        self,
        *,
        backbone: ResNet,
        neck: FPN | None,
        rpn_head: RPNHead,
        bbox_head: BoxHead | CascadeBoxHead,
        mask_head: MaskHead,
        anchors: AnchorGrid,
        train_proposals: ProposalLimits,
        test_proposals: ProposalLimits,
        roi_pooler: RoIAlign,
        mask_pooler: RoIAlign | None,
        mask_resolution: int,
        detection_limits: DetectionLimits,
        rpn_criterion: RPNCriterion,
        roi_sampler: RoISampler,
        roi_criterion: RoICriterion,
    ) -> None:
        super().__init__()
        parts = {"backbone": backbone, "neck": neck, "rpn_head": rpn_head, "bbox_head": bbox_head}
        if isinstance(bbox_head, CascadeBoxHead):
            # The order of the published weights, which in a cascade puts the neck behind the box head.
            parts["neck"] = parts.pop("neck")
        for name, part in {**parts, "mask_head": mask_head}.items():
            setattr(self, name, part)
        self.anchors = anchors
        self.train_proposals, self.test_proposals = train_proposals, test_proposals
        self.roi_pooler = roi_pooler
        self.mask_pooler = mask_pooler or roi_pooler
        self.shares_trunk = mask_pooler is None
        self.mask_resolution = mask_resolution
        self.detection_limits = detection_limits
        self.rpn_criterion, self.roi_sampler, self.roi_criterion = rpn_criterion, roi_sampler, roi_criterion
        self.num_classes = bbox_head.num_classes
        self.draws = UniformDraws()

    @property
    def box_stages(self) -> tuple[BoxStage, ...]:
        """The stages of the box head; each but the first works on boxes that the one before has refined."""
        return self.bbox_head.stages

    @property
    def level_channels(self) -> int:
        """Channels of every level, also after pruning."""
        return self.rpn_head.in_channels

    def forward(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the losses in training mode, the raw predictions in evaluation mode.

        Args:
            batch: "image" (B, 3, H, W) float32 and "im_shape" (B, 2) float32, height and width without
                padding; in training also, per photo, "gt_boxes" (n, 4), "gt_class_ids" (n,) int64 and
                "gt_masks", the `InstanceShapes` of its n objects, where n may be 0.

        Returns:
            In training "rpn_cls", "rpn_reg", "rcnn_cls", "rcnn_reg" (in a cascade each with the ending
            `_stage<i>`), "mask" and their sum "loss", scalars. Else the R proposals of all photos: "boxes"
            (R, C, 4), "scores" (R, C) and their number for each photo, "counts" (B,).

        Raises:
            DatasetError: if a class id is not below the number of classes.
        """
        if self.training:
            return self._losses(batch)
        features, proposals = self._propose(batch["image"], batch["im_shape"])
        boxes, scores = self.predict_boxes(features, proposals, batch["im_shape"])
        counts = paddle.to_tensor([part.shape[0] for part in proposals], dtype="int64")
        return {"boxes": boxes, "scores": scores, "counts": counts}

    def detect(self, image: Tensor, im_shape: Tensor) -> dict[str, Tensor]:
        """Return the detections of each photo, best first.

        Args:
            image: (B, 3, H, W) float32.
            im_shape: (B, 2) float32, its height and width without padding.

        Returns:
            "boxes" (B, K, 4) xyxy in fractions of the photo; "scores" (B, K) descending; "class_ids" (B, K)
            int64, -1 where a photo has fewer than K; "masks" (B, K, M, M) in the network's `mask_form`.
        """
        features, proposals = self._propose(image, im_shape)
        rows = [
            ensure_row(part, class_id=_NO_CLASS) for part in self._detections(features, proposals, im_shape)
        ]
        return pad_detections(rows, self._masks(features, rows), im_shape=im_shape)

    def forward_official(
        self, im_shape: Tensor, image: Tensor, scale_factor: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return detections in the form of the official inference models, for one photo at a time.

        Args:
            im_shape: (1, 2) height and width of the network input without padding.
            image: (1, 3, H, W) float32.
            scale_factor: (1, 2) network input over photo, y first.

        Returns:
            Rows (n, 6) of class, score, x1, y1, x2, y2 in pixels of the photo, in order of class; their
            number (1,) int32; masks (n, height, width) int32 at the photo's size. Without a detection there
            is one row of class 0 and score 0.
        """
        features, proposals = self._propose(image, im_shape)
        rows = ensure_row(self._detections(features, proposals, im_shape)[0], class_id=0)
        masks = self._masks(features, [rows])[0]
        size = original_sizes(im_shape, scale_factor)[0]
        rows = photo_rows(rows, scale_factor=scale_factor[0], size=size)
        count = paddle.shape(rows)[:1].astype("int32")
        return rows, count, paste_box_masks(masks, rows[:, 2:], size=size)

    def fix_image_size(self, image_size: tuple[int, int]) -> None:
        """Do nothing: no table depends on the size of the image."""

    def fuse_for_deploy(self) -> None:
        """Fold every normalisation into its convolution, for evaluation only."""
        fuse_units(self)

    def unfreeze_for_scratch(self) -> None:
        """Let every layer learn, normalisations included, for training without start weights."""
        unfreeze_units(self)
        start_from_shortcuts(self)

    def trunk(self, image: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Return the levels, fine to coarse, and the objectness and deltas of their anchors.

        Args:
            image: (B, 3, H, W) float32.

        Returns:
            Per level features (B, C, h, w), logits (B, A, h, w) and deltas (B, 4A, h, w).
        """
        features = self.backbone(image)
        if self.neck is not None:
            features = self.neck(features)
        return features, *self.rpn_head(features)

    def mask_branch(self, roi_features: Tensor) -> Tensor:
        """Map what `mask_pooler` gives for R boxes to mask probabilities (R, num_classes, M, M)."""
        if self.shares_trunk:
            roi_features = self.box_stages[0].trunk(roi_features)
        return F.sigmoid(self.mask_head(roi_features))

    def predict_boxes(
        self, features: Sequence[Tensor], proposals: Sequence[Tensor], im_shape: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Classify and refine the proposals of every photo, R in total.

        Args:
            features: levels (B, C, h, w).
            proposals: per photo (n, 4).
            im_shape: (B, 2) height and width of the photos, which boxes are clipped to.

        Returns:
            The box of each proposal for each class (R, C, 4) and its score (R, C), the mean over the stages.
        """
        sizes = _repeat_sizes(im_shape, proposals)
        refined = paddle.concat(list(proposals)).unsqueeze(1)
        probabilities = []
        for stage in self.box_stages:
            boxes = refined[:, 0]
            logits, deltas = stage(self.roi_pooler(features, _split_like(boxes, proposals)))
            probabilities.append(F.softmax(logits, axis=1))
            refined = refine_boxes(deltas, boxes, coding_weights=stage.coding_weights, sizes=sizes)
        scores = paddle.add_n(probabilities) / float(len(probabilities))
        return refined.expand([-1, self.num_classes, 4]), scores[:, : self.num_classes]

    def rpn_losses(
        self, scores: Sequence[Tensor], deltas: Sequence[Tensor], batch: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """Return the losses of the region proposal network.

        Args:
            scores: per level (B, A, h, w).
            deltas: per level (B, 4A, h, w).
            batch: as `forward` takes it.
        """
        logits, flat_deltas, anchors = flatten_levels(scores, deltas, anchors=self.anchors)
        return self.rpn_criterion(
            logits, flat_deltas, anchors=anchors, gt_boxes=batch["gt_boxes"], draws=self.draws
        )

    def sample_proposals(self, proposals: Sequence[Tensor], batch: Mapping[str, Any]) -> list[SampledBoxes]:
        """Return the boxes of each photo that the first stage and the mask head learn from.

        Args:
            proposals: per photo (n, 4).
            batch: as `forward` takes it.
        """
        match_iou = self.box_stages[0].settings.match_iou
        return [
            self.roi_sampler(*objects, match_iou=match_iou, num_classes=self.num_classes, draws=self.draws)
            for objects in zip(proposals, batch["gt_boxes"], batch["gt_class_ids"], strict=True)
        ]

    def roi_losses(
        self, features: Sequence[Tensor], samples: Sequence[SampledBoxes], batch: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """Return the losses of boxes and masks.

        Args:
            features: levels (B, C, h, w).
            samples: as `sample_proposals` returns them.
            batch: as `forward` takes it.
        """
        losses: dict[str, Tensor] = {}
        stages = self.box_stages
        current = samples
        for index, stage in enumerate(stages):
            hidden = stage.trunk(self.roi_pooler(features, [sample.boxes for sample in current]))
            logits, deltas = stage.predict(hidden)
            class_loss, box_loss = self.roi_criterion.box_terms(
                logits, deltas, samples=current, coding_weights=stage.coding_weights
            )
            ending = f"_stage{index}" if len(stages) > 1 else ""
            losses[f"rcnn_cls{ending}"] = class_loss / len(stages)
            losses[f"rcnn_reg{ending}"] = box_loss / len(stages)
            if index == 0:
                mask_loss = self._mask_loss(features, samples, batch["gt_masks"], box_features=hidden)
            if index + 1 < len(stages):
                current = self._samples_of_next(stages[index : index + 2], deltas, current, batch)
        return {**losses, "mask": mask_loss}

    def _losses(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        for class_ids in batch["gt_class_ids"]:
            require_class_ids(class_ids.numpy(), num_classes=self.num_classes)
        features, scores, deltas = self.trunk(batch["image"])
        losses = self.rpn_losses(scores, deltas, batch)
        proposals = make_proposals(
            scores, deltas, batch["im_shape"], anchors=self.anchors, limits=self.train_proposals
        )
        samples = self.sample_proposals(proposals, batch)
        losses |= self.roi_losses(features, samples, batch)
        return {**losses, "loss": paddle.add_n(list(losses.values()))}

    def _mask_loss(
        self,
        features: Sequence[Tensor],
        samples: Sequence[SampledBoxes],
        shapes: Sequence[InstanceShapes],
        *,
        box_features: Tensor,
    ) -> Tensor:
        """Return the mask loss; `box_features` are what the box head's trunk made of the samples."""
        targets = make_mask_targets(
            samples, shapes, num_classes=self.num_classes, resolution=self.mask_resolution
        )
        if self.shares_trunk:
            of_photos = _split_like(box_features, [sample.boxes for sample in samples])
            inputs = paddle.concat([x.gather(rows) for x, rows in zip(of_photos, targets.rows, strict=True)])
        else:
            chosen = [sample.boxes.gather(rows) for sample, rows in zip(samples, targets.rows, strict=True)]
            inputs = self.mask_pooler(features, chosen)
        return self.roi_criterion.mask_term(self.mask_head(inputs), targets)

    def _samples_of_next(
        self,
        stages: tuple[BoxStage, ...],
        deltas: Tensor,
        samples: Sequence[SampledBoxes],
        batch: Mapping[str, Any],
    ) -> list[SampledBoxes]:
        """Return all boxes that stage 0 of `stages` has refined, labelled as stage 1 wants it."""
        done, coming = stages
        boxes = [sample.boxes for sample in samples]
        sizes = _repeat_sizes(batch["im_shape"], boxes)
        refined = refine_boxes(
            deltas.detach(), paddle.concat(boxes), coding_weights=done.coding_weights, sizes=sizes
        )
        return [
            label_boxes(
                *(_without_empty(part), gt_boxes, gt_class_ids),
                match_iou=coming.settings.match_iou,
                num_classes=self.num_classes,
            )
            for part, gt_boxes, gt_class_ids in zip(
                _split_like(refined[:, 0], boxes), batch["gt_boxes"], batch["gt_class_ids"], strict=True
            )
        ]

    def _propose(self, image: Tensor, im_shape: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the levels and each photo's proposals (n, 4), as evaluation makes them."""
        features, scores, deltas = self.trunk(image)
        return features, make_proposals(
            scores, deltas, im_shape, anchors=self.anchors, limits=self.test_proposals
        )

    def _detections(
        self, features: Sequence[Tensor], proposals: Sequence[Tensor], im_shape: Tensor
    ) -> list[Tensor]:
        """Return the rows (n, 6) of each photo: class, score and box; n may be 0."""
        boxes, scores = self.predict_boxes(features, proposals, im_shape)
        return [
            select_detections(photo_boxes, photo_scores, limits=self.detection_limits)
            for photo_boxes, photo_scores in zip(
                _split_like(boxes, proposals), _split_like(scores, proposals), strict=True
            )
        ]

    def _masks(self, features: Sequence[Tensor], rows: Sequence[Tensor]) -> list[Tensor]:
        """Return the masks (n, M, M) of each photo's `rows` (n, 6)."""
        masks = self.mask_branch(self.mask_pooler(features, [part[:, 2:] for part in rows]))
        class_ids = paddle.concat([part[:, 0] for part in rows]).clip(min=0.0)
        return _split_like(own_class(masks, class_ids), rows)


def _repeat_sizes(im_shape: Tensor, boxes: Sequence[Tensor]) -> Tensor:
    """Return the size (R, 2) of each box's photo."""
    # Zeros of a box's own shape, because a traced graph does not know the number of boxes.
    return paddle.concat([part[:, :2] * 0.0 + im_shape[i] for i, part in enumerate(boxes)])


def _split_like(values: Tensor, parts: Sequence[Tensor]) -> list[Tensor]:
    """Cut `values` (R, ...) into one tensor a photo, as long as its part."""
    if len(parts) == 1:
        return [values]
    return list(paddle.split(values, [part.shape[0] for part in parts]))


def _without_empty(boxes: Tensor) -> Tensor:
    """Return the boxes (n, 4) with an area, or the first one if none has."""
    filled = paddle.nonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])).flatten()
    return boxes.gather(filled) if len(filled) else boxes[:1]
