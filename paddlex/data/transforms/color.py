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

__all__ = [
    "CLAHE",
    "ChannelsLast",
    "Clip",
    "NormalizeImage",
    "Permute",
    "RandomBlur",
    "RandomDistort",
    "ToFloat",
]

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
        probs: chances of brightness, contrast, saturation and hue, where they differ.
        count: how many of the four are tried.
        in_random_order: else in the order named above.
        shuffle_channel: exchange the channels at random in the end.
        bgr: the image's channels are B, G, R.
    """

    prob: float = 1.0
    each_prob: float = 0.5
    brightness: _Range = (0.5, 1.5)
    contrast: _Range = (0.5, 1.5)
    saturation: _Range = (0.5, 1.5)
    hue: _Range = (-18.0, 18.0)
    probs: tuple[float, float, float, float] | None = None
    count: int = 4
    in_random_order: bool = True
    shuffle_channel: bool = False
    bgr: bool = False

    def __post_init__(self) -> None:
        require_probability(self, name="prob", value=self.prob)
        require_probability(self, name="each_prob", value=self.each_prob)
        for value in self.probs or ():
            require_probability(self, name="probs", value=value)
        four = self.probs is None or len(self.probs) == 4
        require(four, self, name="probs", found=self.probs, expected="four numbers from 0 to 1")
        require(0 <= self.count <= 4, self, name="count", found=self.count, expected="0 to 4")
        for name in ("brightness", "contrast", "saturation"):
            require_range(self, name=name, value=getattr(self, name), lowest=0.0)
        require_range(self, name="hue", value=self.hue)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Distort the image, whose values are 0 to 255; float ones are rounded for it."""
        if rng.random() >= self.prob:
            return sample
        pixels = sample.image
        if pixels.dtype != np.uint8:
            pixels = pixels.round().clip(0, 255).astype(np.uint8)
        image = Image.fromarray(np.ascontiguousarray(pixels[:, :, ::-1]) if self.bgr else pixels)
        order = rng.permutation(4) if self.in_random_order else np.arange(4)
        for step in order[: self.count].tolist():
            if rng.random() < (self.probs[step] if self.probs else self.each_prob):
                image = self._apply(step, image, rng)
        distorted = np.array(image)
        if self.shuffle_channel:
            distorted = distorted[:, :, rng.permutation(3)]
        if self.bgr:
            distorted = distorted[:, :, ::-1]
        return replace(sample, image=np.ascontiguousarray(distorted, dtype=sample.image.dtype))

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


@dataclass(frozen=True, kw_only=True)
class ChannelsLast:
    """Image from (3, H, W) back to (H, W, 3), a view: undoes `Permute`."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Move channels last."""
        assert sample.image.shape[0] == 3, f"image {sample.image.shape} is not (3, height, width)"
        return replace(sample, image=sample.image.transpose(1, 2, 0))


@dataclass(frozen=True, kw_only=True)
class ToFloat:
    """Image to float32 before anything else, so that resizing does not round: PaddleX 1 works like that.

    Attributes:
        reverse_channels: R, G, B to B, G, R.
    """

    reverse_channels: bool = False

    def __post_init__(self) -> None:
        known = isinstance(self.reverse_channels, bool)
        require(known, self, name="reverse_channels", found=self.reverse_channels, expected="true or false")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Convert the (H, W, 3) image."""
        image = sample.image[:, :, ::-1] if self.reverse_channels else sample.image
        return replace(sample, image=np.ascontiguousarray(image, dtype=np.float32))


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Limit the values of each channel.

    Attributes:
        min_val: lower limits of the channels.
        max_val: upper limits.
    """

    min_val: tuple[float, float, float] = (0.0, 0.0, 0.0)
    max_val: tuple[float, float, float] = (255.0, 255.0, 255.0)

    def __post_init__(self) -> None:
        for name in ("min_val", "max_val"):
            require_colour(self, name=name, value=getattr(self, name))
        ascending = all(low <= high for low, high in zip(self.min_val, self.max_val, strict=True))
        require(ascending, self, name="max_val", found=self.max_val, expected=f"not below {self.min_val}")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Limit the values of the (H, W, 3) image."""
        low, high = (np.array(limits, dtype=np.float32) for limits in (self.min_val, self.max_val))
        limited = sample.image.clip(low, high)
        return replace(sample, image=np.asarray(limited, dtype=sample.image.dtype))


@dataclass(frozen=True, kw_only=True)
class CLAHE:
    """Local contrast evened out: adaptive histogram equalisation of lightness (Zuiderveld, 1994).

    Attributes:
        clip_limit: how far a histogram may rise above the even one.
        tile_grid_size: (rows, columns) of tiles that have a histogram each.
        bgr: the image's channels are B, G, R.
    """

    clip_limit: float = 2.0
    tile_grid_size: tuple[int, int] = (8, 8)
    bgr: bool = False

    def __post_init__(self) -> None:
        require(self.clip_limit > 0, self, name="clip_limit", found=self.clip_limit, expected="above 0")
        tiles = self.tile_grid_size
        fits = (
            isinstance(tiles, tuple) and len(tiles) == 2 and all(isinstance(n, int) and n > 0 for n in tiles)
        )
        require(fits, self, name="tile_grid_size", found=tiles, expected="[rows, columns]")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Even out the image, whose values are 0 to 255; float ones are rounded for it."""
        there, back = (
            (cv2.COLOR_BGR2LAB, cv2.COLOR_LAB2BGR) if self.bgr else (cv2.COLOR_RGB2LAB, cv2.COLOR_LAB2RGB)
        )
        lab = cv2.cvtColor(sample.image.round().clip(0, 255).astype(np.uint8), there)
        rows, columns = self.tile_grid_size
        equaliser = cv2.createCLAHE(clipLimit=self.clip_limit, tileGridSize=(columns, rows))
        lab[:, :, 0] = equaliser.apply(np.ascontiguousarray(lab[:, :, 0]))
        return replace(sample, image=np.asarray(cv2.cvtColor(lab, back), dtype=sample.image.dtype))
