"""LabelMe data set to masks of class indices, in place: `annotations/<photo>.png`, `train.txt`, `val.txt`.

The LabelMe files are read and left as they are. Masks, lists and photos that come from elsewhere are written
together or, after any fault, not at all.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from paddlex.data.formats.findings import Findings
from paddlex.data.formats.index_mask import MAX_CLASSES, write_mask
from paddlex.data.formats.labelme import LabelMeFile
from paddlex.data.formats.labelme_folder import (
    LabelMeFolder,
    log_warnings,
    read_labelme_folder,
    stage_drawn_split,
    staging_conversion,
)
from paddlex.data.formats.labelme_instances import draw_shape
from paddlex.data.formats.labelme_records import BACKGROUND, SPECIAL_IDS
from paddlex.data.formats.labelme_shapes import LabelMeShape
from paddlex.data.formats.names import name_key
from paddlex.data.formats.pair_list import CLASS_FILES, format_pairs
from paddlex.data.formats.records import label_map_from_objects
from paddlex.data.formats.staging import StagedFiles
from paddlex.utils.errors import ConvertFailedError
from paddlex.utils.progress import progress

__all__ = ["MaskConversionSummary", "convert_labelme_to_masks"]


@dataclass(frozen=True)
class MaskConversionSummary:
    """What a conversion did.

    Attributes:
        class_names: by class index; 0 is the background.
        train_images: photos of the train side, those without objects included.
        val_images: photos of the val side.
        added_photos: path below `images/` of each photo written there.
        is_split: whether train and val were drawn by chance.
        warnings: one line each.
    """

    class_names: tuple[str, ...]
    train_images: int
    val_images: int
    added_photos: tuple[str, ...]
    is_split: bool
    warnings: tuple[str, ...]


def convert_labelme_to_masks(
    dataset_dir: Path | str, *, seed: int = 0, val_percent: float | None = 20.0, num_workers: int = 4
) -> MaskConversionSummary:
    """Convert a LabelMe data set to masks in its own folder.

    Shapes are filled in the order of the file: what is drawn later covers what was drawn before. Classes are
    numbered from 1 as they appear, train first; what no shape covers is 0, shapes labelled `__ignore__` give
    255. Also written: `class_name.txt` (names by index) and `class_name_to_id.txt` ("index: name").

    Args:
        dataset_dir: holds `images/`, LabelMe files (usually in `annotations/`) and, optionally,
            `train_anno_list.txt` and `val_anno_list.txt`.
        seed: of the split that is made when there is no val list.
        val_percent: share of val in that split, between 0 and 100; None puts all into train.
        num_workers: threads that read files and draw masks.

    Raises:
        DatasetFileNotFoundError: if the folder does not exist.
        ConvertFailedError: listing every fault of every file; the folder is as it was.
    """
    with staging_conversion(dataset_dir) as (root, staged):
        folder = read_labelme_folder(
            root,
            staged,
            digest=_shapes,
            has_objects=lambda shapes: any(not shape.is_special for shape in shapes),
            seed=seed,
            val_percent=val_percent,
            num_workers=num_workers,
        )
        return _convert(root, staged, folder, num_workers=num_workers)


_Folder = LabelMeFolder[tuple[LabelMeShape, ...]]


def _shapes(file: LabelMeFile, size: tuple[int, int], findings: Findings) -> tuple[LabelMeShape, ...]:
    """The shapes that enclose pixels."""
    for shape in file.shapes:
        if not shape.has_area:
            findings.warn(f"a {shape.shape_type} has no area; left out", shape=shape.number)
    return tuple(shape for shape in file.shapes if shape.has_area)


def _convert(root: Path, staged: StagedFiles, folder: _Folder, *, num_workers: int) -> MaskConversionSummary:
    class_ids = _class_ids(root, folder)
    files_of = _files_of_photos(folder)
    masks = _mask_names(root, folder)
    with ThreadPoolExecutor(max_workers=max(1, num_workers)) as pool:

        def draw(photo: str) -> tuple[str, Path]:
            path = staged.new_path()
            write_mask(path, _label_map(files_of[photo], folder=folder, class_ids=class_ids))
            return photo, path

        for photo, path in progress(
            pool.map(draw, files_of), description="Drawing masks", total=len(files_of)
        ):
            staged.add(path, root / masks[photo])
    class_names = _stage_class_names(root, staged, class_ids)
    photos = {
        split: list(dict.fromkeys(folder.names[file] for file in files))
        for split, files in (("train", folder.lists.train), ("val", folder.lists.val))
    }
    for split, names in photos.items():
        pairs = [(f"images/{photo}", masks[photo]) for photo in names]
        staged.add_text(format_pairs(pairs), root / f"{split}.txt")
    stage_drawn_split(root, staged, folder.lists)
    staged.commit()
    warnings = folder.warnings()
    log_warnings(warnings)
    return MaskConversionSummary(
        class_names=class_names,
        train_images=len(photos["train"]),
        val_images=len(photos["val"]),
        added_photos=folder.added_photos,
        is_split=folder.lists.is_split,
        warnings=tuple(warnings),
    )


def _class_ids(root: Path, folder: _Folder) -> dict[str, int]:
    """Index of every label, in order of appearance, special ones included."""
    labels = (shape.label for record in folder.records.values() for shape in record.content)
    names = [label for label in dict.fromkeys(labels) if label not in SPECIAL_IDS]
    if len(names) >= MAX_CLASSES:
        raise ConvertFailedError(
            f"{root}: {len(names)} different labels; a mask of 8 bits holds at most {MAX_CLASSES - 1} beside "
            "the background; join some"
        )
    return {**SPECIAL_IDS, **{name: index for index, name in enumerate(names, start=1)}}


def _files_of_photos(folder: _Folder) -> dict[str, list[str]]:
    """LabelMe files by the photo they annotate."""
    files: dict[str, list[str]] = {}
    for file, photo in folder.names.items():
        files.setdefault(photo, []).append(file)
    return files


def _mask_names(root: Path, folder: _Folder) -> dict[str, str]:
    """Path of each photo's mask: as the photo's, below `annotations/`, numbered where that is taken.

    LabelMe photos may lie in `annotations/` themselves; a mask must not take the place of one.
    """
    photos = [record.photo.path for record in folder.records.values()]
    taken = {name_key(path.relative_to(root).as_posix()) for path in photos if path.is_relative_to(root)}
    names: dict[str, str] = {}
    for photo in dict.fromkeys(folder.names.values()):
        path = PurePosixPath(photo)
        numbered = (f"_{number}" if number else "" for number in itertools.count())
        candidates = (f"annotations/{path.with_name(f'{path.stem}{mark}.png')}" for mark in numbered)
        names[photo] = next(name for name in candidates if name_key(name) not in taken)
        taken.add(name_key(names[photo]))
    return names


def _label_map(files: Sequence[str], *, folder: _Folder, class_ids: dict[str, int]) -> NDArray[np.uint8]:
    """(H, W) of one photo."""
    size = folder.records[files[0]].photo.header.size
    records = [folder.records[file] for file in files]
    drawn = (
        (class_ids[shape.label], draw_shape(shape, size=size, findings=record.findings))
        for record in records
        for shape in record.content
    )
    return label_map_from_objects(drawn, size=size)


def _stage_class_names(root: Path, staged: StagedFiles, class_ids: dict[str, int]) -> tuple[str, ...]:
    names = (BACKGROUND, *(name for name in class_ids if name not in SPECIAL_IDS))
    staged.add_text("".join(f"{name}\n" for name in names), root / CLASS_FILES[0])
    numbered = "".join(f"{index}: {name}\n" for index, name in enumerate(names))
    staged.add_text(numbered, root / "class_name_to_id.txt")
    return names
