"""Names of files that come from other machines: other case, other Unicode form, other encodings."""

from __future__ import annotations

import unicodedata
from pathlib import Path

__all__ = ["is_file", "is_utf8", "name_key"]


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
