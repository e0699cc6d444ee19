"""The network Mask-RT-DETR: RT-DETR (arXiv:2304.08069) with a mask per query."""

from collections.abc import Mapping
from typing import Any

import paddle
from paddle import Tensor, nn

from paddlex.nn.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from paddlex.nn.draws import UniformDraws
from paddlex.nn.input_size import require_multiples
from paddlex.nn.rep_conv import RepConv
from paddlex.repo_apis.paddle_detection.backbones.hgnetv2 import HGNetV2
from paddlex.repo_apis.paddle_detection.heads.denoising import make_denoising_queries
from paddlex.repo_apis.paddle_detection.heads.query import QueryTransformer, mask_logits
from paddlex.repo_apis.paddle_detection.heads.query_postprocess import (
    TopPairs,
    gather_queries,
    official_rows,
    original_sizes,
    paste_masks,
    select_top_pairs,
)
from paddlex.repo_apis.paddle_detection.losses.detr_criterion import DetrCriterion
from paddlex.repo_apis.paddle_detection.losses.predictions import QueryPredictions, Targets
from paddlex.repo_apis.paddle_detection.necks.mask_hybrid_encoder import MaskHybridEncoder
from paddlex.structures.mask_form import MaskForm

__all__ = ["MaskRTDETR"]

_LARGEST_STRIDE = 32


class MaskRTDETR(nn.Layer):
    """End-to-end instance segmentation without suppression of duplicates.

    Args:
        backbone: image to features of strides 4 to 32.
        neck: features to three fused levels and mask prototypes.
        transformer: levels and prototypes to query predictions.
        criterion: predictions and targets to losses.
        num_detections: detections of an image.
        num_denoising: wanted denoising queries of an image; 0 for none.
        label_noise_ratio: share of denoising queries with a redrawn class, halved.
        box_noise_scale: noise on their boxes, relative to the sides.
    """

    mask_form = MaskForm("photo", "logits")
    # Attention and what reads queries: little to compute, and sensitive to rounding.
    kept_float = (
        "neck.encoder",
        "transformer.decoder",
        "transformer.enc_output",
        "transformer.*_head",
    )

    def __init__(
        self,
        *,
        backbone: HGNetV2,
        neck: MaskHybridEncoder,
        transformer: QueryTransformer,
        criterion: DetrCriterion,
        num_detections: int,
        num_denoising: int,
        label_noise_ratio: float,
        box_noise_scale: float,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.transformer = transformer
        self.neck = neck
        self.criterion = criterion
        self.num_detections = num_detections
        self.num_denoising = num_denoising
        self._label_noise_ratio, self._box_noise_scale = label_noise_ratio, box_noise_scale

    @property
    def draws(self) -> UniformDraws:
        """Randomness of training: denoising, matching points and mask points; replace it to control them."""
        return self.criterion.draws

    @draws.setter
    def draws(self, draws: UniformDraws) -> None:
        self.criterion.draws = draws

    def forward(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the losses in training mode, the raw predictions in evaluation mode.

        Args:
            batch: "image" (B, 3, H, W) float32 with sides that 32 divides; in training also, per image,
                "gt_boxes" (n, 4) xyxy in pixels of the network input, "gt_class_ids" (n,) int64 and
                "gt_masks" (n, H, W) uint8, where n may be 0.

        Returns:
            In training the terms and their sum "loss", scalars. Else "logits" (B, Q, C), "boxes" (B, Q, 4)
            cxcywh in fractions of the image and "masks" (B, Q, H / 4, W / 4) logits.

        Raises:
            ShapeError: if a side is not a multiple of 32.
        """
        if self.training:
            return self._losses(batch)
        predictions = self._predict(batch["image"])
        masks = mask_logits(predictions.mask_embeds[-1], predictions.prototypes)
        return {"logits": predictions.logits[-1], "boxes": predictions.boxes[-1], "masks": masks}

    def detect(self, image: Tensor, im_shape: Tensor) -> dict[str, Tensor]:
        """Return the best (query, class) pairs of each image; this is what the fast graph exports.

        Args:
            image: (B, 3, H, W) float32.
            im_shape: (B, 2) its height and width without padding; unused, for this family pads nothing.

        Returns:
            "boxes" (B, K, 4) xyxy in fractions of the image, not clipped; "scores" (B, K) descending;
            "class_ids" (B, K) int64; "masks" (B, K, H / 4, W / 4) in the network's `mask_form`.
        """
        pairs, boxes, masks = self._top_detections(image)
        return {
            "boxes": cxcywh_to_xyxy(boxes),
            "scores": pairs.scores,
            "class_ids": pairs.class_ids,
            "masks": masks,
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
            (K, height, width) int32 at the photo's size.
        """
        pairs, boxes, masks = self._top_detections(image)
        sizes = original_sizes(im_shape, scale_factor)
        rows = official_rows(pairs, boxes, sizes=sizes)
        count = paddle.full_like(sizes[:, 0], boxes.shape[1], dtype="int32")
        return rows, count, paste_masks(masks, size=sizes[0])

    def fix_image_size(self, image_size: tuple[int, int]) -> None:
        """Keep the tables of images of (height, width) `image_size` as buffers, as an export needs."""
        self.neck.fix_image_size(image_size)
        self.transformer.fix_image_size(image_size)

    def fuse_for_deploy(self) -> None:
        """Replace the re-parameterisable parts by plain convolutions, for evaluation only."""
        for layer in self.sublayers():
            if isinstance(layer, RepConv):
                layer.fuse()

    def unfreeze_for_scratch(self) -> None:
        """Let the whole backbone learn with the full learning rate, for training without start weights."""
        self.backbone.unfreeze()

    def _predict(self, image: Tensor) -> QueryPredictions:
        levels, prototypes = self._extract(image)
        return self.transformer(levels, prototypes)[0]

    def _extract(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the fused levels and the prototypes."""
        require_multiples((image.shape[2], image.shape[3]), stride=_LARGEST_STRIDE)
        return self.neck(self.backbone(image))

    def _top_detections(self, image: Tensor) -> tuple[TopPairs, Tensor, Tensor]:
        """Return the pairs, their boxes (B, K, 4) cxcywh and their mask logits (B, K, H / 4, W / 4)."""
        predictions = self._predict(image)
        pairs = select_top_pairs(predictions.logits[-1], count=self.num_detections)
        boxes = gather_queries(predictions.boxes[-1], pairs.queries)
        mask_embeds = gather_queries(predictions.mask_embeds[-1], pairs.queries)
        return pairs, boxes, mask_logits(mask_embeds, predictions.prototypes)

    def _losses(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        image = batch["image"]
        targets = _targets(batch, image_size=(image.shape[2], image.shape[3]))
        denoising = make_denoising_queries(
            targets.class_ids,
            targets.boxes,
            num_classes=self.transformer.num_classes,
            num_denoising=self.num_denoising,
            label_noise_ratio=self._label_noise_ratio,
            box_noise_scale=self._box_noise_scale,
            draws=self.draws,
        )
        levels, prototypes = self._extract(image)
        predictions, restored = self.transformer(levels, prototypes, denoising=denoising)
        return self.criterion(
            predictions,
            targets,
            denoising_pred=restored,
            denoising_meta=None if denoising is None else denoising.meta,
        )


def _targets(batch: Mapping[str, Any], *, image_size: tuple[int, int]) -> Targets:
    """Express boxes as fractions of the image."""
    height, width = image_size
    scale = paddle.to_tensor([width, height, width, height], dtype="float32")
    return Targets(
        boxes=[xyxy_to_cxcywh(boxes.reshape([-1, 4]) / scale) for boxes in batch["gt_boxes"]],
        class_ids=list(batch["gt_class_ids"]),
        masks=list(batch["gt_masks"]),
    )
