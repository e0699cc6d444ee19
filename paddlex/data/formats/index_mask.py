"""Masks of semantic segmentation: one file a photo, whose pixels are class indices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paddlex.utils.errors import FileFormatError
from paddlex.utils.files import atomic_path
from paddlex.utils.images import read_stored
from paddlex.utils.palette import mask_palette

__all__ = ["MAX_CLASSES", "IndexMaskError", "read_mask", "write_mask"]

# 255 is ignored.
MAX_CLASSES = 255


class IndexMaskError(FileFormatError):
    """An image that can be decoded but holds no class indices.

    Args:
        where: the file.
        kind: short name of the fault.
        found: what it holds.
        remedy: what to do.
    """

    expected = "one channel with the class index of each pixel, 0 upwards, 255 to be ignored"

    def __init__(self, where: str, *, kind: str, found: str, remedy: str) -> None:
        self.kind, self.found, self.remedy = kind, found, remedy
        super().__init__(f"{where}: {found}; expected {self.expected}; {remedy}")


def read_mask(path: Path | str) -> NDArray[np.uint8]:
    """Read class indices.

    Grey of 1, 8 or 16 bits and palettes are taken as they are; colour files only where they are grey.

    Returns:
        (H, W), as stored.

    Raises:
        ImageReadError: missing, empty, damaged, no image.
        IndexMaskError: colours, values above 255, or lossy compression, which changes indices along edges.
    """
    values, header = read_stored(path)
    if header.format == "JPEG":
        raise IndexMaskError(
            str(path),
            kind="mask-lossy",
            found="a mask saved as JPEG, which smears values along edges",
            remedy="save it anew from the annotation, as PNG",
        )
    if values.ndim == 3:
        values = _grey(str(path), values)
    if values.dtype.kind == "f" or (values.size and not 0 <= values.min() <= values.max() <= 255):
        raise IndexMaskError(
            str(path),
            kind="mask-values",
            found=f"values from {values.min()} to {values.max()}",
            remedy="number the classes from 0",
        )
    return values.astype(np.uint8)


def _grey(where: str, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) of (H, W, channels) where colours are equal; the last of 2 or 4 channels is alpha."""
    colors = values[..., :3] if values.shape[2] >= 3 else values[..., :1]
    if (colors == colors[..., :1]).all():
        return colors[..., 0]
    distinct, counts = np.unique(colors.reshape(-1, colors.shape[2]), axis=0, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:4]
    shown = [f"{tuple(distinct[i].tolist())} {counts[i]}" for i in most]
    shown[0] += " pixels"
    raise IndexMaskError(
        where,
        kind="mask-colour",
        found=f"a colour picture of {len(distinct)} colours: "
        + ", ".join([*shown, *(["..."] if len(distinct) > 4 else [])]),
        remedy="give each colour the number of its class and save these numbers as a grey or palette PNG",
    )


def write_mask(path: Path | str, label_map: NDArray[np.uint8]) -> None:
    """Write class indices (H, W) as a PNG whose palette shows classes in colours, atomically."""
    image = Image.fromarray(label_map)
    image.putpalette(mask_palette().tobytes())
    with atomic_path(path) as temporary:
        image.save(temporary, "PNG")
