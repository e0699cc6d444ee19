"""Which sampled boxes the mask head of R-CNN learns from, and the masks that it shall predict there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor

from paddlex.repo_apis.paddle_detection.matching.roi_sampling import SampledBoxes
from paddlex.structures.shapes import InstanceShapes

__all__ = ["MaskTargets", "make_mask_targets"]


@dataclass(frozen=True, kw_only=True)
class MaskTargets:
    """The F boxes of a batch that have a mask, photo by photo.

    Attributes:
        rows: per photo the index (f,) int64 of its boxes among its sampled boxes; f is at least 1.
        class_ids: (F,) int64.
        masks: (F, M, M) float32 of 0 and 1.
        weights: (F,) float32: 1, or 0 for a box that stands in where a photo has no foreground.
    """

    rows: list[Tensor]
    class_ids: Tensor
    masks: Tensor
    weights: Tensor


def make_mask_targets(
    samples: Sequence[SampledBoxes],
    shapes: Sequence[InstanceShapes],
    *,
    num_classes: int,
    resolution: int,
) -> MaskTargets:
    """Rasterise, inside each foreground box, the object that it matched.

    A photo without foreground contributes its second box (its only one, if there is but one) with weight 0,
    as the published training does; so every photo has a part in the mask head's gradient.

    Args:
        samples: per photo.
        shapes: per photo the drawn masks of its objects, on the canvas of the network input.
        num_classes: classes; it is also the class id of the background.
        resolution: M.
    """
    rows, class_ids, masks, weights = [], [], [], []
    for sample, drawn in zip(samples, shapes, strict=True):
        ids = sample.class_ids.numpy()
        chosen = np.flatnonzero(ids < num_classes)
        if len(chosen):
            targets = drawn.roi_targets(
                sample.gt_indices.numpy()[chosen], sample.boxes.numpy()[chosen], resolution=resolution
            )
            class_ids.append(ids[chosen])
        else:
            chosen = np.array([min(1, len(ids) - 1)])
            targets = np.zeros((1, resolution, resolution), np.uint8)
            class_ids.append(np.zeros(1, np.int64))
        weights.append(np.full(len(chosen), (ids[chosen] < num_classes).any(), np.float32))
        rows.append(paddle.to_tensor(chosen.astype(np.int64)))
        masks.append(targets)
    return MaskTargets(
        rows=rows,
        class_ids=_join(class_ids, "int64"),
        masks=_join(masks, "float32"),
        weights=_join(weights, "float32"),
    )


def _join(arrays: Sequence[NDArray[np.generic]], dtype: str) -> Tensor:
    return paddle.to_tensor(np.concatenate(arrays).astype(dtype))
