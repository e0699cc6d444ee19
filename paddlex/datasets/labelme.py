"""`LabelMeDetection` and `LabelMeSeg`: LabelMe files, read where they lie."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from paddlex.data.formats.faults import Fault
from paddlex.data.formats.index_mask import MAX_CLASSES
from paddlex.data.formats.labelme_lists import read_annotation_list
from paddlex.data.formats.labelme_records import (
    BACKGROUND,
    SPECIAL_IDS,
    LabelMePhoto,
    labelme_label_map,
    read_labelme_photos,
)
from paddlex.data.semantic_dataset import SemanticDataset
from paddlex.datasets.detection import DetectionFace, dataset_of_records
from paddlex.datasets.face import find_list, labels_of, require_folder, warn_of_background
from paddlex.datasets.seg import SemanticFace
from paddlex.transforms.chain import Compose
from paddlex.utils.errors import DatasetError

__all__ = ["LabelMeDetection", "LabelMeSeg"]


class LabelMeDetection(DetectionFace):
    """Instances from LabelMe files; shapes of one `group_id` and label are one instance.

    Nothing is converted or written. Files with faults are left out, and one warning counts them; of several
    files of one photo the first counts.

    Args:
        data_dir: the data set; photos are looked for as in conversion: where the file points, in `images/`,
            beside the file.
        file_list: text file with the path of a LabelMe file a line, relative to `data_dir`; None takes every
            .json below it.
        label_list: names of the classes, or a file with one a line, others being left out; None takes the
            labels in order of appearance.
        transforms: what is done to each photo.
        num_workers: processes that load photos; `auto` takes half the cores, 8 at most.
        shuffle: whether training shuffles.
        allow_empty: keep photos without objects, which teach what is background.
        empty_ratio: with it, their greatest share among all photos.

    Raises:
        DatasetFileNotFoundError: if folder or file are not there.
        FileFormatError: if a list is no text.
        DatasetError: if nothing can be used.
    """

    metric_kind: ClassVar[Literal["COCO", "VOC"] | None] = "COCO"

    def __init__(
        self,
        data_dir: Path | str,
        file_list: Path | str | None = None,
        label_list: Path | str | Sequence[str] | None = None,
        transforms: Compose | None = None,
        num_workers: int | str = "auto",
        shuffle: bool = False,
        allow_empty: bool = False,
        empty_ratio: float = 1.0,
    ) -> None:
        root = require_folder(self, data_dir).absolute()
        faults: list[Fault] = []
        photos, source = _photos(self, root, file_list, faults=faults)
        labels = _appearing(photos) if label_list is None else labels_of(self, label_list, data_dir=root)
        records = [photo.record() for photo in photos]
        whole, has_masks = dataset_of_records(self, root, records, labels, source=source, faults=faults)
        super().__init__(
            whole,
            labels=labels,
            allow_empty=allow_empty,
            empty_ratio=empty_ratio,
            has_masks=has_masks,
            transforms=transforms,
            num_workers=num_workers,
            shuffle=shuffle,
        )


class LabelMeSeg(SemanticFace):
    """Classes of pixels from LabelMe files.

    Shapes are filled in file order, later ones over earlier ones. `_background_`, and what no shape covers,
    is class 0; shapes labelled `__ignore__` give 255. Otherwise as `LabelMeDetection`.

    Args:
        data_dir: as `LabelMeDetection`.
        file_list: likewise.
        label_list: names of the classes, or a file with one a line, the background first; None takes
            `_background_` and then the labels in order of appearance.
        transforms: what is done to each photo.
        num_workers: processes that load photos; `auto` takes half the cores, 8 at most.
        shuffle: whether training shuffles.

    Raises:
        DatasetFileNotFoundError: if folder or file are not there.
        FileFormatError: if a list is no text.
        DatasetError: if nothing can be used, or there are more labels than a mask of 8 bits can hold.
    """

    def __init__(
        self,
        data_dir: Path | str,
        file_list: Path | str | None = None,
        label_list: Path | str | Sequence[str] | None = None,
        transforms: Compose | None = None,
        num_workers: int | str = "auto",
        shuffle: bool = False,
    ) -> None:
        root = require_folder(self, data_dir).absolute()
        faults: list[Fault] = []
        photos, source = _photos(self, root, file_list, faults=faults)
        if label_list is None:
            labels = [BACKGROUND, *_appearing(photos)]
        else:
            labels = labels_of(self, label_list, data_dir=root)
            warn_of_background(self, labels)
        if len(labels) > MAX_CLASSES:
            raise DatasetError(
                f"{source}: {len(labels)} labels; a mask holds at most {MAX_CLASSES}: join some"
            )
        class_ids = SPECIAL_IDS | {label: index for index, label in enumerate(labels)}
        faults += [
            Fault(photo.annotation, "label is not in the list of labels", repr(label))
            for photo in photos
            for label in photo.labels
            if label not in class_ids
        ]
        listed = SemanticDataset.from_pairs(
            root,
            [(photo.photo, photo.annotation) for photo in photos],
            source=str(source),
            class_names=labels,
            read_labels=functools.partial(labelme_label_map, class_ids=class_ids),
            faults=faults,
        )
        super().__init__(
            listed, labels=labels, transforms=transforms, num_workers=num_workers, shuffle=shuffle
        )


def _photos(
    owner: object, root: Path, file_list: Path | str | None, *, faults: list[Fault]
) -> tuple[list[LabelMePhoto], Path]:
    """The annotated photos, and the list or folder they come from."""
    if file_list is None:
        source = root
        paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.json"))
    else:
        source = find_list(owner, "file_list", path=file_list, data_dir=root)
        missing: list[str] = []
        paths = read_annotation_list(root, str(source), errors=missing, warnings=[])
        faults += [Fault(source.name, "file is missing", line) for line in missing]
    return read_labelme_photos(root, paths, faults=faults), source


def _appearing(photos: Sequence[LabelMePhoto]) -> list[str]:
    return list(dict.fromkeys(label for photo in photos for label in photo.labels))
