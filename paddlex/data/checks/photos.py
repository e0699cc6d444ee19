"""Every photo of a data set, decoded once by several threads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from paddlex.data.checks.problems import Problem
from paddlex.utils.errors import ImageReadError
from paddlex.utils.progress import progress

if TYPE_CHECKING:
    from paddlex.data.checks.structure import CocoFile
    from paddlex.utils.images import ImageHeader

__all__ = [
    "NameGuesses",
    "PhotoScan",
    "check_copies",
    "check_photos",
    "photo_paths",
    "photo_unreadable",
    "scan_photos",
]


@dataclass(frozen=True)
class PhotoScan:
    """What reading a photo gave.

    Attributes:
        header: sizes and orientation; None if the photo cannot be read wholly.
        missing: there is no such file.
        fault: why it cannot be read; empty if it can.
        digest: of the file's bytes.
    """

    header: ImageHeader | None = None
    missing: bool = False
    fault: str = ""
    digest: bytes = b""


# ---------------------------------------------------------------- reading


def scan_photos(dataset_dir: Path, paths: Iterable[str], *, num_workers: int) -> dict[str, PhotoScan]:
    """Read all photos wholly: decoding is the only way to find a damaged one.

    Args:
        dataset_dir: the data set.
        paths: photos relative to it.
        num_workers: threads; decoding and hashing leave Python's lock alone.
    """
    names = sorted(set(paths))
    with ThreadPoolExecutor(max(1, num_workers)) as pool:
        scans = pool.map(lambda name: _scan(dataset_dir / name), names)
        return dict(zip(names, progress(scans, description="Checking photos", total=len(names)), strict=True))


def _scan(path: Path) -> PhotoScan:
    from paddlex.utils.images import verify_image

    if not path.is_file():
        return PhotoScan(missing=True)
    try:
        content = path.read_bytes()
    except OSError as error:
        return PhotoScan(fault=f"cannot be read ({error.strerror or error}); check its rights")
    digest = hashlib.blake2b(content, digest_size=16).digest()
    try:
        return PhotoScan(header=verify_image(content), digest=digest)
    except ImageReadError as error:
        return PhotoScan(fault=str(error).removeprefix("image: "), digest=digest)


def photo_paths(dataset_dir: Path, file: CocoFile) -> list[str]:
    """Per image of the file, the path of its photo relative to the data set, with forward slashes."""
    from paddlex.data.formats.coco import resolve_photo

    images_dir = dataset_dir / "images"
    return [
        resolve_photo(images_dir, image["file_name"]).relative_to(dataset_dir).as_posix()
        for image in file.images
    ]


# ---------------------------------------------------------------- judging


def check_photos(
    dataset_dir: Path, file: CocoFile, *, paths: Sequence[str], scans: Mapping[str, PhotoScan]
) -> Iterator[Problem]:
    """Photos that are missing, unreadable, or of another size than the annotations are drawn on."""
    names = NameGuesses(dataset_dir / "images", prefix="images/")
    for image, path in zip(file.images, paths, strict=True):
        scan = scans[path]
        where = f"image {image['id']} ({image['file_name']})"
        if scan.missing:
            yield file.problem(
                "photo-missing",
                "error",
                where=where,
                found=f"{path} does not exist",
                remedy=names.guess(path) or "put it there, or remove its entry and its annotations",
            )
        elif scan.header is None:
            yield photo_unreadable(path, scan, where=f"image {image['id']} of {file.name}")
        else:
            yield from _size_problems(file, image, header=scan.header, where=where)


def photo_unreadable(path: str, scan: PhotoScan, *, where: str) -> Problem:
    """The problem of a photo that is there but cannot be decoded."""
    found, _, remedy = scan.fault.rpartition("; ")
    return Problem(
        kind="photo-unreadable",
        severity="error",
        file=path,
        where=where,
        found=found or scan.fault,
        remedy=remedy if found else "replace or remove it",
    )


def _size_problems(
    file: CocoFile, image: dict[str, Any], *, header: ImageHeader, where: str
) -> Iterator[Problem]:
    stated = (image.get("height"), image.get("width"))
    if stated == (None, None):
        yield file.problem(
            "size-missing",
            "warning",
            where=where,
            found="no width and height",
            remedy=f"those of the photo, {_size(header.size)}, are taken; state them for other tools' sake",
        )
    elif stated != header.size:
        yield _size_differs(file, stated, header=header, where=where)
    elif header.orientation != 1 and header.size == header.stored_size:
        yield file.problem(
            "photo-turned",
            "warning",
            where=where,
            found=f"EXIF orientation {header.orientation} turns the photo and leaves its size",
            remedy="look at the sample drawing; if outlines are off, save the photo without its EXIF turn",
        )


def _size_differs(file: CocoFile, stated: tuple[Any, Any], *, header: ImageHeader, where: str) -> Problem:
    found = f"width x height {stated[1]} x {stated[0]}"
    expected = f"{_size(header.size)}, as the photo is"
    if stated == header.stored_size:
        return file.problem(
            "photo-turned-otherwise",
            "error",
            where=where,
            found=f"{found}, the photo as stored; EXIF orientation {header.orientation} turns it",
            expected=f"the upright photo, {_size(header.size)}",
            remedy="save the photo without its EXIF orientation, or annotate it upright",
        )
    swapped = stated == header.size[::-1]
    return file.problem(
        "size-differs",
        "error",
        where=where,
        found=f"{found}{' (swapped)' if swapped else ''}",
        expected=expected,
        remedy=(
            "swap width and height; look whether x and y of the outlines are swapped too"
            if swapped
            else "correct the size, or put the photo back that was annotated"
        ),
    )


def _size(size: tuple[int, int]) -> str:
    return f"{size[1]} x {size[0]}"


class NameGuesses:
    """Guesses what a missing file was meant to be; lists the folder when first asked.

    Args:
        folder: where to look.
        prefix: what paths to be guessed have in front of their name below `folder`.
    """

    def __init__(self, folder: Path, *, prefix: str = "") -> None:
        self._folder, self._prefix = folder, prefix
        self._names: dict[str, str] | None = None

    def guess(self, path: str) -> str | None:
        """A remedy that names a file of the same name in other case or with another suffix."""
        if self._names is None:
            files = sorted(file.relative_to(self._folder) for file in self._folder.rglob("*.*"))
            by_stem = {file.with_suffix("").as_posix().casefold(): file.as_posix() for file in files}
            self._names = {**by_stem, **{file.as_posix().casefold(): file.as_posix() for file in files}}
        wanted = PurePosixPath(path.removeprefix(self._prefix).casefold())
        for key in (wanted, wanted.with_suffix("")):
            if key.as_posix() in self._names:
                return f"correct its name if {self._names[key.as_posix()]} is meant"
        return None


# ---------------------------------------------------------------- photos and their copies


def check_copies(paths: Mapping[str, Sequence[str]], *, scans: Mapping[str, PhotoScan]) -> Iterator[Problem]:
    """Photos of the training set that are validated on, by path or, under another name, by content."""
    shared = sorted(set(paths["train"]) & set(paths["val"]))
    for path in shared:
        yield Problem(
            kind="photo-in-train-and-val",
            severity="warning",
            file=path,
            found="listed for training and for validation",
            remedy="remove it from one of them: scores on photos learnt by heart are too good",
        )
    same: dict[bytes, list[str]] = {}
    for path in sorted({*paths["train"], *paths["val"]}):
        if scans[path].digest:
            same.setdefault(scans[path].digest, []).append(path)
    train, val = set(paths["train"]), set(paths["val"])
    for members in same.values():
        crossing = [(a, b) for a in members for b in members if a != b and a in train and b in val]
        if len(members) > 1:
            first, second = crossing[0] if crossing else members[:2]
            yield Problem(
                kind="photo-copy-in-train-and-val" if crossing else "photo-copy",
                severity="warning",
                file=first,
                found=f"the same bytes as {second}" + (", which is for validation" if crossing else ""),
                remedy="keep one of them"
                + (": scores on photos learnt by heart are too good" if crossing else ""),
            )
