"""Every mask of a semantic data set, decoded once by several threads, and judged beside its photo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paddlex.data.checks.photos import NameGuesses, PhotoScan, photo_unreadable
from paddlex.data.checks.problems import Problem
from paddlex.data.formats.pair_list import PairList
from paddlex.utils.errors import ImageReadError
from paddlex.utils.progress import progress

__all__ = ["IGNORE_INDEX", "MaskScan", "check_pairs", "scan_masks"]

IGNORE_INDEX = 255


def _no_pixels() -> NDArray[np.int64]:
    return np.zeros(256, np.int64)


@dataclass(frozen=True, eq=False)
class MaskScan:
    """What reading a mask gave.

    Attributes:
        size: (height, width), pixels; None if the mask cannot be used.
        counts: (256,) pixels of each value.
        problem: why it cannot be used, None if it can.
    """

    size: tuple[int, int] | None = None
    counts: NDArray[np.int64] = field(default_factory=_no_pixels)
    problem: Problem | None = None

    @property
    def values(self) -> set[int]:
        """The values that occur."""
        return set(np.flatnonzero(self.counts).tolist())

    @property
    def labels(self) -> set[int]:
        """The classes that occur: all values but 255."""
        return self.values - {IGNORE_INDEX}


def scan_masks(dataset_dir: Path, paths: Iterable[str], *, num_workers: int) -> dict[str, MaskScan]:
    """Read all masks wholly and count their values.

    Args:
        dataset_dir: the data set.
        paths: masks relative to it.
        num_workers: threads; decoding leaves Python's lock alone.
    """
    names = sorted(set(paths))
    guesses = NameGuesses(dataset_dir)
    with ThreadPoolExecutor(max(1, num_workers)) as pool:
        scans = pool.map(lambda name: _scan(dataset_dir, name, guesses), names)
        return dict(zip(names, progress(scans, description="Checking masks", total=len(names)), strict=True))


def _scan(dataset_dir: Path, name: str, guesses: NameGuesses) -> MaskScan:
    from paddlex.data.formats.index_mask import IndexMaskError, read_mask

    path = dataset_dir / name

    def fault(kind: str, found: str, *, expected: str = "", remedy: str) -> MaskScan:
        return MaskScan(
            problem=Problem(
                kind=kind, severity="error", file=name, found=found, expected=expected, remedy=remedy
            )
        )

    if not path.is_file():
        remedy = guesses.guess(name) or "put it there, or remove its line"
        return fault("mask-missing", "the mask does not exist", remedy=remedy)
    try:
        label_map = read_mask(path)
    except IndexMaskError as error:
        return fault(error.kind, error.found, expected=error.expected, remedy=error.remedy)
    except ImageReadError as error:
        found, _, remedy = str(error).removeprefix(f"{path}: ").rpartition("; ")
        return fault("mask-unreadable", found, remedy=remedy)
    counts = np.bincount(label_map.reshape(-1), minlength=256)
    return MaskScan(size=(label_map.shape[0], label_map.shape[1]), counts=counts)


def check_pairs(
    dataset_dir: Path,
    listed: PairList,
    *,
    photos: Mapping[str, PhotoScan],
    masks: Mapping[str, MaskScan],
) -> Iterator[Problem]:
    """Files of one list that are missing, unreadable or do not fit together."""
    guesses = NameGuesses(dataset_dir)
    masks_of: dict[str, str] = {}
    for pair in listed.pairs:
        line = f"line {pair.line} of {listed.name}"
        photo, mask = photos[pair.image], masks[pair.mask]
        if photo.missing:
            yield Problem(
                kind="photo-missing",
                severity="error",
                file=pair.image,
                where=line,
                found="the photo does not exist",
                remedy=guesses.guess(pair.image) or "put it there, or remove its line",
            )
        elif photo.header is None:
            yield photo_unreadable(pair.image, photo, where=line)
        if mask.problem is not None:
            yield Problem(**{**vars(mask.problem), "where": line})
        elif photo.header is not None:
            yield from _fit(pair.mask, mask, photo, where=line)
        if pair.image in masks_of:
            yield _listed_twice(pair.image, line, same=masks_of[pair.image] == pair.mask)
        masks_of[pair.image] = pair.mask


def _fit(path: str, mask: MaskScan, photo: PhotoScan, *, where: str) -> Iterator[Problem]:
    assert mask.size is not None and photo.header is not None
    header = photo.header
    if mask.size != header.size:
        turned = mask.size == header.stored_size
        yield Problem(
            kind="photo-turned-otherwise" if turned else "size-differs",
            severity="error",
            file=path,
            where=where,
            found=f"{_size(mask.size)} pixels"
            + (f", as the photo is stored; EXIF orientation {header.orientation} turns it" if turned else ""),
            expected=f"{_size(header.size)}, as the {'upright ' if turned else ''}photo has",
            remedy="save the photo without its EXIF orientation, or turn the mask"
            if turned
            else "put back the photo that was annotated, or resize the mask by nearest neighbour",
        )
    elif header.orientation != 1 and header.size == header.stored_size:
        yield Problem(
            kind="photo-turned",
            severity="warning",
            file=path,
            where=where,
            found=f"EXIF orientation {header.orientation} turns the photo and leaves its size",
            remedy="look at the sample drawing; if the mask is off, save the photo without its EXIF turn",
        )
    if mask.values == {IGNORE_INDEX}:
        yield Problem(
            kind="mask-all-ignored",
            severity="warning",
            file=path,
            where=where,
            found="every pixel is 255, which is ignored",
            remedy="annotate it, or remove its line: it teaches nothing",
        )


def _listed_twice(image: str, line: str, *, same: bool) -> Problem:
    return Problem(
        kind="photo-listed-twice" if same else "photo-listed-twice-differently",
        severity="warning" if same else "error",
        file=image,
        where=line,
        found="listed before" if same else "listed before with another mask",
        remedy="remove one line, unless the photo shall count twice"
        if same
        else "keep the line whose mask is right: the two contradict each other",
    )


def _size(size: tuple[int, int]) -> str:
    return f"{size[1]} x {size[0]}"
