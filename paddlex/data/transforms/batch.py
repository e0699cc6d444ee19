"""Transforms of a whole batch, and what joins samples into one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from paddlex.data.transforms.geometry import drawn_interp, pad_sample, resize_sample
from paddlex.data.transforms.scaling import RandomResizeByShort, ResizeByShort
from paddlex.data.transforms.validation import require, require_interp, require_size
from paddlex.structures.masks import MaskCrops
from paddlex.structures.sample import Sample
from paddlex.utils.errors import ShapeError

__all__ = [
    "Batch",
    "BatchRandomResize",
    "BatchRandomResizeByShort",
    "MixupImage",
    "PadBatch",
    "collate",
    "with_dense_masks",
]

# Keys and shapes are given by `collate`.
Batch = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class BatchRandomResize:
    """Resize all images of a batch to one random size: multi-scale training. The aspect is not kept.

    Attributes:
        target_sizes: sides of squares, or (height, width) pairs; a size listed twice is drawn twice as often.
        random_interp: draw one of the five interpolations for the batch.
        interp: OpenCV code when it is not drawn.
    """

    target_sizes: tuple[int | tuple[int, int], ...]
    random_interp: bool = True
    interp: int = 2

    def __post_init__(self) -> None:
        found = self.target_sizes
        require(bool(found), self, name="target_sizes", found=found, expected="at least one size")
        for size in found:
            require_size(self, name="target_sizes", value=(size, size) if isinstance(size, int) else size)
        require_interp(self, name="interp", value=self.interp)

    def __call__(self, samples: Sequence[Sample], rng: np.random.Generator) -> list[Sample]:
        """Resize images, boxes, masks and label maps."""
        chosen = self.target_sizes[rng.integers(len(self.target_sizes))]
        size = (chosen, chosen) if isinstance(chosen, int) else chosen
        interp = drawn_interp(self.interp, random_interp=self.random_interp, rng=rng)
        return [resize_sample(sample, size, interp=interp) for sample in samples]


@dataclass(frozen=True, kw_only=True)
class BatchRandomResizeByShort:
    """Resize all images of a batch with the aspect kept, their short sides to one random length.

    Attributes:
        short_sizes: lengths to draw from, pixels; one listed twice is drawn twice as often.
        max_size: as `ResizeByShort`.
        random_interp: draw one of the five interpolations for the batch.
        interp: OpenCV code when it is not drawn.
    """

    short_sizes: tuple[int, ...]
    max_size: int = -1
    random_interp: bool = False
    interp: int = 0

    def __post_init__(self) -> None:
        found = self.short_sizes
        require(bool(found), self, name="short_sizes", found=found, expected="at least one length")
        RandomResizeByShort(short_sizes=found, max_size=self.max_size, interp=self.interp)

    def __call__(self, samples: Sequence[Sample], rng: np.random.Generator) -> list[Sample]:
        """Resize images, boxes, masks and label maps."""
        side = self.short_sizes[rng.integers(len(self.short_sizes))]
        interp = drawn_interp(self.interp, random_interp=self.random_interp, rng=rng)
        step = ResizeByShort(short_size=side, max_size=self.max_size, interp=interp)
        return [step(sample, rng) for sample in samples]


@dataclass(frozen=True, kw_only=True)
class MixupImage:
    """Blend each photo with another one of the batch and join their objects (mixup, arXiv:1710.09412).

    The canvas has the larger height and the larger width of the two, black where a photo does not reach. The
    only photo of a batch stays as it is.

    Attributes:
        alpha: first parameter of the Beta distribution that the weight of a photo is drawn from.
        beta: second one.
        epochs: mix in the first epochs only, as many as this; None mixes in all. See `BatchCompose.in_epoch`.
    """

    alpha: float = 1.5
    beta: float = 1.5
    epochs: int | None = None

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            value = getattr(self, name)
            require(value > 0, self, name=name, found=value, expected="above 0")

    def __call__(self, samples: Sequence[Sample], rng: np.random.Generator) -> list[Sample]:
        """Mix photos (H, W, 3), whose values are 0 to 255, with boxes and masks."""
        count = len(samples)
        if count < 2:
            return list(samples)
        partners = [(place + int(rng.integers(1, count))) % count for place in range(count)]
        weights = rng.beta(self.alpha, self.beta, size=count).tolist()
        pairs = zip(samples, partners, weights, strict=True)
        return [_mixed(sample, samples[partner], weight) for sample, partner, weight in pairs]


def _mixed(one: Sample, other: Sample, weight: float) -> Sample:
    """`one` times `weight` plus `other` times the rest."""
    if one.label_map is not None:
        raise ShapeError("MixupImage joins objects; the classes of pixels cannot be mixed: leave it out")
    size = max(one.size[0], other.size[0]), max(one.size[1], other.size[1])
    first, second = pad_sample(one, size), pad_sample(other, size)
    image = first.image.astype(np.float32) * weight + second.image.astype(np.float32) * (1 - weight)
    if one.image.dtype == np.uint8:
        image = image.round().clip(0, 255)
    masks = None
    if first.masks is not None and second.masks is not None:
        kind = type(first.masks)
        masks = kind.concatenate([first.masks, second.masks], size=size)  # type: ignore[list-item]
    return replace(
        first,
        image=image.astype(one.image.dtype),
        boxes=np.concatenate([first.boxes, second.boxes]),
        class_ids=np.concatenate([first.class_ids, second.class_ids]),
        masks=masks,
        content_size=None,
    )


@dataclass(frozen=True, kw_only=True)
class PadBatch:
    """Pad with zeros at the bottom and right to the largest image of the batch.

    Attributes:
        stride: the padded sides are rounded up to multiples of this; 1 or below does not round.
    """

    stride: int = 1

    def __post_init__(self) -> None:
        require(
            isinstance(self.stride, int), self, name="stride", found=self.stride, expected="a whole number"
        )

    def __call__(self, samples: Sequence[Sample], rng: np.random.Generator) -> list[Sample]:
        """Pad images, masks and label maps."""
        stride = max(self.stride, 1)
        height, width = (
            -(-max(sides) // stride) * stride
            for sides in zip(*(sample.size for sample in samples), strict=True)
        )
        return [pad_sample(sample, (height, width)) for sample in samples]


def collate(samples: Sequence[Sample]) -> Batch:
    """Join samples of one size, images (3, H, W) float32, into what a network takes.

    Args:
        samples: at least one.

    Returns:
        `image` (B, 3, H, W) float32; `im_shape` (B, 2) float32 [height, width] without padding;
        `scale_factor` (B, 2) float32 [vertical, horizontal]; `image_id` list of int. With masks also, one
        entry a photo: `gt_boxes` (n, 4) float32 xyxy in pixels of the image, `gt_class_ids` (n,) int64,
        `gt_masks` the samples' n masks, as crops or shapes; n may be 0. With label maps also `label_map`
        (B, H, W).

    Raises:
        ShapeError: if sizes differ.
    """
    shapes = {sample.image.shape for sample in samples}
    if len(shapes) != 1:
        raise ShapeError(f"a batch of images {sorted(shapes)}; expected one shape: add Resize or PadBatch")
    batch: Batch = {
        "image": np.stack([sample.image for sample in samples]),
        "im_shape": np.array(
            [sample.content_size or sample.image.shape[1:] for sample in samples], dtype=np.float32
        ),
        "scale_factor": np.array([sample.scale_factor for sample in samples], dtype=np.float32),
        "image_id": [sample.image_id for sample in samples],
    }
    masks = [sample.masks for sample in samples if sample.masks is not None]
    if len(masks) == len(samples):
        batch["gt_boxes"] = [sample.boxes for sample in samples]
        batch["gt_class_ids"] = [sample.class_ids for sample in samples]
        batch["gt_masks"] = masks
    label_maps = [sample.label_map for sample in samples if sample.label_map is not None]
    if len(label_maps) == len(samples):
        batch["label_map"] = np.stack(label_maps)
    return batch


def with_dense_masks(batch: Batch) -> Batch:
    """`batch` with crops in `gt_masks` unpacked to (n, H, W) uint8; shapes stay, which networks rasterise."""
    if "gt_masks" not in batch:
        return batch
    masks = [
        entry.to_dense().view(np.uint8) if isinstance(entry, MaskCrops) else entry
        for entry in batch["gt_masks"]
    ]
    return {**batch, "gt_masks": masks}
