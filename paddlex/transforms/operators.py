"""Operators that bring photos to the network's size and values, as PaddleX 2 names them.

Sizes are (height, width); colours are R, G, B.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from paddlex.transforms.operator import CoreSpec, Operator, as_pair, interp_settings, plain

__all__ = [
    "CenterCrop",
    "Normalize",
    "Padding",
    "RandomResize",
    "RandomResizeByShort",
    "Resize",
    "ResizeByLong",
    "ResizeByShort",
]

_Size = int | Sequence[int]
_Colour = Sequence[float]
_GREY = (127.5, 127.5, 127.5)
_ZEROS, _WHITE = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)


@dataclass(frozen=True)
class Resize(Operator):
    """Resize to a size, or into it with the aspect kept.

    Attributes:
        target_size: (height, width), or the side of a square, pixels.
        interp: NEAREST, LINEAR, CUBIC, AREA, LANCZOS4, or RANDOM for one of them.
        keep_ratio: let the target bound height and width, and keep the aspect.
    """

    target_size: _Size
    interp: str = "LINEAR"
    keep_ratio: bool = False

    draws: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102 (as Operator)
        size = {"target_size": as_pair(self.target_size), "keep_ratio": self.keep_ratio}
        return "Resize", {**size, "swap_sides": False, **interp_settings(self.interp)}


@dataclass(frozen=True)
class RandomResize(Operator):
    """`Resize` to a size drawn from a list.

    Attributes:
        target_sizes: sizes as `Resize` takes them.
        interp: as `Resize`.
    """

    target_sizes: Sequence[_Size]
    interp: str = "LINEAR"

    def core(self) -> CoreSpec:  # noqa: D102
        return "RandomResize", {"target_sizes": plain(self.target_sizes), **interp_settings(self.interp)}


@dataclass(frozen=True)
class ResizeByShort(Operator):
    """Resize so that the short side gets a length.

    Attributes:
        short_size: that length, pixels.
        max_size: the long side gets this length instead where it would exceed it; 0 or below sets no limit.
        interp: as `Resize`.
    """

    short_size: int = 256
    max_size: int = -1
    interp: str = "LINEAR"

    draws: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        sizes = {"short_size": self.short_size, "max_size": self.max_size}
        return "ResizeByShort", {**sizes, **interp_settings(self.interp)}


@dataclass(frozen=True)
class RandomResizeByShort(Operator):
    """`ResizeByShort` with a length drawn from a list.

    Attributes:
        short_sizes: the lengths, pixels.
        max_size: as `ResizeByShort`.
        interp: as `Resize`.
    """

    short_sizes: Sequence[int]
    max_size: int = -1
    interp: str = "LINEAR"

    def core(self) -> CoreSpec:  # noqa: D102
        sizes = {"short_sizes": plain(self.short_sizes), "max_size": self.max_size}
        return "RandomResizeByShort", {**sizes, **interp_settings(self.interp)}


@dataclass(frozen=True)
class ResizeByLong(Operator):
    """Resize so that the long side gets a length.

    Attributes:
        long_size: that length, pixels.
        interp: as `Resize`.
    """

    long_size: int = 256
    interp: str = "LINEAR"

    draws: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        return "ResizeByLong", {"long_size": self.long_size, **interp_settings(self.interp)}


@dataclass(frozen=True)
class Padding(Operator):
    """Pad to a size, or to multiples of a stride.

    Attributes:
        target_size: (height, width) or a side; None pads to multiples of `size_divisor`.
        pad_mode: where the photo goes: 0 top left, 1 centre, 2 bottom right, -1 at `offsets`.
        offsets: (x, y) of the photo for mode -1.
        im_padding_value: R, G, B of the padding, in units of the image as it is by then.
        label_padding_value: class index of the padding.
        size_divisor: the stride, pixels.
        coarsest_stride: the stride as PaddleX 1 names it: padding is zero then. Nothing if `target_size` is
            given.
    """

    target_size: _Size | None = None
    pad_mode: int = 0
    offsets: Sequence[int] | None = None
    im_padding_value: _Colour = _GREY
    label_padding_value: int = 255
    size_divisor: int = 32
    coarsest_stride: int | None = None

    draws: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        by_stride = self.target_size is None and self.coarsest_stride is not None
        return "Padding", {
            "target_size": None if self.target_size is None else as_pair(self.target_size),
            "pad_mode": self.pad_mode,
            "offsets": plain(self.offsets),
            "im_padding_value": plain(_ZEROS if by_stride else self.im_padding_value),
            "label_padding_value": self.label_padding_value,
            "size_divisor": self.coarsest_stride if by_stride else self.size_divisor,
        }


@dataclass(frozen=True)
class CenterCrop(Operator):
    """Crop a square from the middle; outlines of objects go with the pixels.

    Attributes:
        crop_size: its side, pixels.
    """

    crop_size: int = 224

    draws: ClassVar[bool] = False
    makes_fractions: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        return "CenterCrop", {"crop_size": self.crop_size}


@dataclass(frozen=True)
class Normalize(Operator):
    """Image to float32: `((x - min_val) / (max_val - min_val) - mean) / std`.

    Attributes:
        mean: of R, G, B.
        std: likewise.
        min_val: what becomes 0.
        max_val: what becomes 1.
        is_scale: kept for the name's sake: PaddleX 2 scales in any case.
    """

    mean: _Colour = (0.485, 0.456, 0.406)
    std: _Colour = (0.229, 0.224, 0.225)
    min_val: _Colour = (0, 0, 0)
    max_val: _Colour = (255.0, 255.0, 255.0)
    is_scale: bool = True

    draws: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        limits = {"min_val": plain(self.min_val), "max_val": plain(self.max_val)}
        usual = limits == {"min_val": [*_ZEROS], "max_val": [*_WHITE]}
        levels = {"mean": plain(self.mean), "std": plain(self.std), "is_scale": True}
        return "NormalizeImage", {**levels, **({} if usual else limits)}
