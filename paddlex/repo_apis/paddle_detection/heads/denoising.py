"""Denoising queries: noised ground truth that the decoder learns to restore (DN-DETR, arXiv:2203.01305)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import paddle
from paddle import Tensor

from paddlex.nn.draws import UniformDraws
from paddlex.repo_apis.paddle_detection.losses.predictions import DenoisingMeta

__all__ = ["DenoisingQueries", "make_denoising_queries"]


@dataclass(frozen=True)
class DenoisingQueries:
    """Noised copies of the ground truth, in groups of equal size.

    Attributes:
        class_ids: (B, N) int64, the number of classes where a slot is padding.
        boxes: (B, N, 4) float32 cxcywh in fractions of the image, not clipped; zeros where padding.
        meta: which slot restores which object.
    """

    class_ids: Tensor
    boxes: Tensor
    meta: DenoisingMeta

    @property
    def num_queries(self) -> int:
        """Slots of an image, N."""
        return int(self.class_ids.shape[1])

    def attention_mask(self, num_queries: int) -> Tensor:
        """Return what the self attention must not see when `num_queries` ordinary queries follow.

        Nobody sees the noised copies of another group; ordinary queries see none of them.

        Returns:
            (N + num_queries, N + num_queries) float32, -inf where the row must not see the column, else 0.
        """
        groups = np.arange(self.num_queries) // self.meta.group_size
        ordinary = np.full(num_queries, -1)
        row, column = (np.concatenate([groups, ordinary])[index] for index in (np.s_[:, None], np.s_[None]))
        blocked = (column >= 0) & (row != column)
        return paddle.to_tensor(np.where(blocked, -np.inf, 0.0).astype(np.float32))


def make_denoising_queries(
    gt_class_ids: Sequence[Tensor],
    gt_boxes: Sequence[Tensor],
    *,
    num_classes: int,
    num_denoising: int,
    label_noise_ratio: float,
    box_noise_scale: float,
    draws: UniformDraws,
) -> DenoisingQueries | None:
    """Noise the ground truth of a batch.

    Args:
        gt_class_ids: (n,) int64 per image.
        gt_boxes: (n, 4) float32 cxcywh in fractions of the image, per image.
        num_classes: classes.
        num_denoising: wanted slots of an image; the fullest image decides how many groups fit.
        label_noise_ratio: share of slots whose class is redrawn, halved as in the paper's code.
        box_noise_scale: 1 moves a centre by up to half a side and changes a side by up to its length.
        draws: source of randomness.

    Returns:
        The queries, or None when none are wanted or the batch has no object.
    """
    counts = [len(ids) for ids in gt_class_ids]
    group_size = max(counts, default=0)
    if num_denoising <= 0 or group_size == 0:
        return None
    num_groups = max(1, num_denoising // group_size)
    class_ids = np.full((len(counts), group_size), num_classes, np.int64)
    boxes = np.zeros((len(counts), group_size, 4), np.float32)
    for i, count in enumerate(counts):
        if count:
            class_ids[i, :count] = gt_class_ids[i].numpy()
            boxes[i, :count] = gt_boxes[i].numpy()
    class_ids, boxes = np.tile(class_ids, (1, num_groups)), np.tile(boxes, (1, num_groups, 1))
    present = class_ids < num_classes
    class_ids = _noise_labels(
        class_ids, present, num_classes=num_classes, probability=0.5 * label_noise_ratio, draws=draws
    )
    return DenoisingQueries(
        class_ids=paddle.to_tensor(class_ids),
        boxes=paddle.to_tensor(_noise_boxes(boxes, scale=box_noise_scale, draws=draws)),
        meta=DenoisingMeta(num_groups=num_groups, group_size=group_size),
    )


def _noise_labels(
    class_ids: np.ndarray, present: np.ndarray, *, num_classes: int, probability: float, draws: UniformDraws
) -> np.ndarray:
    """Redraw the class of present slots; the new class may be the old one."""
    chosen = (draws.uniform(class_ids.shape).numpy() < probability) & present
    noised = class_ids.copy()
    if chosen.any():
        noised[chosen] = draws.integers(num_classes, int(chosen.sum())).numpy()
    return noised


def _noise_boxes(boxes: np.ndarray, *, scale: float, draws: UniformDraws) -> np.ndarray:
    """Shift centres by up to half a side and change sides by up to their length, times `scale`."""
    reach = np.concatenate([boxes[..., 2:] * np.float32(0.5), boxes[..., 2:]], axis=-1)
    noise = draws.uniform(boxes.shape).numpy() * np.float32(2.0) - np.float32(1.0)
    return boxes + noise * np.float32(scale) * reach
