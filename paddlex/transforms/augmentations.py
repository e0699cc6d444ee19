"""Operators that change photos at random while a network learns, as PaddleX 2 names them.

Sizes are (height, width); colours are R, G, B.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar, Literal

from paddlex.transforms.operator import CoreSpec, Operator, as_pair, interp_settings, plain

__all__ = [
    "BatchRandomResize",
    "BatchRandomResizeByShort",
    "MixupImage",
    "RandomBlur",
    "RandomCrop",
    "RandomDistort",
    "RandomExpand",
    "RandomHorizontalFlip",
    "RandomScaleAspect",
    "RandomVerticalFlip",
]

_Size = int | Sequence[int]
_Colour = Sequence[float]
_GREY = (127.5, 127.5, 127.5)
# Core's hue counts in 256ths of the circle, users in degrees.
_HUE_STEPS_PER_DEGREE = 256 / 360


# ---------------------------------------------------------------- random moves


@dataclass(frozen=True)
class RandomHorizontalFlip(Operator):
    """Mirror left and right.

    Attributes:
        prob: chance of it.
    """

    prob: float = 0.5

    makes_fractions: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        return "RandomFlip", {"prob": self.prob}


@dataclass(frozen=True)
class RandomVerticalFlip(Operator):
    """Mirror top and bottom.

    Attributes:
        prob: chance of it.
    """

    prob: float = 0.5

    makes_fractions: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        return "RandomFlip", {"prob": self.prob, "direction": "vertical"}


@dataclass(frozen=True)
class RandomCrop(Operator):
    """Crop so that a drawn overlap with some object is kept; photos without objects are cropped anywhere.

    Attributes:
        crop_size: (height, width) or a side that the photo is resized to afterwards; None leaves it.
        aspect_ratio: range of width over height, relative to the photo's.
        thresholds: IoU thresholds to draw from.
        scaling: range of the crop's side relative to the photo's.
        num_attempts: crops per threshold.
        allow_no_crop: "leave it whole" is drawn like a threshold.
        cover_all_box: every box must reach the threshold.
    """

    crop_size: _Size | None = None
    aspect_ratio: Sequence[float] = (0.5, 2.0)
    thresholds: Sequence[float] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
    scaling: Sequence[float] = (0.3, 1.0)
    num_attempts: int = 50
    allow_no_crop: bool = True
    cover_all_box: bool = False

    def core(self) -> CoreSpec:  # noqa: D102
        return "RandomCrop", {
            "crop_size": None if self.crop_size is None else as_pair(self.crop_size),
            "aspect_ratio": plain(self.aspect_ratio),
            "thresholds": plain(self.thresholds),
            "scaling": plain(self.scaling),
            "attempts": self.num_attempts,
            "allow_no_crop": self.allow_no_crop,
            "cover_all_box": self.cover_all_box,
            "crop_empty": True,
        }


@dataclass(frozen=True)
class RandomScaleAspect(Operator):
    """Crop a part of random size and aspect and bring it to the photo's size.

    Attributes:
        min_scale: least side of the part relative to the photo's; 0 switches the operator off.
        aspect_ratio: the part's aspect lies between this and its inverse; 0 likewise.
    """

    min_scale: float = 0.5
    aspect_ratio: float = 0.33

    # PaddleX 1 means areas.
    of_area: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        if not (self.min_scale and self.aspect_ratio):
            return "RandomFlip", {"prob": 0}
        least = sqrt(self.min_scale) if self.of_area and self.min_scale > 0 else self.min_scale
        return "RandomScaleAspect", {"scaling": [least, 1.0], "aspect_ratio": self.aspect_ratio}


@dataclass(frozen=True)
class RandomExpand(Operator):
    """Place the photo on a larger plain canvas, so that objects get smaller.

    Attributes:
        upper_ratio: sides grow by a factor from 1 to this.
        prob: chance of it.
        im_padding_value: R, G, B of the canvas.
        label_padding_value: its class index.
    """

    upper_ratio: float = 4.0
    prob: float = 0.5
    im_padding_value: _Colour = _GREY
    label_padding_value: int = 255

    def core(self) -> CoreSpec:  # noqa: D102
        return "RandomExpand", {
            "max_ratio": self.upper_ratio,
            "prob": self.prob,
            "fill": plain(self.im_padding_value),
            "label_fill": self.label_padding_value,
        }


# ---------------------------------------------------------------- colours


@dataclass(frozen=True)
class RandomDistort(Operator):
    """Change brightness, contrast, saturation and hue.

    Attributes:
        brightness_range: the factor lies between 1 less this and 1 and this.
        brightness_prob: chance of it.
        contrast_range: likewise, around the mean grey.
        contrast_prob: chance of it.
        saturation_range: likewise, around each pixel's grey.
        saturation_prob: chance of it.
        hue_range: greatest shift to either side, degrees.
        hue_prob: chance of it.
        random_apply: in random order, the first `count` of the four; else all in the order above.
        count: see there.
        shuffle_channel: exchange the channels at random in the end.
    """

    brightness_range: float = 0.5
    brightness_prob: float = 0.5
    contrast_range: float = 0.5
    contrast_prob: float = 0.5
    saturation_range: float = 0.5
    saturation_prob: float = 0.5
    hue_range: float = 18
    hue_prob: float = 0.5
    random_apply: bool = True
    count: int = 4
    shuffle_channel: bool = False

    makes_fractions: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        hue = self.hue_range * _HUE_STEPS_PER_DEGREE
        return "RandomDistort", {
            "brightness": [1 - self.brightness_range, 1 + self.brightness_range],
            "contrast": [1 - self.contrast_range, 1 + self.contrast_range],
            "saturation": [1 - self.saturation_range, 1 + self.saturation_range],
            "hue": [-hue, hue],
            "probs": [self.brightness_prob, self.contrast_prob, self.saturation_prob, self.hue_prob],
            "count": self.count if self.random_apply else 4,
            "in_random_order": self.random_apply,
            "shuffle_channel": self.shuffle_channel,
        }


@dataclass(frozen=True)
class RandomBlur(Operator):
    """Gaussian blur with a kernel of 3, 5, 7 or 9 pixels.

    Attributes:
        prob: chance of it.
    """

    prob: float = 0.1

    def core(self) -> CoreSpec:  # noqa: D102
        return "RandomBlur", {"prob": self.prob}


# ---------------------------------------------------------------- batches


@dataclass(frozen=True)
class MixupImage(Operator):
    """Blend each photo with another one of its batch and join their objects; for detection.

    Attributes:
        alpha: first parameter of the Beta distribution of the weight.
        beta: second one.
        mixup_epoch: mix in the first epochs only, as many as this; -1 mixes in all.
    """

    alpha: float = 1.5
    beta: float = 1.5
    mixup_epoch: int = -1

    stage: ClassVar[Literal["photo", "batch"]] = "batch"

    def core(self) -> CoreSpec:  # noqa: D102
        epochs = None if self.mixup_epoch < 0 else self.mixup_epoch
        return "MixupImage", {"alpha": self.alpha, "beta": self.beta, "epochs": epochs}


@dataclass(frozen=True)
class BatchRandomResize(Operator):
    """Resize all photos of a batch to one size drawn from a list.

    Attributes:
        target_sizes: sizes as `Resize` takes them.
        interp: as `Resize`.
    """

    target_sizes: Sequence[_Size]
    interp: str = "NEAREST"

    stage: ClassVar[Literal["photo", "batch"]] = "batch"

    def core(self) -> CoreSpec:  # noqa: D102
        interp = {"random_interp": False, **interp_settings(self.interp)}
        return "BatchRandomResize", {"target_sizes": plain(self.target_sizes), **interp}


@dataclass(frozen=True)
class BatchRandomResizeByShort(Operator):
    """`ResizeByShort` of all photos of a batch with one length drawn from a list.

    Attributes:
        short_sizes: the lengths, pixels.
        max_size: as `ResizeByShort`.
        interp: as `Resize`.
    """

    short_sizes: Sequence[int]
    max_size: int = -1
    interp: str = "NEAREST"

    stage: ClassVar[Literal["photo", "batch"]] = "batch"

    def core(self) -> CoreSpec:  # noqa: D102
        sizes = {"short_sizes": plain(self.short_sizes), "max_size": self.max_size}
        return "BatchRandomResizeByShort", {**sizes, **interp_settings(self.interp)}
