"""A folder of LabelMe files, read wholly before anything is written: what every conversion begins with."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from paddlex.data.formats.findings import Findings
from paddlex.data.formats.labelme import LabelMeFile, fit_to_photo, read_labelme
from paddlex.data.formats.labelme_lists import (
    TRAIN_LIST,
    VAL_LIST,
    AnnotationLists,
    read_annotation_lists,
)
from paddlex.data.formats.labelme_photos import Photo, PhotoFolder
from paddlex.data.formats.staging import StagedFiles
from paddlex.utils.errors import ConvertFailedError, DatasetFileNotFoundError, FileFormatError
from paddlex.utils.logging import logger
from paddlex.utils.progress import progress

__all__ = [
    "LabelMeFolder",
    "LabelMeRecord",
    "log_warnings",
    "read_labelme_folder",
    "stage_drawn_split",
    "staging_conversion",
]

# Warnings beyond these are counted only; all of them are in the summary.
_LOGGED_WARNINGS = 20

Content = TypeVar("Content")


@dataclass(frozen=True)
class LabelMeRecord(Generic[Content]):
    """One LabelMe file without faults.

    Attributes:
        findings: its warnings.
        photo: the photo it annotates.
        content: what the conversion needs of its shapes.
    """

    findings: Findings
    photo: Photo
    content: Content


@dataclass(frozen=True)
class LabelMeFolder(Generic[Content]):
    """All files of a folder.

    Attributes:
        lists: which files train and which validate.
        records: by the file's path relative to the root; train first.
        names: by that path the `file_name` of the photo below `images/`.
        added_photos: `file_name` of each photo that was staged because it lies elsewhere.
    """

    lists: AnnotationLists
    records: Mapping[str, LabelMeRecord[Content]]
    names: Mapping[str, str]
    added_photos: tuple[str, ...]

    def warnings(self) -> list[str]:
        """One line each: of the lists, of photos annotated twice, of the files."""
        found = [*self.lists.warnings, *_shared_photos(self.lists, self.names)]
        return found + [line for record in self.records.values() for line in record.findings.warnings]


@contextlib.contextmanager
def staging_conversion(dataset_dir: Path | str) -> Iterator[tuple[Path, StagedFiles]]:
    """The data set's folder and a place for its new files; a disk that cannot be written is a clear error.

    Raises:
        DatasetFileNotFoundError: if the folder does not exist.
        ConvertFailedError: if it cannot be written; it is as it was.
    """
    root = Path(os.path.normpath(dataset_dir))
    if not root.is_dir():
        raise DatasetFileNotFoundError(f"{root}: no such folder; Global.dataset_dir must name the data set")
    try:
        with StagedFiles(root) as staged:
            yield root, staged
    except OSError as error:
        place = error.filename or root
        raise ConvertFailedError(
            f"{place}: cannot be written ({error.strerror or error}); nothing was changed, "
            "make room or give the right to write"
        ) from error


def read_labelme_folder(
    root: Path,
    staged: StagedFiles,
    *,
    digest: Callable[[LabelMeFile, tuple[int, int], Findings], Content],
    has_objects: Callable[[Content], bool],
    seed: int,
    val_percent: float | None,
    num_workers: int,
) -> LabelMeFolder[Content]:
    """Read every listed file and find its photo.

    Args:
        root: the data set.
        staged: receives photos that do not lie below `images/`.
        digest: what to keep of a file, whose shapes are in the frame of the upright photo; also given the
            photo's (height, width) and where to record findings.
        has_objects: whether there is anything to learn from a file; some file must have it.
        seed: of the split that is made when there is no val list.
        val_percent: share of val in that split, between 0 and 100; None puts all into train.
        num_workers: threads that read files.

    Raises:
        ConvertFailedError: listing every fault of every file.
    """
    if val_percent is not None and not 0 < val_percent < 100:
        raise ConvertFailedError(f"val_percent is {val_percent}; expected a share between 0 and 100")
    lists = read_annotation_lists(root, seed=seed, val_percent=val_percent)
    photos = PhotoFolder(root, staged)
    paths = list(dict.fromkeys(lists.train + lists.val))
    with ThreadPoolExecutor(max_workers=max(1, num_workers)) as pool:
        reading = pool.map(lambda path: _read(root, path, photos, digest), paths)
        read = list(progress(reading, description="Reading LabelMe files", total=len(paths)))
    problems = [*lists.errors, *(line for findings, _ in read for line in findings.errors)]
    records = {path: record for path, (_, record) in zip(paths, read, strict=True) if record is not None}
    if not problems and not any(has_objects(record.content) for record in records.values()):
        problems.append("no file holds an object; draw polygons in LabelMe first")
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise ConvertFailedError(
            f"{root}: not converted from LabelMe, nothing was changed; {count}:", problems
        )
    placed = photos.place([record.photo for record in records.values()])
    return LabelMeFolder(lists, records, dict(zip(records, placed, strict=True)), photos.added)


def _read(
    root: Path,
    path: str,
    photos: PhotoFolder,
    digest: Callable[[LabelMeFile, tuple[int, int], Findings], Content],
) -> tuple[Findings, LabelMeRecord[Content] | None]:
    """Read one file wholly; what is wrong with it is in the findings."""
    findings = Findings(path)
    try:
        file = read_labelme(root / path, findings=findings)
    except FileFormatError as error:
        findings.error(str(error).removeprefix(f"{root / path}: "))
        return findings, None
    photo = photos.find(file, findings)
    if photo is None:
        return findings, None
    file = fit_to_photo(file, header=photo.header, findings=findings)
    return findings, LabelMeRecord(findings, photo, digest(file, photo.header.size, findings))


def stage_drawn_split(root: Path, staged: StagedFiles, lists: AnnotationLists) -> None:
    """Write the lists of LabelMe files if they were drawn by chance, so that they are kept."""
    if lists.is_split:
        staged.add_text("".join(f"{path}\n" for path in lists.train), root / TRAIN_LIST)
        staged.add_text("".join(f"{path}\n" for path in lists.val), root / VAL_LIST)


def _shared_photos(lists: AnnotationLists, names: Mapping[str, str]) -> list[str]:
    """Warn of photos that several files annotate, and of photos on both sides."""
    warnings = []
    for side in (lists.train, lists.val):
        counts = Counter(names[path] for path in side)
        for name in (name for name, count in counts.items() if count > 1):
            files = ", ".join(path for path in side if names[path] == name)
            warnings.append(f"{files}: all of one photo, {name}; their objects are joined")
    both = {names[path] for path in lists.train} & {names[path] for path in lists.val}
    if both:
        warnings.append(
            f"{len(both)} photo(s) in both train and val (one is {min(both)}); scores will flatter"
        )
    return warnings


def log_warnings(warnings: Sequence[str]) -> None:
    """Log the first 20 and the count of the others."""
    for line in warnings[:_LOGGED_WARNINGS]:
        logger.warning(line)
    if len(warnings) > _LOGGED_WARNINGS:
        logger.warning("and %d more warnings", len(warnings) - _LOGGED_WARNINGS)
