"""`SegDataset`: classes of pixels from masks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from paddlex.data.checks.masks import scan_masks
from paddlex.data.formats.index_mask import MAX_CLASSES
from paddlex.data.semantic_dataset import SemanticDataset
from paddlex.datasets.face import DatasetFace, find_list, labels_of, note_unused, require_folder
from paddlex.transforms.chain import Compose
from paddlex.utils.errors import DatasetError

__all__ = ["SegDataset", "SemanticFace"]


class SemanticFace(DatasetFace):
    """A data set of photos and what tells the class of each of their pixels.

    Args:
        listed: the photos; where nobody has named the classes, of as many classes as masks can hold.
        labels: names of the classes by index; empty where nobody has named them.
        options: of `DatasetFace`.
    """

    def __init__(
        self,
        listed: SemanticDataset,
        *,
        labels: list[str],
        **options: Any,  # noqa: ANN401 (of DatasetFace)
    ) -> None:
        super().__init__(labels, **options)
        self._listed = listed

    @cached_property
    def samples(self) -> SemanticDataset:
        """The photos as a `BatchLoader` takes them."""
        return self._listed if self.labels else self._listed.with_classes(self.num_classes)

    @property
    def file_list(self) -> list[dict[str, Any]]:
        """Photo and annotation of each line that can be used."""
        return [{"image": str(image), "mask": str(mask)} for image, mask in self._listed.pairs]

    @property
    def num_samples(self) -> int:
        """Count of photos."""
        return len(self._listed)

    @cached_property
    def num_classes(self) -> int:
        """Count of classes: of all labels, or as the masks show, which are all read for it."""
        if self.labels:
            return len(self.labels)
        root = self._listed.root
        masks = (mask.relative_to(root).as_posix() for _, mask in self._listed.pairs)
        scans = scan_masks(root, masks, num_workers=max(self.num_workers, 1))
        labels = {label for scan in scans.values() for label in scan.labels}
        if not labels:
            raise DatasetError(
                f"{self._listed.list_file}: no mask holds a class; expected class indices from 0"
            )
        return max(labels) + 1


class SegDataset(SemanticFace):
    """Photos and masks of one channel, whose values are class indices; 255 is ignored.

    Lines that are no pair, and pairs of which a file is missing, are left out, and one warning counts them.

    Args:
        data_dir: folder that the list's paths are relative to.
        file_list: the list: "photo mask" a line, separated by a blank.
        label_list: names of the classes, or a file with one a line; None leaves them without names, and
            counts them as the masks show.
        transforms: what is done to each photo.
        num_workers: processes that load photos; `auto` takes half the cores, 8 at most.
        shuffle: whether training shuffles.
        buffer_size: of PaddleX 1; means nothing here.
        parallel_mode: likewise.
        parallel_method: likewise.

    Raises:
        DatasetFileNotFoundError: if folder or file are not there.
        FileFormatError: if a list is no text.
        DatasetError: if no pair can be used.
    """

    def __init__(
        self,
        data_dir: Path | str,
        file_list: Path | str,
        label_list: Path | str | Sequence[str] | None = None,
        transforms: Compose | None = None,
        num_workers: int | str = "auto",
        shuffle: bool = False,
        *,
        buffer_size: int | None = None,
        parallel_mode: str | None = None,
        parallel_method: str | None = None,
    ) -> None:
        note_unused(
            self, buffer_size=buffer_size, parallel_mode=parallel_mode, parallel_method=parallel_method
        )
        root = require_folder(self, data_dir).absolute()
        labels = labels_of(self, label_list, data_dir=root) if label_list is not None else []
        listed = SemanticDataset(
            root,
            str(find_list(self, "file_list", path=file_list, data_dir=root)),
            num_classes=len(labels) or MAX_CLASSES,
            class_names=labels or None,
        )
        super().__init__(
            listed,
            labels=labels,
            transforms=transforms,
            num_workers=num_workers,
            shuffle=shuffle,
        )
