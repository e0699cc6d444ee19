"""What `convert_dataset` reads: copies of photos and annotations in a folder of its own, in two common forms.

Every function works in a folder with `images/` and `annotations/`. As instances, the result is a COCO file
whose photos are relative to `images/`; as classes of pixels, it is `train.txt` (photo, mask) and the file of
class names, background first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from paddlex.data.formats.coco import CocoAnnotation, CocoFile, write_coco
from paddlex.data.formats.easydata import easydata_label_map, read_easydata, read_easydata_records
from paddlex.data.formats.faults import Fault
from paddlex.data.formats.index_mask import MAX_CLASSES, write_mask
from paddlex.data.formats.labelme_records import BACKGROUND
from paddlex.data.formats.labelme_to_coco import convert_labelme_to_coco
from paddlex.data.formats.labelme_to_masks import convert_labelme_to_masks
from paddlex.data.formats.names import name_key
from paddlex.data.formats.pair_list import CLASS_FILES, format_pairs
from paddlex.data.formats.records import coco_from_records
from paddlex.data.formats.segmentation import segmentation_mask
from paddlex.utils.errors import ConvertFailedError, FileFormatError, ImageReadError
from paddlex.utils.files import write_text
from paddlex.utils.images import IMAGE_SUFFIXES

__all__ = ["SOURCES", "Source"]

_COCO = "annotations/instance_train.json"
_FAILED = "not converted:"


@dataclass(frozen=True)
class Source:
    """A program whose annotations are read.

    Attributes:
        to_coco: writes the COCO file, returns its path.
        to_masks: writes masks and their list.
    """

    to_coco: Callable[[Path], Path]
    to_masks: Callable[[Path], None]


# ---------------------------------------------------------------- LabelMe


def _labelme_to_coco(work: Path) -> Path:
    convert_labelme_to_coco(work, val_percent=None)
    return work / _COCO


def _labelme_to_masks(work: Path) -> None:
    convert_labelme_to_masks(work, val_percent=None)


# ---------------------------------------------------------------- EasyData


def _easydata_to_coco(work: Path) -> Path:
    pairs = _pairs(work)
    faults: list[Fault] = []
    labels = _labels(work, pairs)
    records = read_easydata_records(work, pairs, faults=faults)
    coco, _ = coco_from_records(records, labels, faults=faults)
    if faults:
        raise ConvertFailedError(_FAILED, [str(fault) for fault in faults])
    sizes = {image.id: image.size for image in coco.images}
    annotations = tuple(_measured(one, sizes[one.image_id]) for one in coco.annotations)
    images = tuple(replace(one, file_name=_below_images(one.file_name)) for one in coco.images)
    write_coco(work / _COCO, CocoFile(images, coco.categories, annotations))
    return work / _COCO


def _measured(annotation: CocoAnnotation, size: tuple[int, int] | None) -> CocoAnnotation:
    """With the area and, where it is missing, the box of its mask, which other programs need."""
    assert annotation.segmentation is not None and size is not None  # of records
    mask = segmentation_mask(annotation.segmentation, size=size)
    x1, y1, x2, y2 = mask.boxes()[0].tolist()
    return replace(annotation, area=float(mask.area()[0]), bbox=annotation.bbox or (x1, y1, x2 - x1, y2 - y1))


def _easydata_to_masks(work: Path) -> None:
    pairs = _pairs(work)
    labels = [label for label in _labels(work, pairs) if label != BACKGROUND]
    if len(labels) >= MAX_CLASSES:
        raise ConvertFailedError(
            _FAILED, [f"{len(labels)} classes; a mask of 8 bits holds {MAX_CLASSES - 1}"]
        )
    class_ids = {label: number for number, label in enumerate([BACKGROUND, *labels])}
    problems, drawn = [], []
    for photo, annotation in pairs:
        mask = str(Path(annotation).with_suffix(".png").as_posix())
        try:
            write_mask(work / mask, easydata_label_map(work / annotation, work / photo, class_ids=class_ids))
        except (FileFormatError, ImageReadError) as error:
            problems.append(str(error).removeprefix(f"{work}/"))
        drawn.append((photo, mask))
    if problems:
        raise ConvertFailedError(_FAILED, problems)
    write_text(work / "train.txt", format_pairs(drawn))
    write_text(work / CLASS_FILES[0], "".join(f"{name}\n" for name in class_ids))


def _pairs(work: Path) -> list[tuple[str, str]]:
    """(photo, annotation) of equal names, relative to the folder."""
    photos: dict[str, str] = {}
    for path in sorted((work / "images").rglob("*")):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            photos[name_key(_stem(path, work / "images"))] = path.relative_to(work).as_posix()
    annotations = sorted((work / "annotations").rglob("*.json"))
    lost, pairs = [], []
    for path in annotations:
        photo = photos.get(name_key(_stem(path, work / "annotations")))
        name = path.relative_to(work).as_posix()
        if photo is None:
            lost.append(f"{name}: no photo of that name; put it beside the others, or remove the annotation")
        else:
            pairs.append((photo, name))
    if lost or not pairs:
        raise ConvertFailedError(_FAILED, lost or ["no JSON file; expected one for each photo"])
    return pairs


def _stem(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _labels(work: Path, pairs: list[tuple[str, str]]) -> list[str]:
    """The classes in order of appearance."""
    problems: list[str] = []
    labels: dict[str, None] = {}
    for _, annotation in pairs:
        try:
            labels.update(dict.fromkeys(one.name for one in read_easydata(work / annotation)))
        except FileFormatError as error:
            problems.append(str(error).removeprefix(f"{work}/"))
    if not labels and not problems:
        problems.append("no file holds an object; annotate some first")
    if problems:
        raise ConvertFailedError(_FAILED, problems)
    return list(labels)


def _below_images(name: str) -> str:
    return Path(name).relative_to("images").as_posix()


SOURCES = {
    "labelme": Source(_labelme_to_coco, _labelme_to_masks),
    "easydata": Source(_easydata_to_coco, _easydata_to_masks),
}
