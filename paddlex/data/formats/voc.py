"""PASCAL VOC annotations: an XML file a photo, and masks of its objects in a PNG beside it.

Masks are found in two places. `SegmentationObject/NAME.png` holds, as in PASCAL VOC, the number of the object
at each pixel: 1 for the first `object` of the XML, 2 for the second; 0 is background and 255 a border that
belongs to none. Some programs write a `polygon` into the `object` itself, either of numbered corners (`x1`,
`y1`, `x2`, ...) or of `point` or `pt` entries with `x` and `y`; several make one object of several parts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from paddlex.utils.errors import FileFormatError
from paddlex.utils.files import read_text, write_bytes

__all__ = ["VocFile", "VocObject", "read_voc", "write_voc"]

# A data set's annotation is a few kilobytes; a tree of more than this is no annotation.
_MOST_CHARACTERS = 64 * 1024**2
_CORNER = re.compile(r"([xy])(\d+)")

_Polygon = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VocObject:
    """One object.

    Attributes:
        name: the class's name.
        corners: (xmin, ymin, xmax, ymax) as written, pixels; None where the file has none.
        polygons: parts, (n >= 3, 2) x, y in pixels each.
        is_difficult: hard to recognise: evaluation counts it neither way.
        is_truncated: cut off by the photo's border.
    """

    name: str
    corners: tuple[float, float, float, float] | None
    polygons: tuple[_Polygon, ...] = ()
    is_difficult: bool = False
    is_truncated: bool = False


@dataclass(frozen=True)
class VocFile:
    """One annotated photo.

    Attributes:
        file_name: the photo's name as written, which may be outdated; empty where there is none.
        size: (height, width) as written, or None.
        objects: in file order.
    """

    file_name: str
    size: tuple[int, int] | None
    objects: tuple[VocObject, ...]


# ---------------------------------------------------------------- reading


def read_voc(path: Path | str) -> VocFile:
    """Read an XML file; names of tags count in any case.

    Raises:
        FileFormatError: not XML, a document type declaration (whose entities may grow without bound), no
            `annotation`, or an object without a name or with numbers that are none.
    """
    root = _parse(path)
    if root.tag.lower() != "annotation":
        raise FileFormatError(f"{path}: the root is {root.tag!r}; expected annotation, as PASCAL VOC has")
    objects = tuple(
        _object(entry, place=f"{path}, object {number}")
        for number, entry in enumerate(_children(root, "object"), start=1)
    )
    return VocFile(_text(root, "filename"), _size(root, path), objects)


def _parse(path: Path | str) -> ElementTree.Element:
    text = read_text(path)
    if len(text) > _MOST_CHARACTERS:
        raise FileFormatError(f"{path}: {len(text)} characters; expected the annotation of one photo")
    # The text is what the parser gets, so nothing can hide from this in another encoding.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise FileFormatError(f"{path}: declares a document type, which annotations do not need; remove it")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise FileFormatError(f"{path}: not valid XML ({error}); restore it or write it anew") from error


def _children(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (child for child in element if isinstance(child.tag, str) and child.tag.lower() == name)


def _text(element: ElementTree.Element, name: str) -> str:
    child = next(_children(element, name), None)
    return (child.text or "").strip() if child is not None else ""


def _size(root: ElementTree.Element, path: Path | str) -> tuple[int, int] | None:
    size = next(_children(root, "size"), None)
    if size is None:
        return None
    found = [_text(size, name) for name in ("height", "width")]
    numbers = [_number(text, place=f"{path}: size") if text else 0.0 for text in found]
    height, width = (int(number) for number in numbers)
    return (height, width) if height > 0 and width > 0 else None


def _object(entry: ElementTree.Element, *, place: str) -> VocObject:
    name = _text(entry, "name")
    if not name:
        raise FileFormatError(f"{place}: no name; write the class into <name>")
    box = next(_children(entry, "bndbox"), None)
    corners = None
    if box is not None:
        x1, y1, x2, y2 = (_corner(box, name, place=place) for name in ("xmin", "ymin", "xmax", "ymax"))
        corners = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
    parts = [_polygon(part, place=place) for part in _children(entry, "polygon")]
    return VocObject(
        name=name,
        corners=corners,
        polygons=tuple(part for part in parts if len(part) >= 3),
        is_difficult=_text(entry, "difficult") in ("1", "true", "True"),
        is_truncated=_text(entry, "truncated") in ("1", "true", "True"),
    )


def _corner(box: ElementTree.Element, name: str, *, place: str) -> float:
    text = _text(box, name)
    if not text:
        raise FileFormatError(f"{place}: bndbox without {name}; expected xmin, ymin, xmax and ymax")
    return _number(text, place=place)


def _polygon(element: ElementTree.Element, *, place: str) -> _Polygon:
    """(n, 2) points; n is 0 for a form that is not known."""
    points = [*_children(element, "point"), *_children(element, "pt")]
    if points:
        pairs = [[_number(_text(point, axis), place=place) for axis in ("x", "y")] for point in points]
        return np.array(pairs, dtype=np.float64)
    numbered: dict[int, dict[str, float]] = {}
    for child in element:
        found = _CORNER.fullmatch(child.tag.lower()) if isinstance(child.tag, str) else None
        if found:
            value = _number((child.text or "").strip(), place=place)
            numbered.setdefault(int(found[2]), {})[found[1]] = value
    whole = [corner for _, corner in sorted(numbered.items()) if len(corner) == 2]
    return np.array([[corner["x"], corner["y"]] for corner in whole], dtype=np.float64).reshape(-1, 2)


def _number(text: str, *, place: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or abs(number) > 1e6:
        raise FileFormatError(f"{place}: found {text[:40]!r}, expected a number of pixels")
    return number


# ---------------------------------------------------------------- writing


def write_voc(path: Path | str, file: VocFile) -> None:
    """Write an XML file that `read_voc` reads, atomically; polygons as `point` entries."""
    root = ElementTree.Element("annotation")
    _add(root, "filename", file.file_name)
    if file.size is not None:
        size = ElementTree.SubElement(root, "size")
        for name, value in (("width", file.size[1]), ("height", file.size[0]), ("depth", 3)):
            _add(size, name, value)
    for one in file.objects:
        entry = ElementTree.SubElement(root, "object")
        _add(entry, "name", one.name)
        _add(entry, "truncated", int(one.is_truncated))
        _add(entry, "difficult", int(one.is_difficult))
        if one.corners is not None:
            box = ElementTree.SubElement(entry, "bndbox")
            _add_all(box, ("xmin", "ymin", "xmax", "ymax"), one.corners)
        for part in one.polygons:
            polygon = ElementTree.SubElement(entry, "polygon")
            for point in part.tolist():
                _add_all(ElementTree.SubElement(polygon, "point"), ("x", "y"), point)
    ElementTree.indent(root)
    write_bytes(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _add(parent: ElementTree.Element, name: str, value: object) -> None:
    ElementTree.SubElement(parent, name).text = str(value)


def _add_all(parent: ElementTree.Element, names: Sequence[str], values: Sequence[float]) -> None:
    for name, value in zip(names, values, strict=True):
        _add(parent, name, int(value) if value == int(value) else value)
