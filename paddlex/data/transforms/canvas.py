"""Canvases of a given size: padding anywhere around the photo, and crops of fixed size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from paddlex.data.transforms.geometry import IGNORE_INDEX, clip_boxes, moved, pad_sample
from paddlex.data.transforms.validation import require, require_colour, require_label, require_size
from paddlex.structures.sample import Sample

__all__ = ["CenterCrop", "Padding", "RandomPaddingCrop", "crop_sample"]

_GREY = (127.5, 127.5, 127.5)
_Colour = tuple[float, float, float]


def crop_sample(sample: Sample, *, y: int, x: int, size: tuple[int, int]) -> Sample:
    """Cut image, boxes, masks and label map to a window; objects without a pixel in it go.

    Args:
        sample: image (H, W, 3).
        y: first row of the window.
        x: first column.
        size: (height, width) of the window, which lies inside the image.
    """
    height, width = size
    rows, columns = slice(y, y + height), slice(x, x + width)
    boxes = clip_boxes(sample.boxes - np.array([x, y, x, y], dtype=np.float32), size)
    masks = sample.masks.place(size=size, y=-y, x=-x) if sample.masks is not None else None
    areas = masks.area() if masks is not None else (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    visible = np.flatnonzero(areas > 0)
    return moved(
        sample,
        np.ascontiguousarray(sample.image[rows, columns]),
        boxes=boxes[visible],
        class_ids=sample.class_ids[visible],
        masks=masks[visible] if masks is not None else None,
        label_map=sample.label_map[rows, columns] if sample.label_map is not None else None,
    )


@dataclass(frozen=True, kw_only=True)
class Padding:
    """Pad to a fixed size, or to multiples of a stride.

    Attributes:
        target_size: (height, width); None pads to multiples of `size_divisor`.
        pad_mode: where the photo goes: 0 top left, 1 centre, 2 bottom right, -1 at `offsets`.
        offsets: (x, y) of the photo for mode -1.
        im_padding_value: R, G, B of the padding. The image becomes float32 if these are no whole numbers:
            127.5 is exactly 0 once it is normalised with mean and deviation 0.5.
        label_padding_value: class index of the padding in the label map.
        size_divisor: the stride, pixels.
    """

    target_size: tuple[int, int] | None = None
    pad_mode: int = 0
    offsets: tuple[int, int] | None = None
    im_padding_value: _Colour = _GREY
    label_padding_value: int = IGNORE_INDEX
    size_divisor: int = 32

    def __post_init__(self) -> None:
        if self.target_size is not None:
            require_size(self, name="target_size", value=self.target_size)
        mode, offsets = self.pad_mode, self.offsets
        require(mode in (-1, 0, 1, 2), self, name="pad_mode", found=mode, expected="-1, 0, 1 or 2")
        fits = mode != -1 or (isinstance(offsets, tuple) and len(offsets) == 2)
        require(fits, self, name="offsets", found=offsets, expected="[x, y], as pad_mode is -1")
        require_colour(self, name="im_padding_value", value=self.im_padding_value)
        require_label(self, name="label_padding_value", value=self.label_padding_value)
        require_size(self, name="size_divisor", value=(self.size_divisor, self.size_divisor))

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Pad image, boxes, masks and label map."""
        height, width = sample.size
        step = self.size_divisor
        size = self.target_size or (-(-height // step) * step, -(-width // step) * step)
        if size == sample.size:
            return sample
        if any(value != round(value) for value in self.im_padding_value):
            sample = replace(sample, image=sample.image.astype(np.float32))
        return pad_sample(
            sample,
            size,
            offset=self._offset(size[0] - height, size[1] - width),
            fill=self.im_padding_value,
            label_fill=self.label_padding_value,
        )

    def _offset(self, rows: int, columns: int) -> tuple[int, int]:
        """(y, x) of the photo, given how many rows and columns are added."""
        if self.pad_mode == -1:
            assert self.offsets is not None
            return self.offsets[1], self.offsets[0]
        return {0: (0, 0), 1: (rows // 2, columns // 2), 2: (rows, columns)}[self.pad_mode]


@dataclass(frozen=True, kw_only=True)
class RandomPaddingCrop:
    """Crop to a fixed size at a random place; a photo that is too small is padded at the bottom and right.

    Attributes:
        crop_size: (height, width), pixels.
        im_padding_value: R, G, B of the padding, rounded where the image holds bytes.
        label_padding_value: class index of the padding in the label map.
    """

    crop_size: tuple[int, int] = (512, 512)
    im_padding_value: _Colour = _GREY
    label_padding_value: int = IGNORE_INDEX

    def __post_init__(self) -> None:
        require_size(self, name="crop_size", value=self.crop_size)
        require_colour(self, name="im_padding_value", value=self.im_padding_value)
        require_label(self, name="label_padding_value", value=self.label_padding_value)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Pad and crop image, boxes, masks and label map."""
        height, width = (max(side, least) for side, least in zip(sample.size, self.crop_size, strict=True))
        sample = pad_sample(
            sample, (height, width), fill=self.im_padding_value, label_fill=self.label_padding_value
        )
        y = int(rng.integers(0, height - self.crop_size[0] + 1))
        x = int(rng.integers(0, width - self.crop_size[1] + 1))
        return crop_sample(sample, y=y, x=x, size=self.crop_size)


@dataclass(frozen=True, kw_only=True)
class CenterCrop:
    """Crop a square from the middle.

    Attributes:
        crop_size: its side, pixels.
    """

    crop_size: int = 224

    def __post_init__(self) -> None:
        require_size(self, name="crop_size", value=(self.crop_size, self.crop_size))

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Crop image, boxes, masks and label map; a shorter side stays whole."""
        height, width = sample.size
        size = min(height, self.crop_size), min(width, self.crop_size)
        return crop_sample(sample, y=(height - size[0]) // 2, x=(width - size[1]) // 2, size=size)
