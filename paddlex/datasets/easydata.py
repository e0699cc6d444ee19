"""`EasyDataDet` and `EasyDataSeg`: annotations of EasyData, as PaddleX 1 read them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from paddlex.data.formats.easydata import easydata_label_map, read_easydata_records
from paddlex.data.formats.faults import Fault
from paddlex.data.semantic_dataset import SemanticDataset
from paddlex.datasets.detection import DetectionFace, dataset_of_records
from paddlex.datasets.face import (
    find_list,
    labels_of,
    listed_pairs,
    note_unused,
    require_folder,
    warn_of_background,
)
from paddlex.datasets.seg import SemanticFace
from paddlex.transforms.chain import Compose

__all__ = ["EasyDataDet", "EasyDataSeg"]

_BUFFER_SIZE, _PARALLEL_METHOD = 100, "process"


class EasyDataDet(DetectionFace):
    """Instances from a list of photos and EasyData's JSON files: boxes, with masks where the file has them.

    An object without mask has only its box: then its rectangle stands for the mask, a warning counts such
    objects and `has_masks` is False.

    Args:
        data_dir: folder that the list's paths are relative to.
        file_list: the list: "photo json" a line, separated by a blank.
        label_list: names of the classes, or a file with one a line; objects of other classes are left out.
        transforms: what is done to each photo.
        num_workers: processes that load photos; `auto` takes half the cores, 8 at most.
        buffer_size: means nothing here.
        parallel_method: likewise.
        shuffle: whether training shuffles.
        allow_empty: keep photos without objects, which teach what is background.
        empty_ratio: with it, their greatest share among all photos.

    Raises:
        DatasetFileNotFoundError: if folder or file are not there.
        FileFormatError: if a list is no text.
        DatasetError: if nothing can be used.
    """

    metric_kind: ClassVar[Literal["COCO", "VOC"] | None] = "VOC"

    def __init__(
        self,
        data_dir: Path | str,
        file_list: Path | str,
        label_list: Path | str | Sequence[str],
        transforms: Compose | None = None,
        num_workers: int | str = "auto",
        buffer_size: int = _BUFFER_SIZE,
        parallel_method: str = _PARALLEL_METHOD,
        shuffle: bool = False,
        *,
        allow_empty: bool = False,
        empty_ratio: float = 1.0,
    ) -> None:
        _note_other(self, buffer_size=buffer_size, parallel_method=parallel_method)
        root = require_folder(self, data_dir).absolute()
        labels = labels_of(self, label_list, data_dir=root)
        source, faults = find_list(self, "file_list", path=file_list, data_dir=root), list[Fault]()
        records = read_easydata_records(root, listed_pairs(root, source, faults=faults), faults=faults)
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


class EasyDataSeg(SemanticFace):
    """Classes of pixels from a list of photos and EasyData's JSON files.

    Objects are painted in file order with the index of their label, later ones over earlier ones; pixels that
    none covers count as the first label, which is usually the background's.

    Args:
        data_dir: folder that the list's paths are relative to.
        file_list: the list: "photo json" a line, separated by a blank.
        label_list: names of the classes, or a file with one a line.
        transforms: what is done to each photo.
        num_workers: processes that load photos; `auto` takes half the cores, 8 at most.
        buffer_size: means nothing here.
        parallel_method: likewise.
        shuffle: whether training shuffles.

    Raises:
        DatasetFileNotFoundError: if folder or file are not there.
        FileFormatError: if a list is no text.
        DatasetError: if no pair can be used.
    """

    def __init__(
        self,
        data_dir: Path | str,
        file_list: Path | str,
        label_list: Path | str | Sequence[str],
        transforms: Compose | None = None,
        num_workers: int | str = "auto",
        buffer_size: int = _BUFFER_SIZE,
        parallel_method: str = _PARALLEL_METHOD,
        shuffle: bool = False,
    ) -> None:
        _note_other(self, buffer_size=buffer_size, parallel_method=parallel_method)
        root = require_folder(self, data_dir).absolute()
        labels = labels_of(self, label_list, data_dir=root)
        warn_of_background(self, labels)
        class_ids = {label: index for index, label in enumerate(labels)}
        listed = SemanticDataset(
            root,
            str(find_list(self, "file_list", path=file_list, data_dir=root)),
            num_classes=len(labels),
            class_names=labels,
            read_labels=functools.partial(easydata_label_map, class_ids=class_ids),
        )
        super().__init__(
            listed, labels=labels, transforms=transforms, num_workers=num_workers, shuffle=shuffle
        )


def _note_other(owner: object, *, buffer_size: int, parallel_method: str) -> None:
    """Say that the arguments mean nothing, where they were given."""
    note_unused(
        owner,
        buffer_size=buffer_size if buffer_size != _BUFFER_SIZE else None,
        parallel_method=parallel_method if parallel_method != _PARALLEL_METHOD else None,
    )
