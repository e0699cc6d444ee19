"""Objects of PASCAL VOC with their masks, read from the XML files and `SegmentationObject`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paddlex.data.formats.faults import Fault
from paddlex.data.formats.index_mask import read_mask
from paddlex.data.formats.names import is_file
from paddlex.data.formats.records import ObjectRecord, PhotoRecord
from paddlex.data.formats.segmentation import Polygons, Rle, Segmentation
from paddlex.data.formats.voc import VocObject, read_voc
from paddlex.structures.masks import MaskCrops
from paddlex.utils.errors import FileFormatError, ImageReadError
from paddlex.utils.images import image_header

__all__ = ["MASK_FOLDER", "read_voc_records"]

MASK_FOLDER = "SegmentationObject"
_THREADS = 8


def read_voc_records(
    root: Path, pairs: Sequence[tuple[str, str]], *, faults: list[Fault]
) -> list[PhotoRecord]:
    """Read the annotations of photos.

    An annotation's masks are looked for in the folder `SegmentationObject` beside the XML's own, then in that
    of the data set. Objects that the picture does not show keep their polygon or box.

    Args:
        root: the data set.
        pairs: (photo, XML), relative to it.
        faults: receives files that cannot be read, whose photos are left out, and masks that do not fit.
    """

    def read(pair: tuple[str, str]) -> tuple[PhotoRecord | None, list[Fault]]:
        found: list[Fault] = []
        return _record(root, *pair, faults=found), found

    with ThreadPoolExecutor(_THREADS) as pool:
        results = list(pool.map(read, pairs))
    for _, found in results:
        faults += found
    return [record for record, _ in results if record is not None]


def _record(root: Path, photo: str, annotation: str, *, faults: list[Fault]) -> PhotoRecord | None:
    try:
        file = read_voc(root / annotation)
        size = image_header(root / photo).size
    except FileFormatError as error:
        faults.append(Fault(annotation, "annotation cannot be read", str(error)))
        return None
    except ImageReadError as error:
        faults.append(Fault(photo, "photo cannot be read", str(error)))
        return None
    numbers = _numbers(root, annotation, size, faults=faults) if file.objects else None
    objects = [
        _object_record(one, index + 1, size, numbers=numbers, place=annotation, faults=faults)
        for index, one in enumerate(file.objects)
    ]
    return PhotoRecord(photo, file.size or size, tuple(objects), annotation)


def _numbers(
    root: Path, annotation: str, size: tuple[int, int], *, faults: list[Fault]
) -> NDArray[np.uint8] | None:
    """The object's number at each pixel, or None where there is no picture of them."""
    name = Path(annotation).with_suffix(".png").name
    folders = ((root / annotation).parent.parent, root)
    path = next(
        (folder / MASK_FOLDER / name for folder in folders if is_file(folder / MASK_FOLDER / name)), None
    )
    if path is None:
        return None
    try:
        numbers = read_mask(path)
    except (FileFormatError, ImageReadError) as error:
        faults.append(Fault(path.name, "masks cannot be read", str(error)))
        return None
    if numbers.shape != size:
        faults.append(
            Fault(path.name, "masks of another size than their photo", f"{numbers.shape} on {size}")
        )
        return None
    return numbers


def _object_record(
    one: VocObject,
    number: int,
    size: tuple[int, int],
    *,
    numbers: NDArray[np.uint8] | None,
    place: str,
    faults: list[Fault],
) -> ObjectRecord:
    segmentation: Segmentation | None = None
    if one.polygons:
        segmentation = Polygons(tuple(part.ravel() for part in one.polygons))
    shown = numbers == number if numbers is not None else None
    if shown is not None and shown.any():
        (rle,) = MaskCrops.from_dense(shown[None], size=size).to_rles()
        segmentation = Rle(size, rle["counts"].encode("ascii"))
    elif shown is not None and segmentation is None:
        faults.append(
            Fault(f"{place}, object {number}", "no pixel in SegmentationObject: its box counts", one.name)
        )
    box = None
    if one.corners is not None:
        x1, y1, x2, y2 = one.corners
        box = (x1, y1, x2 - x1, y2 - y1)
    return ObjectRecord(one.name, box, segmentation, one.is_difficult)
