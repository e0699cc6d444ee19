"""Resizing by one side, by a random factor, or to a size drawn from a list."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from paddlex.data.transforms.geometry import Resize, drawn_interp, resize_sample
from paddlex.data.transforms.validation import require, require_interp, require_range, require_size
from paddlex.structures.sample import Sample

__all__ = [
    "RandomResize",
    "RandomResizeByShort",
    "ResizeByLong",
    "ResizeByShort",
    "ResizeRangeScaling",
    "ResizeStepScaling",
]


def _scaled(sample: Sample, scale: float, *, interp: int) -> Sample:
    """Resize both sides by `scale`, rounded half to even."""
    height, width = (max(1, round(side * scale)) for side in sample.size)
    return resize_sample(sample, (height, width), interp=interp)


@dataclass(frozen=True, kw_only=True)
class ResizeByShort:
    """Resize so that the short side gets a length.

    Attributes:
        short_size: that length, pixels.
        max_size: the long side gets this length instead where it would exceed it; 0 or below sets no limit.
        interp: OpenCV code, as `Resize`.
        random_interp: draw the code instead.
    """

    short_size: int = 256
    max_size: int = -1
    interp: int = cv2.INTER_LINEAR
    random_interp: bool = False

    def __post_init__(self) -> None:
        require_size(self, name="short_size", value=(self.short_size, self.short_size))
        whole = isinstance(self.max_size, int)
        require(whole, self, name="max_size", found=self.max_size, expected="a whole number")
        require_interp(self, name="interp", value=self.interp)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Resize image, boxes, masks and label map."""
        short, long = sorted(sample.size)
        scale = self.short_size / short
        if 0 < self.max_size < round(scale * long):
            scale = self.max_size / long
        interp = drawn_interp(self.interp, random_interp=self.random_interp, rng=rng)
        return _scaled(sample, scale, interp=interp)


@dataclass(frozen=True, kw_only=True)
class RandomResizeByShort:
    """`ResizeByShort` with a length drawn from a list.

    Attributes:
        short_sizes: lengths of the short side, pixels; one listed twice is drawn twice as often.
        max_size: as `ResizeByShort`.
        interp: OpenCV code, as `Resize`.
        random_interp: draw the code instead.
    """

    short_sizes: tuple[int, ...]
    max_size: int = -1
    interp: int = cv2.INTER_LINEAR
    random_interp: bool = False

    def __post_init__(self) -> None:
        found = self.short_sizes
        require(bool(found), self, name="short_sizes", found=found, expected="at least one length")
        for side in found:
            ResizeByShort(short_size=side, max_size=self.max_size, interp=self.interp)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Resize image, boxes, masks and label map."""
        side = self.short_sizes[rng.integers(len(self.short_sizes))]
        step = ResizeByShort(
            short_size=side, max_size=self.max_size, interp=self.interp, random_interp=self.random_interp
        )
        return step(sample, rng)


@dataclass(frozen=True, kw_only=True)
class RandomResize:
    """Resize to a size drawn from a list. The aspect is not kept.

    Attributes:
        target_sizes: sides of squares, or (height, width) pairs; a size listed twice is drawn twice as often.
        interp: OpenCV code, as `Resize`.
        random_interp: draw the code instead.
    """

    target_sizes: tuple[int | tuple[int, int], ...]
    interp: int = cv2.INTER_LINEAR
    random_interp: bool = False

    def __post_init__(self) -> None:
        found = self.target_sizes
        require(bool(found), self, name="target_sizes", found=found, expected="at least one size")
        for size in found:
            require_size(self, name="target_sizes", value=(size, size) if isinstance(size, int) else size)
        require_interp(self, name="interp", value=self.interp)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Resize image, boxes, masks and label map."""
        chosen = self.target_sizes[rng.integers(len(self.target_sizes))]
        size = (chosen, chosen) if isinstance(chosen, int) else chosen
        step = Resize(target_size=size, interp=self.interp, random_interp=self.random_interp)
        return step(sample, rng)


@dataclass(frozen=True, kw_only=True)
class ResizeByLong:
    """Resize so that the long side gets a length.

    Attributes:
        long_size: that length, pixels.
        interp: OpenCV code, as `Resize`.
        random_interp: draw the code instead.
    """

    long_size: int = 256
    interp: int = cv2.INTER_LINEAR
    random_interp: bool = False

    def __post_init__(self) -> None:
        require_size(self, name="long_size", value=(self.long_size, self.long_size))
        require_interp(self, name="interp", value=self.interp)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Resize image, boxes, masks and label map."""
        interp = drawn_interp(self.interp, random_interp=self.random_interp, rng=rng)
        return _scaled(sample, self.long_size / max(sample.size), interp=interp)


@dataclass(frozen=True, kw_only=True)
class ResizeRangeScaling:
    """Resize so that the long side gets a length drawn from a range: multi-scale training.

    Attributes:
        min_value: the least length, pixels.
        max_value: the greatest.
        interp: OpenCV code, as `Resize`.
    """

    min_value: int = 400
    max_value: int = 600
    interp: int = cv2.INTER_LINEAR

    def __post_init__(self) -> None:
        limits = (self.min_value, self.max_value)
        require_size(self, name="min_value, max_value", value=limits)
        require_range(self, name="min_value, max_value", value=limits)
        require_interp(self, name="interp", value=self.interp)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Resize image, boxes, masks and label map."""
        length = int(rng.integers(self.min_value, self.max_value + 1))
        return _scaled(sample, length / max(sample.size), interp=self.interp)


@dataclass(frozen=True, kw_only=True)
class ResizeStepScaling:
    """Resize by a factor drawn from evenly spaced ones: multi-scale training.

    Attributes:
        min_scale_factor: the smallest.
        max_scale_factor: the largest.
        scale_step_size: distance between factors; 0 draws any factor between the two.
        interp: OpenCV code, as `Resize`.
    """

    min_scale_factor: float = 0.75
    max_scale_factor: float = 1.25
    scale_step_size: float = 0.25
    interp: int = cv2.INTER_LINEAR

    def __post_init__(self) -> None:
        limits = (self.min_scale_factor, self.max_scale_factor)
        require_range(self, name="min_scale_factor, max_scale_factor", value=limits, lowest=0.01)
        step = self.scale_step_size
        require(step >= 0, self, name="scale_step_size", found=step, expected="0 or more")
        require_interp(self, name="interp", value=self.interp)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Resize image, boxes, masks and label map."""
        return _scaled(sample, self._draw(rng), interp=self.interp)

    def _draw(self, rng: np.random.Generator) -> float:
        lowest, highest, step = self.min_scale_factor, self.max_scale_factor, self.scale_step_size
        if not step:
            return float(rng.uniform(lowest, highest))
        # A thousandth of a step more: (2.0 - 0.5) / 0.1 is a little below 15 in binary.
        count = int((highest - lowest) / step + 1.001)
        return float(rng.choice(np.linspace(lowest, highest, count)))
