"""What all data sets of the 2.x interface have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from paddlex.data.formats.faults import Fault
from paddlex.data.formats.labels import read_labels
from paddlex.data.formats.names import is_file
from paddlex.data.formats.pair_list import read_pair_list
from paddlex.data.loader import Dataset
from paddlex.transforms.chain import Compose
from paddlex.utils.cpu import available_cores
from paddlex.utils.errors import DatasetFileNotFoundError, FileFormatError, UsageError
from paddlex.utils.logging import logger

__all__ = [
    "DatasetFace",
    "find_list",
    "labels_of",
    "listed_pairs",
    "note_unused",
    "require_folder",
    "warn_of_background",
]

_MOST_WORKERS = 8


class DatasetFace(ABC):
    """A data set with the user's choices for its loading.

    Args:
        labels: names of the classes by index.
        transforms: what is done to each photo; None is enough where none is trained on.
        num_workers: processes that load photos; `auto` takes half the cores, 8 at most; 0 loads in between.
        shuffle: whether training shuffles.

    Attributes:
        labels: names of the classes by index, as written.
        transforms: as given.
        num_workers: the number.
        shuffle: as given.
        metric_kind: what `metric=None` means for it; None for semantic segmentation.

    Raises:
        UsageError: if `transforms` is no `Compose` or `num_workers` no number.
    """

    metric_kind: ClassVar[Literal["COCO", "VOC"] | None] = None

    def __init__(
        self, labels: list[str], *, transforms: Compose | None, num_workers: int | str, shuffle: bool
    ) -> None:
        self.labels = labels
        self.transforms = _require_compose(self, transforms)
        self.num_workers = _workers(self, num_workers)
        self.shuffle = bool(shuffle)

    @property
    @abstractmethod
    def samples(self) -> Dataset:
        """The photos as a `BatchLoader` takes them."""

    @property
    @abstractmethod
    def file_list(self) -> list[dict[str, Any]]:
        """One entry a photo, `image` being its path."""

    @property
    def num_samples(self) -> int:
        """Count of photos."""
        return len(self.samples)

    @property
    def num_classes(self) -> int:
        """Count of classes: of all labels."""
        return len(self.labels)

    def __len__(self) -> int:
        return self.num_samples

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.num_samples} photos, {len(self.labels)} labels"


def note_unused(owner: object, **given: Any) -> None:  # noqa: ANN401 (whatever was given)
    """Say of arguments of PaddleX 1 that were given that they mean nothing here."""
    names = [name for name, value in given.items() if value is not None]
    if names:
        logger.info(
            "%s: %s mean nothing here: workers are processes, and hand photos over as they come",
            type(owner).__name__,
            ", ".join(names),
        )


def require_folder(owner: object, data_dir: Path | str) -> Path:
    """The folder of a data set.

    Raises:
        DatasetFileNotFoundError: if it is none.
    """
    folder = Path(data_dir)
    if not folder.is_dir():
        raise DatasetFileNotFoundError(
            f"{type(owner).__name__}: {folder} is no folder; expected one that holds photos"
        )
    return folder


def find_list(owner: object, argument: str, *, path: Path | str, data_dir: Path) -> Path:
    """A file that the user named: as it is, else below `data_dir`.

    Raises:
        DatasetFileNotFoundError: if there is none.
    """
    for candidate in (Path(path), data_dir / path):
        if is_file(candidate):
            return candidate.absolute()
    raise DatasetFileNotFoundError(
        f"{type(owner).__name__}.{argument}: no file {path}, nor below {data_dir}; correct the path"
    )


def labels_of(owner: object, label_list: Path | str | Sequence[str], *, data_dir: Path) -> list[str]:
    """The names of the classes: one a line of a file, or a list such as the `labels` of another data set.

    Raises:
        DatasetFileNotFoundError: if there is no such file.
        FileFormatError: if a name is missing or there twice.
    """
    if isinstance(label_list, (list, tuple)):
        names = [str(name) for name in label_list]
        if not all(names) or len(set(names)) < len(names):
            raise FileFormatError(f"label_list: found {names}, expected names that are not empty and differ")
        return names
    return list(read_labels(find_list(owner, "label_list", path=str(label_list), data_dir=data_dir)))


def listed_pairs(root: Path, list_file: Path, *, faults: list[Fault]) -> list[tuple[str, str]]:
    """The (photo, annotation) of each line whose files are there, relative to `root`.

    Args:
        root: the data set.
        list_file: the list, absolute.
        faults: receives the other lines.
    """
    listed = read_pair_list(root, str(list_file))
    faults += listed.faults
    pairs = []
    for pair in listed.pairs:
        missing = [name for name in (pair.image, pair.mask) if not is_file(root / name)]
        if missing:
            faults.append(Fault(f"line {pair.line}", "file is missing", ", ".join(missing)))
        else:
            pairs.append((pair.image, pair.mask))
    return pairs


def warn_of_background(owner: object, labels: list[str]) -> None:
    """Say which class pixels get that no object covers, where its name does not tell."""
    if "background" not in labels[0].casefold():
        logger.warning(
            "%s: pixels that no object covers count as %r, the first label; list the background first if "
            "they are none of it",
            type(owner).__name__,
            labels[0],
        )


def _require_compose(owner: object, transforms: object) -> Compose | None:
    if transforms is None or isinstance(transforms, Compose):
        return transforms
    raise UsageError(
        f"{type(owner).__name__}.transforms: found {type(transforms).__name__}, expected a Compose of "
        "paddlex.transforms, paddlex.det.transforms or paddlex.seg.transforms"
    )


def _workers(owner: object, num_workers: int | str) -> int:
    if num_workers == "auto":
        return min(available_cores() // 2, _MOST_WORKERS)
    if isinstance(num_workers, int) and not isinstance(num_workers, bool) and num_workers >= 0:
        return num_workers
    raise UsageError(
        f"{type(owner).__name__}.num_workers: found {num_workers!r}, expected 'auto' or a count, 0 or more"
    )
