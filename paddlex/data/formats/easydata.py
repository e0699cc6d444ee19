"""EasyData annotations: a JSON file a photo, `labels` listing its objects.

Objects have a `name` and a `mask` (COCO's compressed run lengths over the photo, as text), or the corners
`x1`, `y1`, `x2`, `y2` of a box, or both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.data.formats.faults import Fault
from paddlex.data.formats.records import ObjectRecord, PhotoRecord, label_map_from_objects
from paddlex.data.formats.segmentation import Rle, SegmentationError, parse_segmentation, segmentation_mask
from paddlex.structures.masks import MaskCrops
from paddlex.utils.errors import FileFormatError, ImageReadError
from paddlex.utils.files import read_json, write_json
from paddlex.utils.images import image_header

__all__ = [
    "EasyDataObject",
    "easydata_label_map",
    "read_easydata",
    "read_easydata_records",
    "write_easydata",
]

_CORNERS = ("x1", "y1", "x2", "y2")


@dataclass(frozen=True)
class EasyDataObject:
    """One object.

    Attributes:
        name: the class's name.
        corners: (x1, y1, x2, y2), pixels, or None.
        counts: run lengths of its mask, COCO's compressed text, or None.
    """

    name: str
    corners: tuple[float, float, float, float] | None = None
    counts: str | None = None


def read_easydata(path: Path | str) -> tuple[EasyDataObject, ...]:
    """Read the objects of one photo, in file order.

    Raises:
        FileFormatError: no JSON, no list `labels`, or an object without a name or with neither mask nor box.
    """
    content = read_json(path)
    entries = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise FileFormatError(f"{path}: no list `labels`; expected an EasyData annotation")
    return tuple(
        _object(entry, place=f"{path}, object {number}") for number, entry in enumerate(entries, start=1)
    )


def _object(entry: Any, *, place: str) -> EasyDataObject:  # noqa: ANN401 (any JSON)
    if not isinstance(entry, dict):
        raise FileFormatError(f"{place}: found {type(entry).__name__}, expected an object with a name")
    name, mask = entry.get("name"), entry.get("mask")
    if not isinstance(name, str) or not name.strip():
        raise FileFormatError(f"{place}: found the name {str(name)[:40]!r}, expected a class")
    corners = [entry.get(key) for key in _CORNERS]
    given = [corner for corner in corners if corner is not None]
    if given and (len(given) < 4 or not all(map(_is_number, given))):
        raise FileFormatError(f"{place}: found the corners {corners}, expected four numbers of pixels"[:200])
    if mask is not None and not isinstance(mask, str):
        raise FileFormatError(f"{place}: found a mask of {type(mask).__name__}, expected run lengths as text")
    if not given and not mask:
        raise FileFormatError(f"{place}: neither mask nor x1, y1, x2, y2; annotate it or remove it")
    if not given:
        return EasyDataObject(name.strip(), None, mask)
    x1, y1, x2, y2 = map(float, given)
    return EasyDataObject(name.strip(), (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)), mask or None)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e6


def write_easydata(path: Path | str, objects: Sequence[EasyDataObject]) -> None:
    """Write objects as `read_easydata` reads them, atomically."""
    labels: list[dict[str, Any]] = []
    for one in objects:
        corners = dict(zip(_CORNERS, one.corners, strict=True)) if one.corners is not None else {}
        mask = {"mask": one.counts} if one.counts is not None else {}
        labels.append({"name": one.name, **corners, **mask})
    write_json(path, {"labels": labels})


# ---------------------------------------------------------------- as instances, as classes of pixels


def read_easydata_records(
    root: Path, pairs: Sequence[tuple[str, str]], *, faults: list[Fault]
) -> list[PhotoRecord]:
    """Read the annotations of photos as instances.

    Args:
        root: the data set.
        pairs: (photo, JSON), relative to it.
        faults: receives files that cannot be read, whose photos are left out, and masks that do not fit.
    """
    records = []
    for photo, annotation in pairs:
        try:
            objects, size = read_easydata(root / annotation), image_header(root / photo).size
        except FileFormatError as error:
            faults.append(Fault(annotation, "annotation cannot be read", str(error)))
            continue
        except ImageReadError as error:
            faults.append(Fault(photo, "photo cannot be read", str(error)))
            continue
        found = tuple(
            _record(one, size, place=f"{annotation}, object {number}", faults=faults)
            for number, one in enumerate(objects, start=1)
        )
        records.append(PhotoRecord(photo, size, found, annotation))
    return records


def _record(one: EasyDataObject, size: tuple[int, int], *, place: str, faults: list[Fault]) -> ObjectRecord:
    segmentation = None
    if one.counts is not None:
        try:
            segmentation = _rle(one.counts, size)
        except SegmentationError as error:
            faults.append(Fault(place, error.kind, error.found))
    box = None
    if one.corners is not None:
        x1, y1, x2, y2 = one.corners
        box = (x1, y1, x2 - x1, y2 - y1)
    return ObjectRecord(one.name, box, segmentation)


def easydata_label_map(path: Path, photo: Path, *, class_ids: Mapping[str, int]) -> NDArray[np.uint8]:
    """Class indices of a photo's pixels; what is listed later covers what was before, the rest is 0.

    Args:
        path: the JSON file.
        photo: the photo.
        class_ids: index of each class.

    Returns:
        (H, W) of the photo.

    Raises:
        FileFormatError: if the file, a class or a mask is not what it should be.
    """
    size = image_header(photo).size
    masks: list[tuple[int, MaskCrops | None]] = []
    for number, one in enumerate(read_easydata(path), start=1):
        place = f"{path}, object {number}"
        if one.name not in class_ids:
            known = ", ".join(class_ids)
            raise FileFormatError(f"{place}: label {one.name!r} is not in the list of labels ({known})"[:300])
        if one.counts is None:
            raise FileFormatError(f"{place}: only a box; classes of pixels need a mask")
        try:
            masks.append((class_ids[one.name], segmentation_mask(_rle(one.counts, size), size=size)))
        except SegmentationError as error:
            raise FileFormatError(f"{place}: {error}; its photo has {size} pixels (height, width)") from error
    return label_map_from_objects(masks, size=size)


def _rle(counts: str, size: tuple[int, int]) -> Rle:
    parsed = parse_segmentation({"size": list(size), "counts": counts})
    assert isinstance(parsed, Rle)
    return parsed
