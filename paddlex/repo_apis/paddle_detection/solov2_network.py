"""The network SOLOv2 (arXiv:2003.10152): instances by the cells of grids, without boxes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.boxes import masks_to_boxes
from paddlex.nn.conv_bn import fuse_units
from paddlex.nn.draws import UniformDraws
from paddlex.repo_apis.paddle_detection.backbones.resnet import ResNet, start_from_shortcuts
from paddlex.repo_apis.paddle_detection.heads.query_postprocess import original_sizes
from paddlex.repo_apis.paddle_detection.heads.solov2 import (
    SOLOv2Head,
    SOLOv2MaskHead,
    keep_local_maxima,
    list_cells,
)
from paddlex.repo_apis.paddle_detection.heads.solov2_postprocess import (
    Segments,
    SelectionLimits,
    paste_probabilities,
    select_segments,
)
from paddlex.repo_apis.paddle_detection.heads.solov2_targets import CellTargets, assign_cells
from paddlex.repo_apis.paddle_detection.losses.solov2 import category_loss, mask_loss
from paddlex.repo_apis.paddle_detection.necks.fpn import FPN
from paddlex.structures.mask_form import MaskForm
from paddlex.utils.errors import ShapeError

__all__ = ["SOLOv2"]

_LARGEST_STRIDE = 32
_MASK_THRESHOLD = 0.5


class SOLOv2(nn.Layer):
    """Instance segmentation that finds categories and mask kernels in the cells of five grids.

    Args:
        backbone: image to features of strides 4 to 32.
        neck: features to five levels of one width.
        solov2_head: levels to category logits and mask kernels of the cells.
        mask_head: levels to the map that kernels draw masks on.
        cell_strides: per level, pixels of the mask grid that an instance must exceed.
        limits: what is taken for an instance.
        mask_loss_weight: factor of the mask loss; that of the categories has 1.

    Attributes:
        mask_form: how the masks of `detect` are meant; boxes are read off them.
        draws: no part of this network is random.
    """

    mask_form = MaskForm("input", "probabilities", "derived")

    def __init__(
        self,
        *,
        backbone: ResNet,
        neck: FPN,
        solov2_head: SOLOv2Head,
        mask_head: SOLOv2MaskHead,
        cell_strides: Sequence[int],
        limits: SelectionLimits,
        mask_loss_weight: float,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.solov2_head = solov2_head
        self.mask_head = mask_head
        self.limits = limits
        self.draws = UniformDraws()
        self._cell_strides = tuple(cell_strides)
        self._mask_loss_weight = mask_loss_weight

    def forward(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the losses in training mode, what the cells say in evaluation mode.

        Args:
            batch: "image" (B, 3, H, W) float32 with sides that 32 divides; in training also, per image,
                "gt_boxes" (n, 4) xyxy in pixels of the network input, "gt_class_ids" (n,) int64 and
                "gt_masks", n instances as `InstanceShapes` or `MaskCrops` on a canvas of (H, W); n may be 0.

        Returns:
            In training "loss_ins", "loss_cate" and their sum "loss", scalars; else as `candidates`.

        Raises:
            ShapeError: if a side is not a multiple of 32.
        """
        return self._losses(batch) if self.training else self.candidates(batch["image"])

    def candidates(self, image: Tensor) -> dict[str, Tensor]:
        """Return what the cells say, before anything is selected; plain operations only.

        With S the cells of all grids, the finest first, row by row (3872 of them as published):

        Args:
            image: (B, 3, H, W) float32 with sides that 32 divides.

        Returns:
            "scores" (B, S, C) in [0, 1], 0 where a neighbour scores more; "kernels" (B, S, D); "features"
            (B, D, H / 4, W / 4). The sigmoid of a kernel's product with the features is its mask.
        """
        kernels, logits, features = self._predict(image)
        scores = [keep_local_maxima(F.sigmoid(level)) for level in logits]
        return {"scores": list_cells(scores), "kernels": list_cells(kernels), "features": features}

    def detect(self, image: Tensor, im_shape: Tensor) -> dict[str, Tensor]:
        """Return the instances of each image.

        Args:
            image: (B, 3, H, W) float32.
            im_shape: (B, 2) its height and width without padding.

        Returns:
            "boxes" (B, K, 4) xyxy in fractions of the image without padding, around all set cells of the
            mask; "scores" (B, K) descending; "class_ids" (B, K) int64, -1 in rows that only fill up; "masks"
            (B, K, H / 4, W / 4) in the network's `mask_form`. K is between 1 and `limits.num_detections`.
        """
        predictions = self.candidates(image)
        found = [self._select(predictions, index) for index in range(image.shape[0])]
        masks = _stack([segments.masks for segments in found], value=0.0)
        scores = _stack([segments.scores for segments in found], value=0.0)
        class_ids = _stack([segments.class_ids for segments in found], value=-1)
        padding = paddle.shape(image)[2:].astype("float32") / im_shape
        padding = paddle.concat([padding[:, 1:], padding[:, :1]] * 2, axis=1).unsqueeze(1)
        return {
            "boxes": (masks_to_boxes(masks, threshold=_MASK_THRESHOLD) * padding).clip(max=1.0),
            "scores": scores,
            "class_ids": paddle.where(scores > 0.0, class_ids, paddle.full_like(class_ids, -1)),
            "masks": masks,
        }

    def forward_official(
        self, im_shape: Tensor, image: Tensor, scale_factor: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return instances in the form of the official inference model, for one photo at a time.

        Args:
            im_shape: (1, 2) height and width of the network input without padding.
            image: (1, 3, H, W) float32.
            scale_factor: (1, 2) network input over photo, y first.

        Returns:
            Number of rows, int64 scalar; classes (K,) int64; scores (K,); masks (K, height, width) uint8 at
            the photo's size. The last row is no instance.
        """
        segments = self._select(self.candidates(image), 0)
        size = original_sizes(im_shape, scale_factor)[0]
        masks = paste_probabilities(segments.masks, im_shape=im_shape[0], size=size)
        count = paddle.ones_like(segments.class_ids).sum()
        return count, segments.class_ids, segments.scores, masks

    def fix_image_size(self, image_size: tuple[int, int]) -> None:
        """Do nothing: no table depends on the size of the image."""

    def fuse_for_deploy(self) -> None:
        """Fold the normalisations of the backbone into their convolutions, for evaluation only."""
        fuse_units(self.backbone)

    def unfreeze_for_scratch(self) -> None:
        """Let the whole backbone learn with the full learning rate, for training without start weights."""
        self.backbone.unfreeze()
        start_from_shortcuts(self.backbone)
        start_from_shortcuts(self.backbone)

    def _predict(self, image: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Return kernels (B, D, g, g) and logits (B, C, g, g) of each level and the mask features."""
        _require_multiples(image)
        levels = self.neck(self.backbone(image))
        return *self.solov2_head(levels), self.mask_head(levels)

    def _select(self, predictions: Mapping[str, Tensor], index: int) -> Segments:
        """Return the instances of one image of the batch."""
        cells = [grid * grid for grid in self.solov2_head.grid_sizes]
        strides = paddle.to_tensor(np.repeat(np.array(self._cell_strides, np.float32), cells))
        return select_segments(
            predictions["scores"][index],
            predictions["kernels"][index],
            predictions["features"][index],
            strides=strides,
            limits=self.limits,
        )

    def _losses(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        kernels, logits, features = self._predict(batch["image"])
        targets = self._targets(batch)
        categories = paddle.to_tensor(np.stack([target.categories for target in targets]))
        losses = {
            "loss_ins": self._mask_loss_weight * mask_loss(list_cells(kernels), features, targets),
            "loss_cate": category_loss(list_cells(logits), categories),
        }
        return {"loss": losses["loss_ins"] + losses["loss_cate"], **losses}

    def _targets(self, batch: Mapping[str, Any]) -> list[CellTargets]:
        photos = zip(batch["gt_boxes"], batch["gt_class_ids"], batch["gt_masks"], strict=True)
        return [
            assign_cells(
                np.asarray(boxes, np.float32).reshape(-1, 4),
                np.asarray(class_ids, np.int64),
                masks,
                grid_sizes=self.solov2_head.grid_sizes,
            )
            for boxes, class_ids, masks in photos
        ]


def _require_multiples(image: Tensor) -> None:
    sides = image.shape[2:]
    # -1 is a side that a traced graph leaves free.
    if any(side > 0 and side % _LARGEST_STRIDE for side in sides):
        padded = [-(-side // _LARGEST_STRIDE) * _LARGEST_STRIDE for side in sides]
        raise ShapeError(
            f"network input is {sides[0]} x {sides[1]} pixels, expected multiples of {_LARGEST_STRIDE}; "
            f"pad to {padded[0]} x {padded[1]}"
        )


def _stack(parts: Sequence[Tensor], *, value: float) -> Tensor:
    """Join rows (n_i, ...) of each image to (B, K, ...), where `value` fills up to the largest n_i."""
    if len(parts) == 1:
        return parts[0].unsqueeze(0)  # its number of rows is unknown while a graph is traced
    count = max(len(part) for part in parts)
    return paddle.stack(
        [
            paddle.concat([part, paddle.full([count - len(part), *part.shape[1:]], value, part.dtype)])
            if len(part) < count
            else part
            for part in parts
        ]
    )
