"""`CocoDetection`: instances from a COCO file."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from paddlex.data.instance_dataset import InstanceDataset
from paddlex.datasets.detection import DetectionFace
from paddlex.datasets.face import find_list, note_unused, require_folder
from paddlex.transforms.chain import Compose

__all__ = ["CocoDetection"]


class CocoDetection(DetectionFace):
    """Instances from a COCO file. Classes keep the file's order; photos come in ascending id.

    Crowd regions are no training targets. What cannot be used (a missing photo, an annotation without mask,
    damaged numbers) is left out, and one warning counts it.

    Args:
        data_dir: folder that the file's photos are relative to.
        ann_file: the COCO file.
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
        FileFormatError: if the file is no COCO file.
        DatasetError: if nothing in it can be used.
    """

    metric_kind: ClassVar[Literal["COCO", "VOC"] | None] = "COCO"

    def __init__(
        self,
        data_dir: Path | str,
        ann_file: Path | str,
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
        folder = require_folder(self, data_dir)
        file = find_list(self, "ann_file", path=ann_file, data_dir=folder)
        whole = InstanceDataset(folder, file, masks="shapes")
        super().__init__(
            whole,
            labels=list(whole.class_names),
            allow_empty=allow_empty,
            empty_ratio=empty_ratio,
            transforms=transforms,
            num_workers=num_workers,
            shuffle=shuffle,
        )
