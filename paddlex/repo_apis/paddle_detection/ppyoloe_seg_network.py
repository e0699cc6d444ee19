"""The network PP-YOLOE_seg: PP-YOLOE (arXiv:2203.16250) with prototype masks (YOLACT, arXiv:1904.02689)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.draws import UniformDraws
from paddlex.nn.input_size import require_multiples
from paddlex.nn.multiclass_nms import Kept, multiclass_nms
from paddlex.nn.rep_conv import RepConv
from paddlex.nn.weight_decay import exempt_norms_from_decay
from paddlex.repo_apis.paddle_detection.backbones.cspresnet import CSPResNet
from paddlex.repo_apis.paddle_detection.heads.ppyoloe_seg import (
    PROTOTYPE_STRIDE,
    CellPredictions,
    PPYOLOESegHead,
)
from paddlex.repo_apis.paddle_detection.heads.ppyoloe_seg_postprocess import official_detections, rank_cells
from paddlex.repo_apis.paddle_detection.heads.query_postprocess import original_sizes
from paddlex.repo_apis.paddle_detection.losses.ppyoloe_seg_criterion import (
    PPYOLOESegCriterion,
    PPYOLOESegTargets,
)
from paddlex.repo_apis.paddle_detection.necks.csp_pan import CSPPAN
from paddlex.structures.mask_form import MaskForm

__all__ = ["NmsLimits", "PPYOLOESeg"]


@dataclass(frozen=True, kw_only=True)
class NmsLimits:
    """What suppression keeps.

    Attributes:
        score_threshold: scores up to this are dropped first.
        iou_threshold: largest IoU of two detections of one class.
        pre_nms_count: best boxes of a class that compete.
        keep_count: detections of a photo.
    """

    score_threshold: float
    iou_threshold: float
    pre_nms_count: int
    keep_count: int

    def __call__(self, boxes: Tensor, scores: Tensor) -> Kept:
        """Suppress; boxes (B, L, 4) xyxy, scores (B, C, L)."""
        return multiclass_nms(
            boxes,
            scores,
            score_threshold=self.score_threshold,
            iou_threshold=self.iou_threshold,
            pre_nms_count=self.pre_nms_count,
            keep_count=self.keep_count,
        )


class PPYOLOESeg(nn.Layer):
    """Anchor-free one-stage instance segmentation.

    Args:
        backbone: image to features of strides 8 to 32.
        neck: features to fused levels, coarse to fine.
        head: levels to the predictions of their cells.
        criterion: predictions and targets to losses.
        nms: what suppression keeps.

    Attributes:
        mask_form: probabilities over the whole photo, to be cut at the box after enlarging.
        draws: part of every network here; training this one draws nothing.
    """

    mask_form: ClassVar[MaskForm] = MaskForm("photo", "probabilities", "bounding")
    # It computes means of distributions, with weights that nobody trains.
    kept_float: ClassVar[tuple[str, ...]] = ("yolo_head.proj_conv",)

    def __init__(
        self,
        *,
        backbone: CSPResNet,
        neck: CSPPAN,
        head: PPYOLOESegHead,
        criterion: PPYOLOESegCriterion,
        nms: NmsLimits,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.yolo_head = head
        self.criterion = criterion
        self.nms = nms
        self.draws = UniformDraws()
        exempt_norms_from_decay(self)

    @property
    def progress(self) -> float:
        """Fraction of the training run that lies behind; it decides how objects are assigned to cells."""
        return self.criterion.progress

    @progress.setter
    def progress(self, progress: float) -> None:
        self.criterion.progress = progress

    def forward(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the losses in training mode, the raw predictions in evaluation mode.

        Args:
            batch: "image" (B, 3, H, W) float32 with sides that 32 divides; in training also, per image,
                "gt_boxes" (n, 4) xyxy in pixels of the network input, "gt_class_ids" (n,) int64 and
                "gt_masks" (n, H, W) uint8, where n may be 0. In evaluation also "im_shape", see `detect`.

        Returns:
            In training the terms and their sum "loss", scalars. Else what `candidates` returns.

        Raises:
            ShapeError: if a side is not a multiple of 32, or the ground truth does not fit together.
            DatasetError: if a class id is not below the number of classes.
        """
        if self.training:
            return self.criterion(self.predict(batch["image"]), _targets(batch))
        return self.candidates(batch["image"], batch["im_shape"])

    def predict(self, image: Tensor) -> CellPredictions:
        """Return the predictions of all cells for image (B, 3, H, W)."""
        require_multiples((image.shape[2], image.shape[3]), stride=max(self.neck.strides))
        return self.yolo_head(self.neck(self.backbone(image)))

    def candidates(self, image: Tensor, im_shape: Tensor) -> dict[str, Tensor]:
        """Return all that suppression chooses from, by plain tensor operations.

        Args:
            image: (B, 3, H, W) float32.
            im_shape: (B, 2) float32 height and width of the photo within `image`, without padding.

        Returns:
            "boxes" (B, L, 4) xyxy in fractions of the photo, not clipped; "scores" (B, C, L) in [0, 1];
            "coefficients" (B, L, P); "prototypes" (B, P, H / 4, W / 4). L counts the cells of all levels,
            H W (1 / 64 + 1 / 256 + 1 / 1024). The mask of a cell is sigmoid(coefficients . prototypes).
        """
        pred = self.predict(image)
        width_height = im_shape.flip(1).tile([1, 2]).unsqueeze(1)
        return {
            "boxes": pred.boxes / width_height,
            "scores": F.sigmoid(pred.logits).transpose([0, 2, 1]),
            "coefficients": pred.coefficients,
            "prototypes": pred.prototypes,
        }

    def detect(self, image: Tensor, im_shape: Tensor) -> dict[str, Tensor]:
        """Return the detections of each photo that suppression leaves.

        Args:
            image: (B, 3, H, W) float32.
            im_shape: (B, 2) float32 height and width of the photo within `image`, without padding.

        Returns:
            "boxes" (B, K, 4) xyxy in fractions of the photo, not clipped; "scores" (B, K) descending;
            "class_ids" (B, K) int64, -1 where a photo has fewer than K; "masks" (B, K, H / 4, W / 4) in the
            network's `mask_form`. K is the largest number of any photo, at least 1.
        """
        found = self.candidates(image, im_shape)
        ranked = rank_cells(self.nms(found["boxes"], found["scores"]), num_cells=found["boxes"].shape[1])
        height, width = found["prototypes"].shape[2:]
        index = ranked.cells.unsqueeze(-1).expand([-1, -1, found["coefficients"].shape[2]])
        coefficients = paddle.take_along_axis(found["coefficients"], index, axis=1, broadcast=False)
        logits = paddle.matmul(coefficients, found["prototypes"].flatten(2))
        return {
            "boxes": ranked.boxes,
            "scores": ranked.scores,
            "class_ids": ranked.class_ids,
            "masks": F.sigmoid(logits).reshape([0, 0, height, width]),
        }

    def forward_official(
        self, im_shape: Tensor, image: Tensor, scale_factor: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return detections in the form of the official inference models, for one photo at a time.

        Args:
            im_shape: (1, 2) height and width of the network input.
            image: (1, 3, H, W) float32.
            scale_factor: (1, 2) network input over photo, y first.

        Returns:
            Rows (K, 6) of class, score, x1, y1, x2, y2 in pixels of the photo; their number (1,) int32; masks
            (K, height, width) float32 of 0 and 1 at the photo's size. A photo without detections has one row
            of zeros and an empty mask.
        """
        pred = self.predict(image)
        return official_detections(
            self.nms(pred.boxes, F.sigmoid(pred.logits).transpose([0, 2, 1])),
            coefficients=pred.coefficients,
            prototypes=pred.prototypes,
            input_size=(image.shape[2], image.shape[3]),
            scale_factor=scale_factor,
            photo_size=original_sizes(im_shape, scale_factor)[0],
        )

    def fix_image_size(self, image_size: tuple[int, int]) -> None:
        """Keep the tables of images of (height, width) `image_size` as buffers, as an export needs."""
        self.yolo_head.fix_image_size(image_size)

    def fuse_for_deploy(self) -> None:
        """Replace the re-parameterisable parts by plain convolutions, for evaluation only."""
        for layer in self.sublayers():
            if isinstance(layer, RepConv):
                layer.fuse()

    def unfreeze_for_scratch(self) -> None:
        """Do nothing: without start weights, too, every parameter learns at the full rate."""


def _targets(batch: Mapping[str, Any]) -> PPYOLOESegTargets:
    """Take every fourth pixel of the masks, as many as the prototypes have."""
    return PPYOLOESegTargets(
        boxes=[boxes.reshape([-1, 4]) for boxes in batch["gt_boxes"]],
        class_ids=batch["gt_class_ids"],
        masks=[masks[:, ::PROTOTYPE_STRIDE, ::PROTOTYPE_STRIDE] for masks in batch["gt_masks"]],
    )
