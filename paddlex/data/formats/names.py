"""Names of files that come from other machines: other case, other Unicode form, other encodings."""

from __future__ import annotations

import posixpath
import unicodedata
from pathlib import Path

__all__ = ["is_file", "is_utf8", "name_key", "path_tails"]


def name_key(name: str) -> str:
    """Names that differ in case or in Unicode form (macOS archives decompose accents) have one key."""
    return unicodedata.normalize("NFC", name).casefold()


def is_utf8(text: str) -> bool:
    """Whether `text` can be written; names unpacked from archives of other encodings, for example, cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def is_file(path: Path) -> bool:
    """Whether there is a file; a path that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, a null character
        return False


def path_tails(text: str) -> list[str]:
    r"""What a path in a list may mean below the data set, posix, the longest first.

    A path that was written elsewhere (absolute, of Windows, from a folder above) is found by its last parts:
    `D:\set\images\a.jpg` gives `D:/set/images/a.jpg`, `set/images/a.jpg`, `images/a.jpg`, `a.jpg`.
    """
    path = posixpath.normpath(text.strip().strip("\"'").replace("\\", "/"))
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return ["/".join(parts[start:]) for start in range(len(parts))]
