"""`VOCDetection`: instances from PASCAL VOC files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from paddlex.data.formats.faults import Fault
from paddlex.data.formats.voc_records import read_voc_records
from paddlex.datasets.detection import DetectionFace, dataset_of_records
from paddlex.datasets.face import find_list, labels_of, listed_pairs, note_unused, require_folder
from paddlex.transforms.chain import Compose

__all__ = ["VOCDetection"]


class VOCDetection(DetectionFace):
    """Instances from a list of photos and XML files.

    Masks come from `SegmentationObject/NAME.png` (the object's number at each pixel), else from `polygon`
    entries of the XML; see `paddlex.data.formats.voc`. An object with neither has only its box: then its
    rectangle stands for the mask, a warning counts such objects and `has_masks` is False. Objects marked as
    difficult are trained on; the ground truth says which they are.

    Args:
        data_dir: folder that the list's paths are relative to.
        file_list: the list: "photo xml" a line, separated by a blank.
        label_list: names of the classes, or a file with one a line; objects of other classes are left out.
        transforms: what is done to each photo.
        num_workers: processes that load photos; `auto` takes half the cores, 8 at most.
        shuffle: whether training shuffles.
        allow_empty: keep photos without objects, which teach what is background.
        empty_ratio: with it, their greatest share among all photos.
        buffer_size: of PaddleX 1; means nothing here.
        parallel_mode: likewise.
        parallel_method: likewise.

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
        shuffle: bool = False,
        allow_empty: bool = False,
        empty_ratio: float = 1.0,
        *,
        buffer_size: int | None = None,
        parallel_mode: str | None = None,
        parallel_method: str | None = None,
    ) -> None:
        note_unused(
            self, buffer_size=buffer_size, parallel_mode=parallel_mode, parallel_method=parallel_method
        )
        root = require_folder(self, data_dir).absolute()
        labels = labels_of(self, label_list, data_dir=root)
        source, faults = find_list(self, "file_list", path=file_list, data_dir=root), list[Fault]()
        records = read_voc_records(root, listed_pairs(root, source, faults=faults), faults=faults)
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
