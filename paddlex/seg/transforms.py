"""Transforms of PaddleX 1 for semantic segmentation: `from paddlex.seg import transforms`.

Photos are float32 B, G, R from the start, so resizing does not round and three values of a colour stand for
blue, green and red; sizes are width first. `paddlex.transforms` has those of PaddleX 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from paddlex.det.transforms import require_mode, require_pair
from paddlex.transforms import augmentations, chain, operators
from paddlex.transforms.operator import CoreSpec, Operator, as_pair, interp_settings, plain

__all__ = [
    "Clip",
    "Compose",
    "ComposedSegTransforms",
    "Normalize",
    "Padding",
    "RandomBlur",
    "RandomDistort",
    "RandomHorizontalFlip",
    "RandomPaddingCrop",
    "RandomRotate",
    "RandomScaleAspect",
    "RandomVerticalFlip",
    "Resize",
    "ResizeByLong",
    "ResizeByShort",
    "ResizeRangeScaling",
    "ResizeStepScaling",
]

_HALVES, _GREY, _WHITE = (0.5, 0.5, 0.5), (127.5, 127.5, 127.5), (255.0, 255.0, 255.0)


class _Operator(Operator):
    namespace: ClassVar[str] = "seg."


class Compose(chain.Compose):
    """Operators of `paddlex.seg.transforms` in the order in which they are applied."""

    namespace: ClassVar[str] = "seg."
    head: ClassVar[CoreSpec | None] = ("ToFloat", {"reverse_channels": True})


# ---------------------------------------------------------------- sizes


@dataclass(frozen=True)
class Resize(_Operator):
    """Resize to a size.

    Attributes:
        target_size: (width, height) or the side of a square, pixels.
        interp: NEAREST, LINEAR, CUBIC, AREA, LANCZOS4, or RANDOM for one of them.
    """

    target_size: int | Sequence[int]
    interp: str = "LINEAR"

    draws: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102 (as Operator)
        return "Resize", {
            "target_size": as_pair(self.target_size, width_first=True),
            **interp_settings(self.interp),
        }


@dataclass(frozen=True)
class ResizeByLong(_Operator):
    """Resize so that the long side gets a length.

    Attributes:
        long_size: that length, pixels.
    """

    long_size: int

    draws: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        return operators.ResizeByLong(self.long_size).core()


@dataclass(frozen=True)
class ResizeByShort(_Operator):
    """Resize so that the short side gets a length, by nearest neighbour.

    Attributes:
        short_size: that length, pixels.
        max_size: the long side gets this length instead where it would exceed it; 0 or below sets no limit.
    """

    short_size: int = 800
    max_size: int = 1333

    draws: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        return operators.ResizeByShort(self.short_size, self.max_size, interp="NEAREST").core()


@dataclass(frozen=True)
class ResizeRangeScaling(_Operator):
    """Resize so that the long side gets a length drawn from a range.

    Attributes:
        min_value: the least length, pixels.
        max_value: the greatest.
    """

    min_value: int = 400
    max_value: int = 600

    def core(self) -> CoreSpec:  # noqa: D102
        return "ResizeRangeScaling", {"min_value": self.min_value, "max_value": self.max_value}


@dataclass(frozen=True)
class ResizeStepScaling(_Operator):
    """Resize by a factor drawn from evenly spaced ones.

    Attributes:
        min_scale_factor: the smallest.
        max_scale_factor: the largest.
        scale_step_size: distance between factors; 0 draws any factor between the two.
    """

    min_scale_factor: float = 0.75
    max_scale_factor: float = 1.25
    scale_step_size: float = 0.25

    def core(self) -> CoreSpec:  # noqa: D102
        return "ResizeStepScaling", self.arguments()


@dataclass(frozen=True)
class Padding(_Operator):
    """Pad at the bottom and right to a size.

    Attributes:
        target_size: (width, height) or the side of a square, pixels.
        im_padding_value: B, G, R of the padding.
        label_padding_value: its class index.
    """

    target_size: int | Sequence[int]
    im_padding_value: Sequence[float] = _GREY
    label_padding_value: int = 255

    draws: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        return "Padding", {
            "target_size": as_pair(self.target_size, width_first=True),
            "im_padding_value": plain(self.im_padding_value),
            "label_padding_value": self.label_padding_value,
        }


@dataclass(frozen=True)
class RandomPaddingCrop(_Operator):
    """Crop to a size at a random place; a smaller photo is padded at the bottom and right.

    Attributes:
        crop_size: (width, height) or the side of a square, pixels.
        im_padding_value: B, G, R of the padding.
        label_padding_value: its class index.
    """

    crop_size: int | Sequence[int] = 512
    im_padding_value: Sequence[float] = _GREY
    label_padding_value: int = 255

    def core(self) -> CoreSpec:  # noqa: D102
        return "RandomPaddingCrop", {
            "crop_size": as_pair(self.crop_size, width_first=True),
            "im_padding_value": plain(self.im_padding_value),
            "label_padding_value": self.label_padding_value,
        }


# ---------------------------------------------------------------- random moves


class RandomHorizontalFlip(_Operator, augmentations.RandomHorizontalFlip):
    """Mirror left and right with the chance `prob`."""


@dataclass(frozen=True)
class RandomVerticalFlip(_Operator, augmentations.RandomVerticalFlip):
    """Mirror top and bottom with the chance `prob`."""

    prob: float = 0.1


class RandomScaleAspect(_Operator, augmentations.RandomScaleAspect):
    """Crop a part of random area (`min_scale` of the photo's or more) and aspect, brought to its size."""

    of_area: ClassVar[bool] = True


@dataclass(frozen=True)
class RandomRotate(_Operator):
    """Rotate about the centre by a random angle; the canvas grows.

    Attributes:
        rotate_range: greatest angle to either side, degrees.
        im_padding_value: B, G, R of the corners.
        label_padding_value: their class index.
    """

    rotate_range: float = 15
    im_padding_value: Sequence[float] = _GREY
    label_padding_value: int = 255

    def core(self) -> CoreSpec:  # noqa: D102
        return "RandomRotate", self.arguments()


# ---------------------------------------------------------------- values


@dataclass(frozen=True)
class Normalize(_Operator):
    """Image to `((x - min_val) / (max_val - min_val) - mean) / std`.

    Attributes:
        mean: of B, G, R.
        std: likewise.
        min_val: what becomes 0.
        max_val: what becomes 1.
    """

    mean: Sequence[float] = _HALVES
    std: Sequence[float] = _HALVES
    min_val: Sequence[float] = (0, 0, 0)
    max_val: Sequence[float] = _WHITE

    draws: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        return operators.Normalize(self.mean, self.std, self.min_val, self.max_val).core()


@dataclass(frozen=True)
class Clip(_Operator):
    """Limit the values of each channel.

    Attributes:
        min_val: of B, G, R.
        max_val: likewise.
    """

    min_val: Sequence[float] = (0, 0, 0)
    max_val: Sequence[float] = _WHITE

    draws: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        return "Clip", self.arguments()


class RandomBlur(_Operator, augmentations.RandomBlur):
    """Gaussian blur with the chance `prob`."""


@dataclass(frozen=True)
class RandomDistort(_Operator):
    """Change brightness, contrast, saturation and hue in random order; arguments as in PaddleX 2."""

    brightness_range: float = 0.5
    brightness_prob: float = 0.5
    contrast_range: float = 0.5
    contrast_prob: float = 0.5
    saturation_range: float = 0.5
    saturation_prob: float = 0.5
    hue_range: float = 18
    hue_prob: float = 0.5

    def core(self) -> CoreSpec:  # noqa: D102
        name, settings = augmentations.RandomDistort(**self.arguments()).core()
        return name, {**settings, "bgr": True}


class ComposedSegTransforms(Compose):
    """What segmentation takes: training flips, scales, crops and normalises; the rest scales and normalises.

    Args:
        mode: `train`, or `eval`, `quant` and `test`, which are alike.
        min_max_size: range of the long side in training, whose middle is taken otherwise, pixels; None
            leaves photos as they are.
        train_crop_size: (width, height) of the crop in training.
        mean: as `Normalize`.
        std: likewise.
        random_horizontal_flip: flip in training.
    """

    def __init__(
        self,
        mode: str,
        min_max_size: Sequence[int] | None = (400, 600),
        train_crop_size: Sequence[int] = (512, 512),
        mean: Sequence[float] = _HALVES,
        std: Sequence[float] = _HALVES,
        random_horizontal_flip: bool = True,
    ) -> None:
        is_training = require_mode(self, mode)
        steps: list[Operator] = []
        if is_training and random_horizontal_flip:
            steps.append(RandomHorizontalFlip())
        if min_max_size is not None:
            least, greatest = require_pair(self, "min_max_size", min_max_size)
            steps.append(
                ResizeRangeScaling(least, greatest) if is_training else ResizeByLong((least + greatest) // 2)
            )
        if is_training:
            steps.append(RandomPaddingCrop(train_crop_size))
        super().__init__([*steps, Normalize(mean, std)])
