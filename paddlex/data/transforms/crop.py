"""Random crops: image, boxes, masks and label map together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from paddlex.data.transforms.canvas import crop_sample
from paddlex.data.transforms.geometry import resize_sample
from paddlex.data.transforms.validation import (
    require,
    require_interp,
    require_probability,
    require_range,
    require_size,
)
from paddlex.structures.sample import Sample

__all__ = ["RandomCrop", "RandomScaleAspect"]


@dataclass(frozen=True, kw_only=True)
class RandomCrop:
    """Crop so that a drawn overlap with some object is kept (SSD, arXiv:1512.02325).

    A threshold is drawn; crops are then tried until the best IoU of crop and any box reaches it and some box
    centre lies inside. When all `attempts` fail the next threshold is drawn.

    Attributes:
        prob: chance of cropping.
        thresholds: IoU thresholds to draw from.
        allow_no_crop: "leave it whole" is drawn like a threshold.
        scaling: range of the crop's side relative to the photo's.
        aspect_ratio: range of width over height, relative to the photo's.
        attempts: crops per threshold.
        cover_all_box: every box must reach the threshold, not only the best.
        crop_empty: crop photos without objects, too; else they stay whole.
        crop_size: (height, width) that a photo is resized to afterwards, cropped or not; None leaves it.
        interp: OpenCV code of that, as `Resize`.
    """

    prob: float = 1.0
    thresholds: tuple[float, ...] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
    allow_no_crop: bool = True
    scaling: tuple[float, float] = (0.3, 1.0)
    aspect_ratio: tuple[float, float] = (0.5, 2.0)
    attempts: int = 50
    cover_all_box: bool = False
    crop_empty: bool = False
    crop_size: tuple[int, int] | None = None
    interp: int = cv2.INTER_LINEAR

    def __post_init__(self) -> None:
        require_probability(self, name="prob", value=self.prob)
        for threshold in self.thresholds:
            require_probability(self, name="thresholds", value=threshold)
        require_range(self, name="scaling", value=self.scaling, lowest=0.01)
        require(self.scaling[1] <= 1, self, name="scaling", found=self.scaling, expected="at most 1")
        require_range(self, name="aspect_ratio", value=self.aspect_ratio, lowest=0.01)
        lowest, highest = self.aspect_ratio
        # Otherwise a crop of the whole photo (scale 1, aspect 1) could not be drawn.
        require(
            lowest <= 1 <= highest, self, name="aspect_ratio", found=self.aspect_ratio, expected="1 within"
        )
        require(self.attempts > 0, self, name="attempts", found=self.attempts, expected="above 0")
        if self.crop_size is not None:
            require_size(self, name="crop_size", value=self.crop_size)
        require_interp(self, name="interp", value=self.interp)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Crop image, boxes, masks and label map, or nothing."""
        sample = self._cropped(sample, rng) if rng.random() < self.prob else sample
        return resize_sample(sample, self.crop_size, interp=self.interp) if self.crop_size else sample

    def _cropped(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if not len(sample.boxes):
            return self._anywhere(sample, rng) if self.crop_empty else sample
        choices: list[float | None] = [*self.thresholds, *([None] if self.allow_no_crop else [])]
        for choice in rng.permutation(len(choices)):
            threshold = choices[choice]
            if threshold is None:
                return sample
            crops = self._draw(sample.size, rng)
            centred = _centres_inside(sample.boxes, crops)
            overlaps = _iou(crops, sample.boxes)
            overlap = overlaps.min(axis=1) if self.cover_all_box else overlaps.max(axis=1)
            accepted = centred.any(axis=1) & (overlap >= threshold)
            if accepted.any():
                first = int(accepted.argmax())
                return _cropped(sample, crops[first], kept=centred[first])
        return sample

    def _anywhere(self, sample: Sample, rng: np.random.Generator) -> Sample:
        x1, y1, x2, y2 = self._draw(sample.size, rng)[0].tolist()
        return crop_sample(sample, y=y1, x=x1, size=(y2 - y1, x2 - x1))

    def _draw(self, size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int64]:
        """(attempts, 4) xyxy of random crops, pixels."""
        height, width = size
        scale = rng.uniform(*self.scaling, size=self.attempts)
        lowest = np.maximum(self.aspect_ratio[0], scale**2)
        highest = np.minimum(self.aspect_ratio[1], scale**-2)
        aspect = np.sqrt(rng.uniform(lowest, highest))
        crop_height = np.maximum(1, (height * scale / aspect).astype(np.int64)).clip(max=height)
        crop_width = np.maximum(1, (width * scale * aspect).astype(np.int64)).clip(max=width)
        y = rng.integers(0, height - crop_height + 1)
        x = rng.integers(0, width - crop_width + 1)
        return np.stack([x, y, x + crop_width, y + crop_height], axis=1)


@dataclass(frozen=True, kw_only=True)
class RandomScaleAspect:
    """Crop a part of random size and aspect and bring it to the photo's size.

    Attributes:
        scaling: range of the part's side relative to the photo's, above 0, at most 1.
        aspect_ratio: width over height, relative to the photo's, lies between this and its inverse.
        attempts: crops that are tried until one keeps the centre of an object, where there are objects.
        interp: OpenCV code, as `Resize`.
    """

    scaling: tuple[float, float] = (0.5, 1.0)
    aspect_ratio: float = 0.33
    attempts: int = 10
    interp: int = cv2.INTER_LINEAR

    def __post_init__(self) -> None:
        ratio = self.aspect_ratio
        require(0 < ratio <= 1, self, name="aspect_ratio", found=ratio, expected="above 0, at most 1")
        self._crop(None)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Crop and resize image, boxes, masks and label map."""
        return self._crop(sample.size)(sample, rng)

    def _crop(self, size: tuple[int, int] | None) -> RandomCrop:
        return RandomCrop(
            thresholds=(0.0,),
            allow_no_crop=False,
            scaling=self.scaling,
            aspect_ratio=(self.aspect_ratio, 1 / self.aspect_ratio),
            attempts=self.attempts,
            crop_empty=True,
            crop_size=size,
            interp=self.interp,
        )


def _centres_inside(boxes: NDArray[np.float32], crops: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(C, N): whether the centre of box n lies inside crop c."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = (centres[None] >= crops[:, None, :2]) & (centres[None] < crops[:, None, 2:])
    return np.asarray(inside.all(axis=2))


def _iou(crops: NDArray[np.int64], boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """(C, N) intersection over union."""
    sides = np.minimum(crops[:, None, 2:], boxes[None, :, 2:]) - np.maximum(
        crops[:, None, :2], boxes[None, :, :2]
    )
    overlap = sides.clip(min=0).prod(axis=2)
    crop_area = (crops[:, 2:] - crops[:, :2]).prod(axis=1)
    box_area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return np.asarray(overlap / (crop_area[:, None] + box_area[None] - overlap))


def _cropped(sample: Sample, crop: NDArray[np.int64], *, kept: NDArray[np.bool_]) -> Sample:
    """Cut `sample` to `crop`; objects without a pixel in it go, and if none stays, nothing is cut."""
    x1, y1, x2, y2 = crop.tolist()
    masks = sample.masks[np.flatnonzero(kept)] if sample.masks is not None else None
    chosen = replace(sample, boxes=sample.boxes[kept], class_ids=sample.class_ids[kept], masks=masks)
    cropped = crop_sample(chosen, y=y1, x=x1, size=(y2 - y1, x2 - x1))
    return cropped if len(cropped.boxes) else sample
