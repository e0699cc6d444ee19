"""Transforms of pixel values; boxes and masks stay as they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from paddlex.data.transforms.validation import (
    require,
    require_colour,
    require_probability,
    require_range,
)
from paddlex.structures.sample import Sample

__all__ = ["NormalizeImage", "Permute", "RandomBlur", "RandomDistort"]

_Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class RandomDistort:
    """Brightness, contrast, saturation and hue changed in random order (SSD, arXiv:1512.02325).

    Attributes:
        prob: chance that a photo is distorted at all.
        each_prob: chance of each of the four, given that.
        brightness: range of the factor; 1 leaves the photo as it is.
        contrast: likewise, around the photo's mean grey.
        saturation: likewise, around each pixel's grey.
        hue: range of the shift, in 256ths of the colour circle.
    """

    prob: float = 1.0
    each_prob: float = 0.5
    brightness: _Range = (0.5, 1.5)
    contrast: _Range = (0.5, 1.5)
    saturation: _Range = (0.5, 1.5)
    hue: _Range = (-18.0, 18.0)

    def __post_init__(self) -> None:
        require_probability(self, name="prob", value=self.prob)
        require_probability(self, name="each_prob", value=self.each_prob)
        for name in ("brightness", "contrast", "saturation"):
            require_range(self, name=name, value=getattr(self, name), lowest=0.0)
        require_range(self, name="hue", value=self.hue)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Distort the uint8 RGB image."""
        if rng.random() >= self.prob:
            return sample
        image = Image.fromarray(sample.image)
        for step in rng.permutation(4):
            if rng.random() < self.each_prob:
                image = self._apply(int(step), image, rng)
        return replace(sample, image=np.array(image))

    def _apply(self, step: int, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        if step == 0:
            return ImageEnhance.Brightness(image).enhance(rng.uniform(*self.brightness))
        if step == 1:
            return ImageEnhance.Contrast(image).enhance(rng.uniform(*self.contrast))
        if step == 2:
            return ImageEnhance.Color(image).enhance(rng.uniform(*self.saturation))
        return _shift_hue(image, rng.uniform(*self.hue))


def _shift_hue(image: Image.Image, shift: float) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    # Truncated and wrapped, as writing the sum back to 8 bits does.
    table = np.trunc(np.arange(256) + shift).astype(np.int64) % 256
    return Image.merge("HSV", (hue.point(table.tolist()), saturation, value)).convert("RGB")


@dataclass(frozen=True, kw_only=True)
class RandomBlur:
    """Gaussian blur with a kernel of 3, 5, 7 or 9 pixels.

    Attributes:
        prob: chance of a blur.
    """

    prob: float = 0.1

    def __post_init__(self) -> None:
        require_probability(self, name="prob", value=self.prob)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Blur the image, or nothing."""
        if rng.random() >= self.prob:
            return sample
        side = 3 + 2 * int(rng.integers(4))
        return replace(sample, image=cv2.GaussianBlur(sample.image, (side, side), 0))


@dataclass(frozen=True, kw_only=True)
class NormalizeImage:
    """Image to float32: `((x - min) / (max - min) - mean) / std`, with 0 and 255 as a rule.

    Attributes:
        mean: of R, G, B, in units of the scaled image.
        std: likewise, positive.
        is_scale: bring the range from `min_val` to `max_val` to 0..1 first.
        norm_type: `none` or `mean_std`. Official exports say `none` beside a mean and std that are applied
            all the same; so it is accepted and changes nothing.
        min_val: of R, G, B: what becomes 0.
        max_val: likewise, above `min_val`: what becomes 1.
    """

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    is_scale: bool = True
    norm_type: Literal["none", "mean_std"] | None = "mean_std"
    min_val: tuple[float, float, float] = (0.0, 0.0, 0.0)
    max_val: tuple[float, float, float] = (255.0, 255.0, 255.0)

    def __post_init__(self) -> None:
        require_colour(self, name="mean", value=self.mean)
        require_colour(self, name="std", value=self.std)
        require(min(self.std) > 0, self, name="std", found=self.std, expected="positive numbers")
        for name in ("min_val", "max_val"):
            require_colour(self, name=name, value=getattr(self, name))
        ascending = all(low < high for low, high in zip(self.min_val, self.max_val, strict=True))
        require(ascending, self, name="max_val", found=self.max_val, expected=f"above min_val {self.min_val}")
        known = self.norm_type in ("none", "mean_std", None)
        require(known, self, name="norm_type", found=self.norm_type, expected="none or mean_std")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Normalise the (H, W, 3) image; 8 bits go through a table, which is exact and faster."""
        image = sample.image
        if image.dtype == np.uint8:
            return replace(sample, image=cv2.LUT(image, self._table))
        return replace(sample, image=self._normalise(image.astype(np.float32)))

    @cached_property
    def _table(self) -> NDArray[np.float32]:
        """(1, 256, 3) normalised value of each level and channel."""
        levels = np.repeat(np.arange(256, dtype=np.float32)[None, :, None], 3, axis=2)
        return self._normalise(levels)

    def _normalise(self, image: NDArray[np.float32]) -> NDArray[Any]:
        if self.is_scale:
            low, high = np.array(self.min_val), np.array(self.max_val)
            image -= low.astype(np.float32)
            image *= (1.0 / (high - low)).astype(np.float32)
        image -= np.array(self.mean, dtype=np.float32)
        image /= np.array(self.std, dtype=np.float32)
        return image


@dataclass(frozen=True, kw_only=True)
class Permute:
    """Image from (H, W, 3) to (3, H, W), as networks read it; comes last: the others expect (H, W, 3)."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Move channels first."""
        assert sample.image.shape[2] == 3, f"image {sample.image.shape} is not (height, width, 3)"
        return replace(sample, image=np.ascontiguousarray(sample.image.transpose(2, 0, 1)))
