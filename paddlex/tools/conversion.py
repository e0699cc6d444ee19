"""`convert_dataset`: what `paddlex --data_conversion` of PaddleX 2 did."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from paddlex.tools.sources import SOURCES
from paddlex.tools.targets import TARGETS
from paddlex.utils.errors import ConvertFailedError, DatasetFileNotFoundError, UsageError
from paddlex.utils.images import IMAGE_SUFFIXES
from paddlex.utils.logging import logger, set_up_logging
from paddlex.utils.progress import progress

__all__ = ["convert_dataset"]


def convert_dataset(
    *, source: str, to: str, pics: Path | str, annotations: Path | str, save_dir: Path | str
) -> None:
    """Convert annotations of one photo each to a data set for detectors or segmenters, in its own folder.

    - `to="PascalVOC"`: `JPEGImages/`, `Annotations/<photo>.xml` with boxes and polygons, `labels.txt`; masks
      that polygons cannot tell are in `SegmentationObject/`.
    - `to="MSCOCO"`: `JPEGImages/`, `annotations.json`.
    - `to="SEG"`: `JPEGImages/`, `Annotations/<photo>.png` of class indices (0 is the background, 255 what is
      labelled `__ignore__`), `labels.txt`.

    Photos without annotations are left out. Nothing is changed in the folders that are read; on any fault
    nothing is written.

    Args:
        source: "labelme" or "easydata" (whose files have the names of their photos).
        to: "PascalVOC", "MSCOCO" or "SEG".
        pics: folder of the photos.
        annotations: folder of the JSON files; may be the same.
        save_dir: a new or empty folder.

    Raises:
        UsageError: for another source or target, or if `save_dir` holds something.
        DatasetFileNotFoundError: if a folder does not exist.
        ConvertFailedError: listing every fault of every file.
    """
    set_up_logging()
    reader, writer = SOURCES.get(source.lower()), TARGETS.get(to.upper())
    if reader is None:
        raise UsageError(f"source {source!r}; expected labelme or easydata")
    if writer is None:
        raise UsageError(f"to {to!r}; expected PascalVOC, MSCOCO or SEG")
    pics, annotations, save_dir = Path(pics), Path(annotations), Path(save_dir)
    for name, folder in (("pics", pics), ("annotations", annotations)):
        if not folder.is_dir():
            raise DatasetFileNotFoundError(f"{folder}: no such folder; {name} must name one")
    if save_dir.exists() and (not save_dir.is_dir() or any(save_dir.iterdir())):
        raise UsageError(f"{save_dir}: holds something already; name a new folder in save_dir")
    try:
        _convert(pics, annotations, save_dir, convert=lambda work, result: writer(reader, work, result))
    except OSError as error:
        place = error.filename or save_dir
        raise ConvertFailedError(f"{place}: {error.strerror or error}; nothing was written") from error
    logger.info("The data set has been saved in %s.", save_dir)


def _convert(pics: Path, annotations: Path, save_dir: Path, *, convert: Callable[[Path, Path], None]) -> None:
    """Convert copies beside the target, then give the result its name."""
    save_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".convert.", dir=save_dir.parent) as temporary:
        work, result = Path(temporary) / "work", Path(temporary) / "result"
        _copy(pics, work / "images", suffixes=IMAGE_SUFFIXES)
        _copy(annotations, work / "annotations", suffixes=frozenset({".json"}))
        result.mkdir()
        try:
            convert(work, result)
        except ConvertFailedError as error:
            message = f"{annotations}: not converted, nothing was written; problems:"
            raise ConvertFailedError(message, error.problems or [str(error)]) from error
        if save_dir.exists():
            save_dir.rmdir()
        result.rename(save_dir)


def _copy(source: Path, target: Path, *, suffixes: frozenset[str]) -> None:
    files = [path for path in sorted(source.rglob("*")) if path.suffix.lower() in suffixes and path.is_file()]
    target.mkdir(parents=True)
    for path in progress(files, description=f"Copying from {source.name}"):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
