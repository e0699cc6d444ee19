"""Photos with a class index per pixel, from a list of photos and masks: index -> `Sample`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.data.formats.faults import Fault, summarise_faults
from paddlex.data.formats.index_mask import read_mask
from paddlex.data.formats.names import is_file
from paddlex.data.formats.pair_list import read_class_names, read_pair_list
from paddlex.structures.sample import Sample
from paddlex.utils.errors import DatasetError
from paddlex.utils.images import read_image
from paddlex.utils.logging import logger

__all__ = ["LabelReader", "SemanticDataset", "read_mask_of_photo"]

# (annotation, photo) -> (H, W) uint8 class indices; a function of a module, as worker processes need.
LabelReader = Callable[[Path, Path], NDArray[np.uint8]]


def read_mask_of_photo(path: Path, photo: Path) -> NDArray[np.uint8]:
    """The class indices that a mask holds."""
    return read_mask(path)


class SemanticDataset:
    """The pairs of one list, in its order.

    Lines that are no pair, and pairs of which a file is missing, are left out; one warning counts them.

    Args:
        root: the data set: what the list's paths are relative to.
        list_file: the list, relative to `root`, e.g. `train.txt`.
        num_classes: classes are 0 to this, exclusive.
        ignore_index: mask value of pixels that count for nothing.
        class_names: one name a class; None takes those of `class_name.txt` or `labels.txt` if it names as
            many, else `class 0` and so on.
        read_labels: how the second file of a line gives class indices.

    Attributes:
        class_names: by class index.

    Raises:
        FileFormatError: the list is missing or no text.
        DatasetError: no usable pair.
    """

    def __init__(
        self,
        root: Path | str,
        list_file: str = "train.txt",
        *,
        num_classes: int,
        ignore_index: int = 255,
        class_names: Sequence[str] | None = None,
        read_labels: LabelReader = read_mask_of_photo,
    ) -> None:
        listed = read_pair_list(Path(root), list_file)
        pairs = [(f"line {pair.line}", pair.image, pair.mask) for pair in listed.pairs]
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self._fill(Path(root), list_file, pairs, listed.faults)
        self.class_names = tuple(class_names or _class_names(self.root, num_classes))
        self._read_labels = read_labels

    @classmethod
    def from_pairs(
        cls,
        root: Path | str,
        pairs: Sequence[tuple[str, str]],
        *,
        source: str,
        class_names: Sequence[str],
        read_labels: LabelReader = read_mask_of_photo,
        faults: Sequence[Fault] = (),
    ) -> SemanticDataset:
        """A data set of pairs (photo, annotation) that no list of this form holds.

        Args:
            root: as above.
            pairs: relative to it.
            source: where they come from, relative to it, for messages.
            class_names: one name a class.
            read_labels: as above.
            faults: what was wrong there already.
        """
        dataset = cls.__new__(cls)
        named = [(annotation, photo, annotation) for photo, annotation in pairs]
        dataset.num_classes, dataset.ignore_index = len(class_names), 255
        dataset._fill(Path(root), source, named, faults)
        dataset.class_names, dataset._read_labels = tuple(class_names), read_labels
        return dataset

    def _fill(
        self, root: Path, list_file: str, pairs: Sequence[tuple[str, str, str]], faults: Sequence[Fault]
    ) -> None:
        """Keep the pairs whose files are there, each with its place in the list."""
        self.root, self.list_file = root, list_file
        found = list(faults)
        images, masks = [], []
        for place, image, mask in pairs:
            missing = [name for name in (image, mask) if not is_file(root / name)]
            if missing:
                found.append(Fault(place, "file is missing", ", ".join(missing)))
            else:
                images.append(image)
                masks.append(mask)
        # Arrays of text: workers share their memory, which lists of str would copy.
        self._images = np.array(images, dtype=np.str_)
        self._masks = np.array(masks, dtype=np.str_)
        self._report(found)

    def __len__(self) -> int:
        return len(self._images)

    @property
    def category_ids(self) -> tuple[int, ...]:
        """The value that stands for each class in masks: its index."""
        return tuple(range(self.num_classes))

    @property
    def pairs(self) -> list[tuple[Path, Path]]:
        """(photo, annotation) by index."""
        listed = zip(self._images.tolist(), self._masks.tolist(), strict=True)
        return [(self.root / image, self.root / mask) for image, mask in listed]

    def select(self, indices: Sequence[int] | NDArray[Any]) -> SemanticDataset:
        """The photos of `indices` in that order."""
        part = copy.copy(self)
        chosen = np.asarray(indices, dtype=np.int64)
        part._images, part._masks = self._images[chosen], self._masks[chosen]
        return part

    def with_classes(self, num_classes: int) -> SemanticDataset:
        """The same pairs with another count of classes."""
        other = copy.copy(self)
        other.num_classes, other.class_names = num_classes, _class_names(self.root, num_classes)
        return other

    def describe(self, index: int) -> str:
        """The photo's path, for messages."""
        return str(self.root / str(self._images[index]))

    def __getitem__(self, index: int) -> Sample:
        """Read photo `index` with its label map (H, W) uint8.

        Raises:
            ImageReadError: if photo or mask cannot be decoded.
            IndexMaskError: if the mask holds no class indices.
            DatasetError: if their sizes differ or a label is no class.
        """
        path = self.root / str(self._images[index])
        image = read_image(path)
        size = image.shape[0], image.shape[1]
        return Sample(
            image=image,
            image_id=index,
            path=path,
            original_size=size,
            label_map=self._label_map(self.root / str(self._masks[index]), path, size),
        )

    def _label_map(self, path: Path, photo: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
        label_map = self._read_labels(path, photo)
        if label_map.shape != size:
            height, width = label_map.shape
            raise DatasetError(
                f"{path}: {width} x {height} pixels, its photo has {size[1]} x {size[0]}; "
                "make both one size; check_dataset lists all of them"
            )
        outside = (label_map >= self.num_classes) & (label_map != self.ignore_index)
        if outside.any():
            raise DatasetError(
                f"{path}: label {label_map[outside][0]}; expected 0 to {self.num_classes - 1}, or "
                f"{self.ignore_index} to be ignored; check_dataset lists all such labels and their remedy"
            )
        return label_map

    def _report(self, faults: Sequence[Fault]) -> None:
        where = self.root / self.list_file
        reasons = f" ({summarise_faults(faults)})" if faults else ""
        if not len(self):
            raise DatasetError(f"{where}: no usable pair of photo and mask{reasons}; expected one a line")
        if faults:
            logger.warning("%s: left out %s", self.list_file, summarise_faults(faults))
        logger.info("%s: %d photos, %d classes", self.list_file, len(self), self.num_classes)


def _class_names(root: Path, num_classes: int) -> tuple[str, ...]:
    found = read_class_names(root)
    if found is not None and len(found[0]) == num_classes:
        return found[0]
    return tuple(f"class {index}" for index in range(num_classes))
