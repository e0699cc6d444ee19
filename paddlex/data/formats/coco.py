"""COCO instance annotations: one JSON file of photos, categories and annotations.

The file is read into typed records. What is wrong with a single entry becomes a `Fault`, so that the caller
decides: training counts and skips, a check lists, everything else raises at the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from paddlex.data.formats.faults import Fault
from paddlex.data.formats.segmentation import Segmentation, SegmentationError, parse_segmentation
from paddlex.utils.errors import FileFormatError
from paddlex.utils.files import read_json, write_json

__all__ = [
    "CocoAnnotation",
    "CocoCategory",
    "CocoFile",
    "CocoImage",
    "read_coco",
    "resolve_photo",
    "write_coco",
]


@dataclass(frozen=True)
class CocoImage:
    """One photo.

    Attributes:
        id: unique in the file.
        file_name: relative to the folder of photos.
        size: (height, width) as the file states it, or None.
    """

    id: int
    file_name: str
    size: tuple[int, int] | None


@dataclass(frozen=True)
class CocoCategory:
    """One class. Its position in the file is the class index; its id may be any number."""

    id: int
    name: str
    supercategory: str = ""


@dataclass(frozen=True)
class CocoAnnotation:
    """One instance.

    Attributes:
        id: as in the file, or the position counted from 1 where it has none.
        image_id: id of its photo, listed in the file.
        category_id: id of its category, listed in the file.
        segmentation: polygons or run lengths, or None.
        bbox: (x, y, width, height) in pixels, finite, or None where missing or unusable.
        area: pixels, finite and positive, or None.
        is_crowd: a region of many instances; never trained on, ignored in evaluation.
        ignore: marked as not to be used.
        is_difficult: as PASCAL VOC marks it: trained on, but neither right nor wrong to find.
    """

    id: int
    image_id: int
    category_id: int
    segmentation: Segmentation | None
    bbox: tuple[float, float, float, float] | None = None
    area: float | None = None
    is_crowd: bool = False
    ignore: bool = False
    is_difficult: bool = False


@dataclass(frozen=True)
class CocoFile:
    """A parsed file.

    Attributes:
        images: in file order.
        categories: in file order, which is the order of class indices.
        annotations: in file order.
        extra: further top-level keys (info, licenses), kept for writing.
    """

    images: tuple[CocoImage, ...]
    categories: tuple[CocoCategory, ...]
    annotations: tuple[CocoAnnotation, ...]
    extra: dict[str, Any] = field(default_factory=dict)


def read_coco(path: Path | str, *, faults: list[Fault] | None = None) -> CocoFile:
    """Read and validate a COCO instance file.

    Args:
        path: the JSON file.
        faults: None makes the first faulty entry an error; a list receives all faults instead, and the
            entries concerned are left out.

    Raises:
        FileFormatError: no JSON, no COCO file, or (without `faults`) a faulty entry.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise FileFormatError(f"{path}: a {type(content).__name__}; expected a COCO object with images")
    lists: dict[str, list[Any]] = {}
    for key in ("images", "categories", "annotations"):
        value = content.get(key)
        if not isinstance(value, list):
            found = f"a {type(value).__name__}" if key in content else "missing"
            raise FileFormatError(f"{path}: {key!r} is {found}; expected a list, as COCO instance files have")
        lists[key] = value
    fail = _raise_at_first(Path(path)) if faults is None else faults.append
    categories = _unique(_parse_all(lists["categories"], "category", _category, fail), "category", fail)
    images = _unique(_parse_all(lists["images"], "image", _image, fail), "image", fail)
    annotations = _parse_all(lists["annotations"], "annotation", _annotation, fail)
    known = _of_known(annotations, {image.id for image in images}, {c.id for c in categories}, fail)
    extra = {key: value for key, value in content.items() if key not in lists}
    return CocoFile(tuple(images), tuple(categories), tuple(known), extra)


def write_coco(path: Path | str, coco: CocoFile) -> None:
    """Write a COCO instance file atomically; fields that are None are left out."""
    images = []
    for image in coco.images:
        size = {"height": image.size[0], "width": image.size[1]} if image.size else {}
        images.append({"id": image.id, "file_name": image.file_name, **size})
    categories = [
        {"id": category.id, "name": category.name, "supercategory": category.supercategory}
        for category in coco.categories
    ]
    annotations = [_annotation_json(annotation) for annotation in coco.annotations]
    lists = {"images": images, "categories": categories, "annotations": annotations}
    write_json(path, {**coco.extra, **lists}, indent=None)


def resolve_photo(images_dir: Path, file_name: str) -> Path:
    r"""Path of a photo from its `file_name`, however the annotating program wrote it.

    Tried in this order: the name below `images_dir` (`a\b.jpg` counts as `a/b.jpg`), what follows a
    folder named as `images_dir` is (`images/b.jpg`). Of an absolute name, or one with `..`, only the bare
    name counts: no entry leads out of `images_dir`.

    Returns:
        The first that exists, else the first, so that a message can name it.
    """
    name = PurePosixPath(file_name.replace("\\", "/"))
    parts = name.parts
    tails = []
    if not name.is_absolute() and ".." not in parts and ":" not in file_name:
        tails.append(parts)
    if images_dir.name in parts[:-1]:
        below = parts[len(parts) - parts[::-1].index(images_dir.name) :]
        tails += [below] if ".." not in below else []
    if not tails:
        tails.append(parts[-1:])
    candidates = [images_dir.joinpath(*tail) for tail in tails]
    return next((path for path in candidates if path.is_file()), candidates[0])


# ---------------------------------------------------------------- entries

# As many digits as surely fit 64 bits.
_DIGITS = re.compile(r"\s*-?[0-9]{1,18}\s*")

Fail = Callable[[Fault], None]
Entry = TypeVar("Entry")
Identified = TypeVar("Identified", CocoImage, CocoCategory)


class _EntryError(ValueError):
    """(kind, found) of a faulty entry."""


def _raise_at_first(path: Path) -> Fail:
    def fail(fault: Fault) -> None:
        raise FileFormatError(f"{path}: {fault}; correct or remove this entry")

    return fail


def _parse_all(
    values: list[Any], what: str, parse: Callable[[dict[str, Any], int], Entry], fail: Fail
) -> list[Entry]:
    entries = []
    for number, value in enumerate(values, start=1):
        try:
            if not isinstance(value, dict):
                raise _EntryError("entry is no JSON object", type(value).__name__)
            entries.append(parse(value, number))
        except _EntryError as error:
            name = value.get("id", f"number {number}") if isinstance(value, dict) else f"number {number}"
            fail(Fault(f"{what} {name}", *error.args))
        except SegmentationError as error:
            fail(Fault(f"{what} {value.get('id', f'number {number}')}", error.kind, error.found))
    return entries


def _unique(entries: list[Identified], what: str, fail: Fail) -> list[Identified]:
    seen: set[int] = set()
    kept = []
    for entry in entries:
        if entry.id in seen:
            name = entry.file_name if isinstance(entry, CocoImage) else entry.name
            fail(Fault(f"{what} {entry.id}", "id is used twice", name))
        else:
            kept.append(entry)
        seen.add(entry.id)
    return kept


def _of_known(
    annotations: list[CocoAnnotation], image_ids: set[int], category_ids: set[int], fail: Fail
) -> list[CocoAnnotation]:
    kept = []
    for annotation in annotations:
        place = f"annotation {annotation.id}"
        if annotation.image_id not in image_ids:
            fail(Fault(place, "photo is not listed under images", f"image_id {annotation.image_id}"))
        elif annotation.category_id not in category_ids:
            fail(
                Fault(place, "class is not listed under categories", f"category_id {annotation.category_id}")
            )
        else:
            kept.append(annotation)
    return kept


def _image(value: dict[str, Any], number: int) -> CocoImage:
    file_name = value.get("file_name")
    if not isinstance(file_name, str) or not file_name.strip():
        raise _EntryError("file_name is no text", repr(file_name)[:80])
    height, width = value.get("height"), value.get("width")
    sized = isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0
    return CocoImage(_id(value, "id"), file_name, (height, width) if sized else None)  # type: ignore[arg-type]


def _category(value: dict[str, Any], number: int) -> CocoCategory:
    name = value.get("name")
    if not isinstance(name, str) or not name.strip():
        raise _EntryError("category without a name", repr(name)[:80])
    return CocoCategory(_id(value, "id"), name, str(value.get("supercategory") or ""))


def _annotation(value: dict[str, Any], number: int) -> CocoAnnotation:
    area = value.get("area")
    return CocoAnnotation(
        id=_id(value, "id") if "id" in value else number,
        image_id=_id(value, "image_id"),
        category_id=_id(value, "category_id"),
        segmentation=parse_segmentation(value.get("segmentation")),
        bbox=_bbox(value.get("bbox")),
        area=float(area) if _finite(area) and area > 0 else None,  # type: ignore[operator, arg-type]
        is_crowd=value.get("iscrowd") in (1, "1"),  # True equals 1
        ignore=value.get("ignore") in (1, "1"),
        is_difficult=value.get("difficult") in (1, "1"),
    )


def _id(value: dict[str, Any], key: str) -> int:
    """A whole number; text of digits and 1.0 are accepted, as some programs write them."""
    found = value.get(key)
    if isinstance(found, str) and _DIGITS.fullmatch(found):
        return int(found)
    if _finite(found) and found == int(found) and abs(found) < 2**63:  # type: ignore[arg-type]
        return int(found)  # type: ignore[arg-type]
    raise _EntryError(f"{key} is no whole number", repr(found)[:80])


def _bbox(value: Any) -> tuple[float, float, float, float] | None:  # noqa: ANN401 (any JSON)
    if not isinstance(value, list) or len(value) != 4 or not all(map(_finite, value)):
        return None
    x, y, width, height = map(float, value)
    return x, y, width, height


def _finite(value: object) -> bool:
    # JSON numbers have any length; what no float can hold is not finite here.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def _annotation_json(annotation: CocoAnnotation) -> dict[str, Any]:
    optional = {
        "segmentation": annotation.segmentation.to_json() if annotation.segmentation else None,
        "bbox": list(annotation.bbox) if annotation.bbox else None,
        "area": annotation.area,
    }
    return {
        "id": annotation.id,
        "image_id": annotation.image_id,
        "category_id": annotation.category_id,
        **{key: value for key, value in optional.items() if value is not None},
        "iscrowd": int(annotation.is_crowd),
        **({"ignore": 1} if annotation.ignore else {}),
        **({"difficult": 1} if annotation.is_difficult else {}),
    }
