"""LabelMe JSON: reader and writer.

Written by LabelMe 3 to 6 and by the tools that share its format. The reader takes any of them: with or
without `shape_type`, `group_id`, `imageData`; UTF-8 with or without byte-order mark, or GBK.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from paddlex.data.formats.contours import Polygon
from paddlex.data.formats.findings import Findings
from paddlex.data.formats.labelme_shapes import LabelMeShape, LabelMeShapeError, encode_mask, parse_shape
from paddlex.utils.errors import FileFormatError
from paddlex.utils.files import read_json, write_json
from paddlex.utils.images import ImageHeader

__all__ = ["LabelMeFile", "fit_to_photo", "read_labelme", "write_labelme"]

# The oldest version that knows shapes of type mask; later ones read it as their own.
_VERSION = "5.5.0"
# Sides that differ by less than this part have been scaled alike.
_SAME_ASPECT = 0.005


@dataclass(frozen=True)
class LabelMeFile:
    """One annotated photo.

    Attributes:
        path: the JSON file.
        image_path: `imagePath` as written; it may be relative, of Windows, or outdated.
        image_data: the photo itself as base64, if the file carries it.
        size: (height, width) as written, None when absent; the photo decides.
        shapes: in drawing order.
    """

    path: Path
    image_path: str
    image_data: str | None
    size: tuple[int, int] | None
    shapes: tuple[LabelMeShape, ...]


def read_labelme(path: Path | str, *, findings: Findings | None = None) -> LabelMeFile:
    """Read a LabelMe file.

    Args:
        path: the JSON file.
        findings: where faulty shapes are recorded, which are then left out; None makes any fault an error.

    Raises:
        FileFormatError: not JSON, not LabelMe, or (without `findings`) a shape that cannot be understood.
    """
    path = Path(path)
    content = _load(path)
    found = findings or Findings(str(path))
    shapes = []
    for number, entry in enumerate(content["shapes"], start=1):
        try:
            shapes.append(parse_shape(entry, number=number))
        except LabelMeShapeError as fault:
            found.error(str(fault), shape=number)
    if findings is None and found.errors:
        raise FileFormatError("\n".join(found.errors))
    image_path, image_data = content.get("imagePath"), content.get("imageData")
    return LabelMeFile(
        path=path,
        image_path=image_path if isinstance(image_path, str) else "",
        image_data=image_data if isinstance(image_data, str) and image_data else None,
        size=_size(content),
        shapes=tuple(shapes),
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except ValueError as error:  # an integer of thousands of digits
        raise FileFormatError(f"{path}: not valid JSON ({error}); restore it or write it anew") from error
    if isinstance(content, dict) and isinstance(content.get("shapes"), list):
        return content
    is_coco = isinstance(content, dict) and "images" in content and "annotations" in content
    what = "this is a COCO file" if is_coco else "no list `shapes`"
    raise FileFormatError(f"{path}: not a LabelMe file ({what}); remove it from the list")


def _size(content: dict[str, Any]) -> tuple[int, int] | None:
    height, width = content.get("imageHeight"), content.get("imageWidth")
    if isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0:
        return height, width
    return None


# ---------------------------------------------------------------- from the written frame to the photo's


def fit_to_photo(file: LabelMeFile, *, header: ImageHeader, findings: Findings) -> LabelMeFile:
    """Bring the shapes into the frame of the upright photo, which is what `read_image` returns.

    LabelMe shows photos upright, so normally nothing is to be done. Where the written size differs:

    * the size as stored, before EXIF turns it: another tool drew on the stored frame; points are turned;
    * the same aspect: the photo was resized after drawing; points are scaled;
    * otherwise the written size is wrong if all points lie on the photo, and the photo is if they do not.
    """
    if file.size is None or file.size == header.size:
        return replace(file, size=header.size)
    (height, width), (stated_height, stated_width) = header.size, file.size
    stated, actual = f"{stated_width} x {stated_height}", f"{width} x {height}"
    scale = np.array([width / stated_width, height / stated_height])
    if file.size == header.stored_size and _all_inside(file.shapes, file.size):
        findings.warn(
            f"drawn on the photo as stored ({stated}); turned upright by its EXIF orientation "
            f"{header.orientation}"
        )
        shapes = [_turn(shape, header=header) for shape in file.shapes]
    elif abs(scale[0] / scale[1] - 1.0) < _SAME_ASPECT:
        findings.warn(f"drawn on {stated} pixels, the photo has {actual}; points are scaled to it")
        shapes = [_scale(shape, scale) for shape in file.shapes]
    elif _all_inside(file.shapes, header.size):
        findings.warn(f"says {stated} pixels, the photo has {actual}; the photo's size is taken")
        shapes = list(file.shapes)
    else:
        findings.error(
            f"drawn on {stated} pixels but the photo has {actual}, and points lie outside it; "
            "put back the photo it was drawn on"
        )
        shapes = []
    return replace(file, size=header.size, shapes=tuple(shapes))


def _all_inside(shapes: Sequence[LabelMeShape], size: tuple[int, int]) -> bool:
    height, width = size
    return all(
        bool((shape.points >= -1).all() and (shape.points <= (width + 1, height + 1)).all())
        for shape in shapes
    )


def _turn(shape: LabelMeShape, *, header: ImageHeader) -> LabelMeShape:
    """Turn a shape from the stored frame as EXIF orientations 5 to 8 turn the photo."""
    height, width = header.stored_size

    def turn(points: Polygon) -> Polygon:
        x, y = points[:, 0], points[:, 1]
        return np.stack(
            [
                height - y if header.orientation in (6, 7) else y,
                width - x if header.orientation in (7, 8) else x,
            ],
            axis=1,
        )

    if shape.mask is None:
        return replace(shape, points=turn(shape.points))
    mask = shape.mask.T
    mask = mask[:, ::-1] if header.orientation in (6, 7) else mask
    mask = mask[::-1] if header.orientation in (7, 8) else mask
    return _with_mask(shape, mask, corner=turn(_mask_box(shape)).min(axis=0))


def _scale(shape: LabelMeShape, scale: NDArray[np.float64]) -> LabelMeShape:
    if shape.mask is None:
        return replace(shape, points=shape.points * scale)
    box = (_mask_box(shape) * scale).round()
    width, height = np.maximum(box[1] - box[0], 1).astype(int).tolist()
    mask = cv2.resize(shape.mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return _with_mask(shape, np.asarray(mask) != 0, corner=box[0])


def _mask_box(shape: LabelMeShape) -> Polygon:
    """Corners of the pixels that a mask covers, upper bounds exclusive."""
    assert shape.mask is not None
    corner = shape.points.min(axis=0).round()
    return np.stack([corner, corner + shape.mask.shape[::-1]])


def _with_mask(shape: LabelMeShape, mask: NDArray[np.bool_], *, corner: NDArray[np.float64]) -> LabelMeShape:
    last = corner + np.array(mask.shape[::-1]) - 1
    return replace(shape, mask=mask, points=np.stack([corner, last]))


# ---------------------------------------------------------------- writing


def write_labelme(
    path: Path | str, *, image_path: str, size: tuple[int, int], shapes: Sequence[LabelMeShape]
) -> None:
    """Write a file that LabelMe 5 and later open, atomically; the photo is referred to, not embedded.

    Args:
        path: the JSON file.
        image_path: the photo, relative to the JSON file's folder.
        size: (height, width) of the upright photo, pixels.
        shapes: in drawing order.
    """
    content: dict[str, Any] = {
        "version": _VERSION,
        "flags": {},
        "shapes": [_entry(shape) for shape in shapes],
        "imagePath": image_path.replace("\\", "/"),
        "imageData": None,
        "imageHeight": int(size[0]),
        "imageWidth": int(size[1]),
    }
    write_json(path, content)


def _entry(shape: LabelMeShape) -> dict[str, Any]:
    return {
        "label": shape.label,
        "points": np.asarray(shape.points, dtype=float).tolist(),
        "group_id": shape.group_id,
        "description": shape.description,
        "shape_type": shape.shape_type,
        "flags": dict(shape.flags),
        "mask": None if shape.mask is None else encode_mask(shape.mask),
    }
