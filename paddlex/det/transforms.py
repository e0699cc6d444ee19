"""Transforms of PaddleX 1 for detection and instance segmentation: `from paddlex.det import transforms`.

Photos are float32 RGB from the start, so resizing does not round; sizes are width first. What PaddleX 2 has
under the same name differs in defaults, order of sides and padding: see `paddlex.transforms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from paddlex.transforms import augmentations, chain, operators
from paddlex.transforms.operator import CoreSpec, Operator, as_pair, interp_settings, plain
from paddlex.utils.errors import ConfigError

__all__ = [
    "CLAHE",
    "BatchRandomShape",
    "Compose",
    "ComposedRCNNTransforms",
    "ComposedYOLOv3Transforms",
    "MixupImage",
    "Normalize",
    "Padding",
    "RandomCrop",
    "RandomDistort",
    "RandomExpand",
    "RandomHorizontalFlip",
    "Resize",
    "ResizeByShort",
]

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_ZEROS, _WHITE = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)


class _Operator(Operator):
    namespace: ClassVar[str] = "det."


class Compose(chain.Compose):
    """Operators of `paddlex.det.transforms` in the order in which they are applied."""

    namespace: ClassVar[str] = "det."
    head: ClassVar[CoreSpec | None] = ("ToFloat", {})


@dataclass(frozen=True)
class ResizeByShort(_Operator):
    """Resize so that the short side gets a length.

    Attributes:
        short_size: that length, pixels; of a list one is drawn.
        max_size: the long side gets this length instead where it would exceed it; 0 or below sets no limit.
    """

    short_size: int | Sequence[int] = 800
    max_size: int = 1333

    @property
    def is_random(self) -> bool:
        """Whether there are several lengths to draw from."""
        return not isinstance(self.short_size, int)

    def core(self) -> CoreSpec:  # noqa: D102 (as Operator)
        rest = {"max_size": self.max_size, **interp_settings("LINEAR")}
        if isinstance(self.short_size, int):
            return "ResizeByShort", {"short_size": self.short_size, **rest}
        return "RandomResizeByShort", {"short_sizes": plain(self.short_size), **rest}


@dataclass(frozen=True)
class Padding(_Operator):
    """Pad with zeros at the bottom and right.

    Attributes:
        coarsest_stride: to multiples of this, pixels.
        target_size: to this instead: (width, height) or the side of a square.
    """

    coarsest_stride: int = 1
    target_size: int | Sequence[int] | None = None

    draws: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        fill = {"im_padding_value": [*_ZEROS]}
        if self.target_size is not None:
            return "Padding", {"target_size": as_pair(self.target_size, width_first=True), **fill}
        return "Padding", {"size_divisor": self.coarsest_stride, **fill}


@dataclass(frozen=True)
class Resize(_Operator):
    """Resize to a size.

    Attributes:
        target_size: (width, height) or the side of a square, pixels.
        interp: NEAREST, LINEAR, CUBIC, AREA, LANCZOS4, or RANDOM for one of them.
    """

    target_size: int | Sequence[int] = 608
    interp: str = "LINEAR"

    draws: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        return "Resize", {
            "target_size": as_pair(self.target_size, width_first=True),
            **interp_settings(self.interp),
        }


@dataclass(frozen=True)
class Normalize(_Operator):
    """Image to `((x - min_val) / (max_val - min_val) - mean) / std`.

    Attributes:
        mean: of R, G, B.
        std: likewise.
        min_val: what becomes 0.
        max_val: what becomes 1.
    """

    mean: Sequence[float] = _MEAN
    std: Sequence[float] = _STD
    min_val: Sequence[float] = (0, 0, 0)
    max_val: Sequence[float] = _WHITE

    draws: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        return operators.Normalize(self.mean, self.std, self.min_val, self.max_val).core()


class RandomHorizontalFlip(_Operator, augmentations.RandomHorizontalFlip):
    """Mirror left and right with the chance `prob`."""


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

    makes_fractions: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        return augmentations.RandomDistort(**self.arguments()).core()


@dataclass(frozen=True)
class RandomExpand(_Operator):
    """Place the photo on a larger plain canvas, so that objects get smaller.

    Attributes:
        ratio: sides grow by a factor from 1 to this.
        prob: chance of it.
        fill_value: R, G, B of the canvas.
    """

    ratio: float = 4.0
    prob: float = 0.5
    fill_value: Sequence[float] = (123.675, 116.28, 103.53)

    def core(self) -> CoreSpec:  # noqa: D102
        return augmentations.RandomExpand(self.ratio, self.prob, self.fill_value).core()


@dataclass(frozen=True)
class RandomCrop(_Operator):
    """Crop so that a drawn overlap with some object is kept; arguments as in PaddleX 2.

    Photos without objects stay whole.
    """

    aspect_ratio: Sequence[float] = (0.5, 2.0)
    thresholds: Sequence[float] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
    scaling: Sequence[float] = (0.3, 1.0)
    num_attempts: int = 50
    allow_no_crop: bool = True
    cover_all_box: bool = False

    makes_fractions: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        name, settings = augmentations.RandomCrop(**self.arguments()).core()
        return name, {**settings, "crop_empty": False}


class MixupImage(_Operator, augmentations.MixupImage):
    """Blend each photo with another one of its batch; arguments as in PaddleX 2."""


@dataclass(frozen=True)
class CLAHE(_Operator):
    """Even out local contrast.

    Attributes:
        clip_limit: how far a histogram may rise above the even one.
        tile_grid_size: (rows, columns) of tiles that have a histogram each.
    """

    clip_limit: float = 2.0
    tile_grid_size: Sequence[int] = (8, 8)

    draws: ClassVar[bool] = False
    makes_fractions: ClassVar[bool] = False

    def core(self) -> CoreSpec:  # noqa: D102
        return "CLAHE", {"clip_limit": self.clip_limit, "tile_grid_size": plain(self.tile_grid_size)}


@dataclass(frozen=True)
class BatchRandomShape(_Operator):
    """Resize all photos of a batch to one square drawn from a list.

    Attributes:
        random_shapes: sides, pixels.
    """

    random_shapes: Sequence[int] = (320, 352, 384, 416, 448, 480, 512, 544, 576, 608)

    stage: ClassVar[Literal["photo", "batch"]] = "batch"

    def core(self) -> CoreSpec:  # noqa: D102
        return augmentations.BatchRandomResize(self.random_shapes, interp="NEAREST").core()


# ---------------------------------------------------------------- ready chains


class ComposedRCNNTransforms(Compose):
    """What Mask R-CNN takes: flip (training only), Normalize, ResizeByShort, Padding to multiples of 32.

    Args:
        mode: `train`, or `eval`, `quant` and `test`, which are alike.
        min_max_size: length of the short side and limit of the long one, pixels.
        mean: as `Normalize`.
        std: likewise.
        random_horizontal_flip: flip in training.
    """

    def __init__(
        self,
        mode: str,
        min_max_size: Sequence[int] = (800, 1333),
        mean: Sequence[float] = _MEAN,
        std: Sequence[float] = _STD,
        random_horizontal_flip: bool = True,
    ) -> None:
        is_training = require_mode(self, mode)
        flip = [RandomHorizontalFlip()] if is_training and random_horizontal_flip else []
        short_size, max_size = require_pair(self, "min_max_size", min_max_size)
        resize = ResizeByShort(short_size=short_size, max_size=max_size)
        super().__init__([*flip, Normalize(mean, std), resize, Padding(coarsest_stride=32)])


class ComposedYOLOv3Transforms(Compose):
    """What one-stage detectors take: every photo at one size, in training distorted, expanded and cropped.

    Args:
        mode: as `ComposedRCNNTransforms`.
        shape: (width, height) of the result, pixels.
        mixup_epoch: photos are mixed in the first epochs, as many as this; -1 never.
        mean: as `Normalize`.
        std: likewise.
        random_distort: distort colours in training.
        random_expand: expand in training.
        random_crop: crop in training.
        random_horizontal_flip: flip in training.
    """

    def __init__(
        self,
        mode: str,
        shape: Sequence[int] = (608, 608),
        mixup_epoch: int = 250,
        mean: Sequence[float] = _MEAN,
        std: Sequence[float] = _STD,
        random_distort: bool = True,
        random_expand: bool = True,
        random_crop: bool = True,
        random_horizontal_flip: bool = True,
    ) -> None:
        steps: list[Operator] = []
        is_training = require_mode(self, mode)
        if is_training:
            steps += [MixupImage(mixup_epoch=mixup_epoch)] if mixup_epoch > 0 else []
            steps += [RandomDistort()] if random_distort else []
            steps += [RandomExpand()] if random_expand else []
            steps += [RandomCrop()] if random_crop else []
        steps.append(Resize(shape, interp="RANDOM" if is_training else "CUBIC"))
        if is_training and random_horizontal_flip:
            steps.append(RandomHorizontalFlip())
        super().__init__([*steps, Normalize(mean, std)])


def require_mode(owner: object, mode: str) -> bool:
    """Whether `mode` is training.

    Raises:
        ConfigError: if it is no mode.
    """
    if mode not in ("train", "eval", "quant", "test"):
        raise ConfigError(f"{type(owner).__name__}.mode: found {mode!r}, expected train, eval, quant or test")
    return mode == "train"


def require_pair(owner: object, name: str, value: Any) -> tuple[int, int]:  # noqa: ANN401 (checked here)
    """Two whole numbers.

    Raises:
        ConfigError: for anything else.
    """
    found = plain(value)
    if not isinstance(found, list) or [type(number) for number in found] != [int, int]:
        raise ConfigError(f"{type(owner).__name__}.{name}: found {value!r}, expected two whole numbers")
    return found[0], found[1]
