"""LabelMe files read where they lie, as instances or as classes of pixels; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paddlex.data.formats.faults import Fault
from paddlex.data.formats.findings import Findings
from paddlex.data.formats.labelme import LabelMeFile, fit_to_photo, read_labelme
from paddlex.data.formats.labelme_folder import log_warnings
from paddlex.data.formats.labelme_instances import LabelMeInstance, draw_shape, gather_instances
from paddlex.data.formats.labelme_photos import PhotoFolder
from paddlex.data.formats.records import ObjectRecord, PhotoRecord, label_map_from_objects
from paddlex.data.formats.segmentation import parse_segmentation
from paddlex.utils.errors import FileFormatError
from paddlex.utils.images import image_header

__all__ = ["BACKGROUND", "SPECIAL_IDS", "LabelMePhoto", "labelme_label_map", "read_labelme_photos"]

# LabelMe's own names for what is no class of objects, and what they mean in a label map.
BACKGROUND = "_background_"
SPECIAL_IDS = {BACKGROUND: 0, "__background__": 0, "__ignore__": 255}
_THREADS = 8


@dataclass(frozen=True)
class LabelMePhoto:
    """One annotated photo.

    Attributes:
        annotation: the LabelMe file, relative to the data set.
        photo: the photo, likewise.
        size: (height, width) of the photo, upright, pixels.
        file: what the file holds, in the frame of that photo.
        findings: what was noticed.
    """

    annotation: str
    photo: str
    size: tuple[int, int]
    file: LabelMeFile
    findings: Findings

    @property
    def labels(self) -> list[str]:
        """Labels of the shapes that enclose pixels, in file order."""
        return [shape.label for shape in self.file.shapes if shape.has_area and not shape.is_special]

    def record(self) -> PhotoRecord:
        """Its instances: shapes of one group and label are one."""
        instances = gather_instances(self.file.shapes, size=self.size, findings=self.findings)
        objects = tuple(_object(instance) for instance in instances)
        return PhotoRecord(self.photo, self.size, objects, self.annotation)


def _object(instance: LabelMeInstance) -> ObjectRecord:
    x, y, width, height = instance.area_and_box()[1]
    segmentation = parse_segmentation(instance.segmentation())
    return ObjectRecord(instance.label, (x, y, width, height), segmentation)


def read_labelme_photos(root: Path, paths: Sequence[str], *, faults: list[Fault]) -> list[LabelMePhoto]:
    """Read LabelMe files and find their photos.

    Args:
        root: the data set.
        paths: the files, relative to it.
        faults: receives files with faults, and further files of one photo; they are left out.
    """
    photos = PhotoFolder(root, None)
    with ThreadPoolExecutor(_THREADS) as pool:
        read = list(pool.map(lambda path: _read(root, path, photos), paths))
    found: dict[str, LabelMePhoto] = {}
    for path, entry in zip(paths, read, strict=True):
        if isinstance(entry, Findings):
            faults.append(Fault(path, "annotation cannot be used", entry.errors[0]))
        elif entry.photo in found:
            faults.append(Fault(path, "a second annotation of one photo", entry.photo))
        else:
            found[entry.photo] = entry
    log_warnings([line for entry in found.values() for line in entry.findings.warnings])
    return list(found.values())


def _read(root: Path, path: str, photos: PhotoFolder) -> LabelMePhoto | Findings:
    """One file, or what is wrong with it."""
    findings = Findings(path)
    try:
        file = read_labelme(root / path, findings=findings)
    except FileFormatError as error:
        findings.error(str(error).removeprefix(f"{root / path}: "))
        return findings
    photo = photos.find(file, findings)
    if photo is not None:
        file = fit_to_photo(file, header=photo.header, findings=findings)
    if photo is None or findings.errors:
        return findings
    name = Path(photo.path).relative_to(root).as_posix()
    return LabelMePhoto(path, name, photo.header.size, file, findings)


def labelme_label_map(path: Path, photo: Path, *, class_ids: Mapping[str, int]) -> NDArray[np.uint8]:
    """Class indices of a photo's pixels: shapes are filled in file order, what none covers is 0.

    Args:
        path: the LabelMe file.
        photo: its photo.
        class_ids: index of each label; shapes of others are left out.

    Returns:
        (H, W) of the upright photo.

    Raises:
        FileFormatError: if the file is no LabelMe file, or does not fit the photo.
    """
    header, findings = image_header(photo), Findings(str(path))
    file = fit_to_photo(read_labelme(path, findings=findings), header=header, findings=findings)
    if findings.errors:
        raise FileFormatError(findings.errors[0])
    drawn = (
        (class_ids[shape.label], draw_shape(shape, size=header.size, findings=findings))
        for shape in file.shapes
        if shape.label in class_ids
    )
    return label_map_from_objects(drawn, size=header.size)
