"""RoIAlign (arXiv:1703.06870) from the pyramid level that suits each box (arXiv:1612.03144, equation 1)."""

import math
from collections.abc import Sequence

import paddle
from paddle import Tensor
from paddle.vision.ops import distribute_fpn_proposals, roi_align

from paddlex.nn.cpu_operators import own_operators_apply
from paddlex.nn.roi_align_cpu import roi_align_cpu

__all__ = ["RoIAlign"]

# A box of 224 x 224 pixels, the size of ImageNet's crops, is pooled from the level of stride 16.
_CANONICAL_SIDE = 224
_CANONICAL_LEVEL = 4


class RoIAlign:
    """Cut boxes out of features, each resampled to a small square.

    With several strides a box goes to level floor(log2(sqrt(area) / 224)) + 4, within those there are; level
    l has stride 2^l.

    Args:
        strides: of the features, fine to coarse, each twice the one before.
        resolution: side of the square, in cells.
        sampling_ratio: samples of a cell in each direction; 0 takes as many as the box has feature cells per
            cell, rounded up.
        aligned: shift the samples by half a feature cell, as bilinear interpolation of pixel centres asks;
            the published networks are computed without and were trained with it.
    """

    def __init__(
        self, strides: Sequence[int], *, resolution: int, sampling_ratio: int = 0, aligned: bool = False
    ) -> None:
        self.strides = tuple(strides)
        self.resolution = resolution
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def __call__(self, features: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Pool the boxes of every photo.

        Args:
            features: (B, C, h, w) of each stride; further ones are not used.
            boxes: per photo (n_i, 4) xyxy in pixels of the network input; n_i may be 0.

        Returns:
            (sum of n_i, C, resolution, resolution), photo by photo in the order of `boxes`.
        """
        counts = paddle.concat([paddle.shape(part)[:1] for part in boxes]).astype("int32")
        rois = paddle.concat(list(boxes))
        if len(self.strides) == 1:
            return self._pool(0, features[0], rois, counts)
        level_rois, restore, level_counts = distribute_fpn_proposals(
            rois,
            int(math.log2(self.strides[0])),
            int(math.log2(self.strides[-1])),
            _CANONICAL_LEVEL,
            _CANONICAL_SIDE,
            rois_num=counts,
        )
        pooled = [
            self._pool(i, features[i], level_rois[i], level_counts[i]) for i in range(len(self.strides))
        ]
        return paddle.concat(pooled).gather(restore.flatten())

    def _pool(self, level: int, feature: Tensor, rois: Tensor, counts: Tensor) -> Tensor:
        learns_here = own_operators_apply(feature) and not feature.stop_gradient
        pool = roi_align_cpu if learns_here else roi_align
        return pool(
            feature,
            rois,
            counts,
            self.resolution,
            spatial_scale=1.0 / self.strides[level],
            sampling_ratio=self.sampling_ratio,
            aligned=self.aligned,
        )
