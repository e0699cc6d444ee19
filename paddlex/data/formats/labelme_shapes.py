"""One shape of a LabelMe file: read from its JSON entry, and its geometry on the canvas."""

from __future__ import annotations

import base64
import binascii
import io
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from paddlex.data.formats.contours import Polygon
from paddlex.data.formats.names import is_utf8
from paddlex.structures.masks import MaskCrops
from paddlex.utils.images import MAX_IMAGE_PIXELS

__all__ = [
    "AREA_TYPES",
    "SPECIAL_LABELS",
    "LabelMeShape",
    "LabelMeShapeError",
    "clip_polygon",
    "draw_polygon",
    "encode_mask",
    "outline",
    "parse_shape",
]

# Two corners or four; four corners in LabelMe's later versions; in X-AnyLabeling.
_RECTANGLES = frozenset({"rectangle", "oriented_rectangle", "rotation"})
AREA_TYPES = frozenset({"polygon", "circle", "mask"}) | _RECTANGLES
_LINE_TYPES = frozenset({"line", "linestrip", "point", "points"})
# LabelMe's own names for "nothing here": never classes.
SPECIAL_LABELS = frozenset({"__ignore__", "_background_", "__background__"})
# A circle becomes a polygon that leaves it by no more than this, pixels.
_CIRCLE_TOLERANCE = 0.05
# Pillow takes coordinates as C integers; farther points are moved to this distance, which bends an edge by
# less than a pixel on the canvas.
_FAR = 1 << 20


class LabelMeShapeError(Exception):
    """A shape that cannot be understood; the message has no place yet, its file adds that."""


@dataclass(frozen=True, eq=False)
class LabelMeShape:
    """One drawn shape.

    Attributes:
        label: the class name.
        points: (n, 2) float64, x and y in pixels of the photo as LabelMe shows it.
        shape_type: LabelMe's name of the kind.
        group_id: shapes of one photo with equal `group_id` and label are parts of one object.
        description: free text.
        mask: for shape_type "mask", (h, w) bool, placed with its first pixel at the first point.
        number: position in the file, from 1.
    """

    label: str
    points: Polygon
    shape_type: str = "polygon"
    group_id: int | str | None = None
    description: str = ""
    mask: NDArray[np.bool_] | None = None
    number: int = 0
    flags: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_special(self) -> bool:
        """Whether the label marks something that is no object."""
        return self.label in SPECIAL_LABELS

    @property
    def has_area(self) -> bool:
        """Whether the kind encloses pixels; lines and points do not."""
        return self.shape_type in AREA_TYPES


# ---------------------------------------------------------------- reading


def parse_shape(entry: Any, *, number: int) -> LabelMeShape:  # noqa: ANN401 (any JSON)
    """Read one entry of `shapes`.

    Raises:
        LabelMeShapeError: with the reason and the remedy.
    """
    if not isinstance(entry, dict):
        raise LabelMeShapeError(f"the shape is {type(entry).__name__}, expected an object; remove it")
    shape_type = "polygon" if entry.get("shape_type") is None else str(entry["shape_type"])
    if shape_type not in AREA_TYPES | _LINE_TYPES:
        known = ", ".join(sorted(AREA_TYPES | _LINE_TYPES))
        raise LabelMeShapeError(
            f"unknown shape_type {shape_type!r}, expected one of {known}; draw it as a polygon"
        )
    label = _label(entry.get("label"))
    points = _points(entry.get("points"))
    group_id = entry.get("group_id")
    return LabelMeShape(
        label=label,
        points=points,
        shape_type=shape_type,
        group_id=group_id if isinstance(group_id, (int, str)) and group_id != "" else None,
        description=str(entry.get("description") or ""),
        mask=_decode_mask(entry.get("mask"), points) if shape_type == "mask" else None,
        number=number,
        flags=entry["flags"] if isinstance(entry.get("flags"), dict) else {},
    )


def _label(label: Any) -> str:  # noqa: ANN401
    if isinstance(label, (int, float)) and not isinstance(label, bool):
        return str(int(label)) if float(label).is_integer() else str(label)
    if isinstance(label, str) and not is_utf8(label):
        raise LabelMeShapeError(f"the label {label!r} has broken characters; name the shape in LabelMe")
    if isinstance(label, str) and label.strip():
        # " date " and "date" look equal in LabelMe's list and are meant as one class.
        return label.strip()
    if label is None or isinstance(label, str):
        raise LabelMeShapeError("the label is empty or null; name the shape in LabelMe or delete it")
    raise LabelMeShapeError(f"the label is {type(label).__name__}, expected text; name the shape in LabelMe")


def _points(points: Any) -> Polygon:  # noqa: ANN401
    if not isinstance(points, list):
        raise LabelMeShapeError("no list of points; draw the shape anew or delete it")
    try:
        array = np.array([[float(x), float(y)] for x, y in points], dtype=np.float64).reshape(-1, 2)
    except OverflowError:
        array = np.full((1, 2), np.inf)
    except (TypeError, ValueError):
        raise LabelMeShapeError(
            "a point is not [x, y] of two numbers; draw the shape anew or delete it"
        ) from None
    if not np.isfinite(array).all():
        raise LabelMeShapeError("a point is NaN or infinite; draw the shape anew or delete it")
    return array


def _decode_mask(text: Any, points: Polygon) -> NDArray[np.bool_]:  # noqa: ANN401
    """Decode the base64 PNG of a mask shape, whose size must be that of the box its points span."""
    if len(points) != 2:
        raise LabelMeShapeError(
            f"a mask with {len(points)} points, expected 2 (the corners of its box); draw it anew"
        )
    if not isinstance(text, str):
        raise LabelMeShapeError("a mask without mask data; draw it anew or delete it")
    # LabelMe counts the box's last pixel as inside.
    width, height = (int(side) + 1 for side in np.abs(points[1].round() - points[0].round()))
    try:
        content = base64.b64decode(text)
        # The header's size is known and accepted before anything is decoded.
        found_width, found_height = struct.unpack(">II", content[16:24])
        if max(abs(found_width - width), abs(found_height - height)) > 1 or width * height > MAX_IMAGE_PIXELS:
            found, box = f"{found_width} x {found_height}", f"{width} x {height}"
            raise LabelMeShapeError(
                f"the mask is {found} pixels but its box {box}; draw it anew or delete it"
            )
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            return np.asarray(np.asarray(image if image.mode in ("1", "L") else image.convert("L")) != 0)
    except (binascii.Error, struct.error, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise LabelMeShapeError("the mask data is no base64 PNG; draw it anew or delete it") from None


def encode_mask(mask: NDArray[np.bool_]) -> str:
    """A mask as base64 of a 1-bit PNG, as LabelMe writes it."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(mask, dtype=bool)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


# ---------------------------------------------------------------- geometry


def outline(shape: LabelMeShape) -> Polygon:
    """Outline of a polygon, rectangle or circle, (n >= 3, 2).

    Raises:
        LabelMeShapeError: for too few or too many points.
    """
    points, count = shape.points, len(shape.points)
    if shape.shape_type == "circle":
        if count != 2:
            raise LabelMeShapeError(f"a circle of {count} points, expected 2 (centre, rim)")
        return _circle(points[0], float(np.hypot(*(points[1] - points[0]))))
    if shape.shape_type in _RECTANGLES and count == 2:
        (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
        return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    if shape.shape_type in _RECTANGLES and count != 4:
        raise LabelMeShapeError(f"a rectangle of {count} points, expected 2 or 4 corners")
    if count < 3:
        raise LabelMeShapeError("a polygon of fewer than 3 points")
    return points


def _circle(centre: NDArray[np.float64], radius: float) -> Polygon:
    # A chord over the angle 2a leaves the rim by r (1 - cos a).
    half_angle = math.acos(max(0.0, 1.0 - _CIRCLE_TOLERANCE / radius)) if radius > _CIRCLE_TOLERANCE else 1.0
    count = min(max(12, math.ceil(math.pi / half_angle)), 720)
    angles = np.arange(count) * (2.0 * math.pi / count)
    return np.asarray(centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1))


def clip_polygon(polygon: Polygon, *, size: tuple[int, int], margin: float = 0.0) -> Polygon:
    """Cut a polygon to the canvas (Sutherland-Hodgman, 1974); one wholly inside comes back as it is.

    Args:
        polygon: (n, 2).
        size: (height, width) of the canvas, pixels.
        margin: width of a frame around the canvas that counts as inside.

    Returns:
        (m, 2); m is 0 when nothing is left. A concave polygon cut into pieces stays one, its pieces joined by
        edges of no area along the border.
    """
    limits = ((0, -margin, 1), (0, size[1] + margin, -1), (1, -margin, 1), (1, size[0] + margin, -1))
    for axis, limit, sign in limits:
        inside = (polygon[:, axis] - limit) * sign >= 0
        if inside.all():
            continue
        kept = []
        for i, point in enumerate(polygon):
            previous = polygon[i - 1]
            if inside[i] != inside[i - 1]:
                share = (limit - previous[axis]) / (point[axis] - previous[axis])
                crossing = previous + share * (point - previous)
                crossing[axis] = limit
                kept.append(crossing)
            if inside[i]:
                kept.append(point)
        polygon = np.array(kept, dtype=np.float64).reshape(-1, 2)
    return polygon


def draw_polygon(polygon: Polygon, *, size: tuple[int, int]) -> MaskCrops:
    """Rasterise with Pillow's fill and outline, the rule by which LabelMe and the reference count area.

    Pixels that the outline touches count, so the area is a little above that of COCO's rasteriser.

    Args:
        polygon: (n >= 3, 2).
        size: (height, width) of the canvas, pixels.

    Returns:
        One mask.
    """
    polygon = clip_polygon(polygon, size=size, margin=_FAR)
    if len(polygon) < 3:
        return MaskCrops.from_crops([np.zeros((0, 0), bool)], [(0, 0)], size=size)
    left, top = np.clip(np.floor(polygon.min(axis=0)), 0, (size[1], size[0])).astype(int).tolist()
    right, bottom = np.clip(np.ceil(polygon.max(axis=0)) + 1, 0, (size[1], size[0])).astype(int).tolist()
    if right <= left or bottom <= top:
        return MaskCrops.from_crops([np.zeros((0, 0), bool)], [(0, 0)], size=size)
    canvas = Image.new("1", (right - left, bottom - top))
    moved = [(x - left, y - top) for x, y in polygon.tolist()]
    ImageDraw.Draw(canvas).polygon(moved, fill=1, outline=1)
    return MaskCrops.from_crops([np.asarray(canvas, dtype=bool)], [(top, left)], size=size)
