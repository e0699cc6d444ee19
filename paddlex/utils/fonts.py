"""Fonts that have the letters of class names, and texts that fit."""

from __future__ import annotations

import functools
import importlib.util
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import ImageFont

from paddlex.utils.errors import FileFormatError
from paddlex.utils.logging import logger

__all__ = ["fit_text", "font_for", "font_size", "picture_scale", "readable_names"]

_FONT_VARIABLE = "PADDLE_PDX_LOCAL_FONT_FILE_PATH"
_FIRST_CJK_CODE_POINT = 0x2E80
_FONT_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "C:/Windows/Fonts",
)
_CJK_FONT_PATTERNS = (
    "NotoSansCJK*-Regular.*",
    "NotoSansSC-Regular.*",
    "SourceHanSans*-Regular.*",
    "wqy-microhei.*",
    "wqy-zenhei.*",
    "DroidSansFallback*.ttf",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "STHeiti Medium.ttc",
    "msyh.ttc",
    "simhei.ttf",
    "simsun.ttc",
)


def picture_scale(height: int, width: int) -> float:
    """What sizes of letters and lines follow, pixels.

    The geometric mean keeps a 6000 x 400 strip from getting the letters of a 6000 x 4500 photo.
    """
    return math.sqrt(height * width)


def font_size(height: int, width: int) -> int:
    """Pixels of text that is as readable on a picture of 100 pixels as on one of 6000."""
    return min(max(round(0.022 * picture_scale(height, width)), 10), 90)


def font_for(texts: Sequence[str], *, size: int) -> ImageFont.FreeTypeFont:
    """A font of `size` pixels with the letters of all texts, as far as there is one.

    Raises:
        FileFormatError: if the font that the user named cannot be used.
    """
    return _font(size, needs_cjk=any(map(_needs_cjk, texts)))


def readable_names(labels: Sequence[str], class_ids: Sequence[int] | NDArray[Any]) -> list[str]:
    """Names of classes; one that no font can show is replaced by the number of its class."""
    readable = _font_file(needs_cjk=any(map(_needs_cjk, labels))) is not None
    return [
        label if readable or not _needs_cjk(label) else f"class {class_id}"
        for label, class_id in zip(labels, class_ids, strict=True)
    ]


def fit_text(text: str, *, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Shorten a text that is wider than `width` pixels."""
    while len(text) > 1 and font.getlength(text) > width:
        text = text[:-2] + "…"
    return text


def _needs_cjk(text: str) -> bool:
    return any(ord(letter) >= _FIRST_CJK_CODE_POINT for letter in text)


@functools.lru_cache(maxsize=16)
def _font(size: int, *, needs_cjk: bool) -> ImageFont.FreeTypeFont:
    path = _font_file(needs_cjk=needs_cjk) or _font_file(needs_cjk=False)
    try:
        return ImageFont.truetype(str(path), size)
    except OSError as error:
        raise FileFormatError(f"{path}: not a usable font file ({error}); check {_FONT_VARIABLE}") from error


def _font_file(*, needs_cjk: bool) -> Path | None:
    """The font the user named, else one that has the letters; None if no font has them."""
    named = os.environ.get(_FONT_VARIABLE)
    if named:
        return Path(named)
    return _cjk_font_file() if needs_cjk else _latin_font_file()


@functools.cache
def _latin_font_file() -> Path:
    # matplotlib ships DejaVu Sans; importing it for a font would take a second.
    spec = importlib.util.find_spec("matplotlib")
    assert spec is not None and spec.origin is not None, "matplotlib is a dependency of this package"
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"


@functools.cache
def _cjk_font_file() -> Path | None:
    folders = [Path(folder).expanduser() for folder in _FONT_FOLDERS]
    for pattern in _CJK_FONT_PATTERNS:
        for folder in folders:
            found = next(iter(sorted(folder.rglob(pattern))), None) if folder.is_dir() else None
            if found is not None:
                return found
    logger.warning(
        "No font with Chinese, Japanese or Korean letters found: class numbers are drawn instead of such "
        "names. Set %s to a .ttf or .ttc file that has them.",
        _FONT_VARIABLE,
    )
    return None
