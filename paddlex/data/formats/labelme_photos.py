"""The photo of a LabelMe file: found on disk, whatever path it was drawn with, or carried in the file."""

from __future__ import annotations

import base64
import binascii
import filecmp
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from paddlex.data.formats.findings import Findings
from paddlex.data.formats.labelme import LabelMeFile
from paddlex.data.formats.names import is_file, is_utf8, name_key
from paddlex.data.formats.staging import StagedFiles
from paddlex.utils.errors import ImageReadError
from paddlex.utils.images import ImageHeader, image_header

__all__ = ["Photo", "PhotoFolder"]


@dataclass(frozen=True)
class Photo:
    """A photo that exists.

    Attributes:
        path: where its content is: below `images/`, elsewhere in the data set, or staged from `imageData`.
        name: its path below `images/`, or the one it should get there; posix.
        in_place: whether it lies below `images/` already.
        header: size and orientation.
    """

    path: Path
    name: str
    in_place: bool
    header: ImageHeader


class PhotoFolder:
    """The photos of a data set in COCO layout, `<root>/images/`.

    Args:
        root: the data set.
        staged: where photos that are to be added to `images/` are gathered; None if none shall be: then
            photos that only a LabelMe file carries are errors.

    Attributes:
        added: `file_name` of each photo that `place` staged.
    """

    def __init__(self, root: Path, staged: StagedFiles | None) -> None:
        # Lexical, not resolved: images/ may be a link to another disk.
        self._root = Path(os.path.normpath(root))
        self._images = self._root / "images"
        self._staged = staged
        self.added: tuple[str, ...] = ()
        self._names = _names_below(self._images)

    # ---------------------------------------------------------------- finding

    def find(self, file: LabelMeFile, findings: Findings) -> Photo | None:
        """Find the photo of a LabelMe file; None, with an error in `findings`, when there is none.

        Looked for in this order: where `imagePath` points from the JSON file, if that is inside the data set;
        below `images/` by the bare name, any case, where of several the one whose folders agree best counts;
        beside the JSON file; in the root; in `imageData`.
        """
        wanted = [part for part in file.image_path.replace("\\", "/").split("/") if part not in ("", ".")]
        if not wanted and file.image_data is None:
            findings.error("no imagePath; write the photo's path, seen from this file, into it")
            return None
        try:
            path = self._on_disk(file, wanted) if wanted else None
            if path is not None:
                return self._photo(path, image_header(path))
            if file.image_data is not None:
                return self._embedded(file, wanted)
        except (ImageReadError, _PhotoError) as error:
            findings.error(str(error))
            return None
        findings.error(f"photo {file.image_path!r} is not in the data set; put it into images/")
        return None

    def _on_disk(self, file: LabelMeFile, wanted: Sequence[str]) -> Path | None:
        pointed = Path(os.path.normpath(file.path.parent / "/".join(wanted)))
        # An annotation file must not make us read or copy what lies outside the data set.
        if pointed.is_relative_to(self._root) and is_file(pointed):
            return pointed
        name = wanted[-1]
        found = self._names.get(name_key(name), [])
        if found:
            return self._images / self._best(found, wanted, file)
        return next((path for path in (file.path.parent / name, self._root / name) if is_file(path)), None)

    def _best(self, found: Sequence[str], wanted: Sequence[str], file: LabelMeFile) -> str:
        """Of photos of one name, that whose folders agree best with imagePath or with the JSON's folder."""
        mirrored = [*file.path.parent.parts, wanted[-1]]
        scores = [max(_common_tail(name, wanted), _common_tail(name, mirrored)) for name in found]
        best = [name for name, score in zip(found, scores, strict=True) if score == max(scores)]
        if len(best) > 1:
            raise _PhotoError(
                f"{len(best)} photos named {wanted[-1]!r} ({', '.join(best)}); name its folder in imagePath"
            )
        return best[0]

    def _photo(self, path: Path, header: ImageHeader) -> Photo:
        in_place = path.is_relative_to(self._images)
        name = path.relative_to(self._images).as_posix() if in_place else path.name
        if not is_utf8(name):
            raise _PhotoError(f"the photo's name {name!r} is not UTF-8; rename it, here and in imagePath")
        return Photo(path=path, name=name, in_place=in_place, header=header)

    def _embedded(self, file: LabelMeFile, wanted: Sequence[str]) -> Photo:
        try:
            content = base64.b64decode(file.image_data or "")
            header = image_header(content)
        except (binascii.Error, ValueError):
            raise _PhotoError("imageData is no base64; put the photo into images/") from None
        except ImageReadError as error:
            raise _PhotoError(f"the photo in imageData: {str(error).removeprefix('image: ')}") from None
        if self._staged is None:
            raise _PhotoError(
                "the photo is only in imageData; put it into images/, or convert the data set first"
            )
        path = self._staged.new_path()
        path.write_bytes(content)
        name = "".join(letter for letter in wanted[-1] if letter.isprintable()) if wanted else ""
        if name in ("", ".."):
            name = f"{file.path.stem}.{header.format.lower()}"
        return Photo(path=path, name=name, in_place=False, header=header)

    # ---------------------------------------------------------------- placing

    def place(self, photos: Sequence[Photo]) -> list[str]:
        """Stage what lies outside `images/` and give each photo its `file_name`.

        A photo never takes the name of another one: equal content shares a name, other content gets a number.
        """
        taken = {
            name_key(name): (name, self._images / name) for names in self._names.values() for name in names
        }
        return [photo.name if photo.in_place else self._place(photo, taken) for photo in photos]

    def _place(self, photo: Photo, taken: dict[str, tuple[str, Path]]) -> str:
        """Name one photo; `taken` holds each name in use and where its content lies."""
        assert self._staged is not None, "only photos of a conversion are placed"
        pure = PurePosixPath(photo.name)
        for number in itertools.count():
            name = f"{pure.stem}_{number}{pure.suffix}" if number else photo.name
            holder = taken.get(name_key(name))
            if holder is None:
                taken[name_key(name)] = name, self._staged.add(photo.path, self._images / name)
                self.added = (*self.added, name)
                return name
            if filecmp.cmp(photo.path, holder[1], shallow=False):
                return holder[0]
        raise AssertionError("itertools.count ended")


class _PhotoError(Exception):
    """Why a photo cannot be used; the place is added by who catches it."""


def _names_below(folder: Path) -> dict[str, list[str]]:
    """Posix paths below `folder` by their bare names' keys."""
    names: dict[str, list[str]] = {}
    for parent, _, files in os.walk(folder):
        for name in files:
            relative = (Path(parent) / name).relative_to(folder).as_posix()
            names.setdefault(name_key(name), []).append(relative)
    return {key: sorted(paths) for key, paths in names.items()}


def _common_tail(name: str, wanted: Sequence[str]) -> int:
    """How many last path components agree."""
    count = 0
    for part, other in zip(reversed(name.split("/")), reversed(wanted), strict=False):
        if name_key(part) != name_key(other):
            break
        count += 1
    return count
