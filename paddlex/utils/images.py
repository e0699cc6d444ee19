"""The one reader of photos: checking, training and prediction see the same pixels.

Whatever the file holds (grey, palette, alpha, CMYK, 16 bits, several frames, a turned EXIF frame, a wrong
suffix), the result is upright RGB with 8 bits. Paths may hold any characters: files are opened by Python and
decoded from memory. Files come from strangers, so a photo's size is known and accepted before it is decoded.
"""

from __future__ import annotations

import io
import struct
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paddlex.utils.errors import ImageReadError, UsageError
from paddlex.utils.files import atomic_path

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_IMAGE_PIXELS",
    "WRITABLE_SUFFIXES",
    "ImageHeader",
    "image_header",
    "read_image",
    "read_stored",
    "verify_image",
    "write_image",
]

# 512 megapixels: 1.5 GB as RGB. Larger than any camera's photo, smaller than a decompression bomb.
MAX_IMAGE_PIXELS = 512 * 1000 * 1000

# What a folder of photos is searched for; the reader itself goes by content, not by suffix.
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif"})

# Formats by name: Pillow knows others that run programs (EPS) or are no photos.
_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000")
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WRITERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".jpg": ("JPEG", {"quality": 95}),
    ".jpeg": ("JPEG", {"quality": 95}),
    ".png": ("PNG", {"compress_level": 3}),
    ".bmp": ("BMP", {}),
    ".tif": ("TIFF", {"compression": "tiff_lzw"}),
    ".tiff": ("TIFF", {"compression": "tiff_lzw"}),
    ".webp": ("WEBP", {"quality": 95}),
}
WRITABLE_SUFFIXES = frozenset(_WRITERS)
_open_lock = threading.Lock()


@dataclass(frozen=True)
class ImageHeader:
    """What a photo's header tells.

    Attributes:
        size: (height, width) of the upright photo, pixels; what `read_image` returns.
        stored_size: (height, width) as stored in the file, before EXIF turns it.
        orientation: EXIF orientation, 1 (upright) to 8.
        format: Pillow's format name, for example "JPEG".
    """

    size: tuple[int, int]
    stored_size: tuple[int, int]
    orientation: int
    format: str


def read_image(source: Path | str | bytes) -> NDArray[np.uint8]:
    """Decode a photo wholly.

    Alpha is dropped and the colours below it stay as stored (no background is invented). 16-bit values lose
    their low byte (65535 becomes 255), so exposure stays as it was. Of several frames the first counts.

    Args:
        source: a file, or its bytes.

    Returns:
        (H, W, 3) uint8 RGB, upright, contiguous and writable.

    Raises:
        ImageReadError: missing, empty, truncated, no image, 32 bits per channel, or over `MAX_IMAGE_PIXELS`.
    """
    name, content = _load(source)
    image, header = _open(name, content)
    pixels = _decode_jpeg(content, header) if header.format == "JPEG" and image.mode == "RGB" else None
    if pixels is not None:
        if header.orientation == 1:
            return pixels
        image = Image.fromarray(pixels)
    return _decode(name, image, header)


def read_stored(source: Path | str | bytes) -> tuple[NDArray[Any], ImageHeader]:
    """Decode the numbers as they are stored, for files whose pixels are labels instead of colours.

    Palettes give their indices, one bit gives 0 and 1, 16 bits stay 16 bits; nothing is turned upright.

    Args:
        source: a file, or its bytes.

    Returns:
        (H, W) or (H, W, channels) of the file's own type, and the header.

    Raises:
        ImageReadError: as `read_image`, but 32 bits are read too.
    """
    name, content = _load(source)
    image, header = _open(name, content)
    try:
        image.load()
        values = np.array(image)
    except Exception as error:  # as in _open
        raise _damaged(name, error) from error
    return (values.astype(np.uint8) if values.dtype == np.bool_ else values), header


def image_header(source: Path | str | bytes) -> ImageHeader:
    """Read size, orientation and format without decoding pixels; damage further on goes unnoticed.

    Raises:
        ImageReadError: as `read_image`, but for faults of the header alone.
    """
    if isinstance(source, bytes):
        return _open("image", source)[1]
    try:
        with Path(source).open("rb") as file:
            return _open(str(source), file)[1]
    except OSError as error:
        raise _unreadable(str(source), error) from error


def verify_image(source: Path | str | bytes) -> ImageHeader:
    """Decode everything, so that damage anywhere is found.

    Raises:
        ImageReadError: exactly when `read_image` would.
    """
    read_image(source)
    return image_header(source)


def write_image(path: Path | str, rgb: NDArray[np.uint8]) -> None:
    """Write a photo atomically in the format of its suffix (JPEG and WebP at quality 95).

    Args:
        path: target; folders are made as needed.
        rgb: (H, W, 3) uint8.

    Raises:
        UsageError: for a suffix that is not among .jpg .jpeg .png .bmp .tif .tiff .webp.
    """
    path = Path(path)
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise UsageError(f"{path}: cannot write {path.suffix or 'without suffix'}; use {' '.join(_WRITERS)}")
    image_format, options = writer
    with atomic_path(path) as temporary:
        Image.fromarray(rgb).save(temporary, image_format, **options)


# ---------------------------------------------------------------- steps of reading


def _load(source: Path | str | bytes) -> tuple[str, bytes]:
    """(name for messages, bytes)."""
    if isinstance(source, bytes):
        return "image", source
    try:
        return str(source), Path(source).read_bytes()
    except OSError as error:
        raise _unreadable(str(source), error) from error


def _unreadable(name: str, error: OSError) -> ImageReadError:
    return ImageReadError(f"{name}: cannot be read ({error.strerror or error}); check path and rights")


def _open(name: str, content: bytes | io.BufferedReader) -> tuple[Image.Image, ImageHeader]:
    """Parse the header and accept or refuse the photo by it."""
    stream = io.BytesIO(content) if isinstance(content, bytes) else content
    try:
        # Pillow's own limit is a global of 89 MP that only warns; ours is checked below, before decoding.
        with _open_lock:
            previous, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                image = Image.open(stream, formats=_FORMATS)
            finally:
                Image.MAX_IMAGE_PIXELS = previous
        header = _header(image)
    except Exception as error:  # Pillow's format plugins raise anything on damaged files
        stream.seek(0)
        raise ImageReadError(f"{name}: {_what_it_is(stream.read(64))}; replace or remove it") from error
    height, width = header.stored_size
    if height * width > MAX_IMAGE_PIXELS:
        raise ImageReadError(
            f"{name}: {width} x {height} pixels is over the limit of {MAX_IMAGE_PIXELS // 10**6} megapixels; "
            "cut or shrink it"
        )
    return image, header


def _header(image: Image.Image) -> ImageHeader:
    image_format = image.format or ""
    width, height = image.size
    if image_format == "TIFF":
        # Some Pillow releases turn TIFF files while opening them: the tags tell what is stored.
        tags = image.tag_v2  # type: ignore[attr-defined]
        width, height = int(tags[256]), int(tags[257])
    orientation = _orientation(image)
    size = (width, height) if orientation >= 5 else (height, width)
    return ImageHeader(size=size, stored_size=(height, width), orientation=orientation, format=image_format)


def _orientation(image: Image.Image) -> int:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about damaged EXIF blocks, which are common
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, struct.error):
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _decode_jpeg(content: bytes, header: ImageHeader) -> NDArray[np.uint8] | None:
    """Decode a plain JPEG with OpenCV, twice as fast as Pillow and equal to the bit (both use libjpeg-turbo).

    OpenCV fills what a truncated file lacks with grey and says nothing, so only files that end in the
    end-of-image marker come here. None leaves the file, and the verdict on it, to Pillow.
    """
    if not content.endswith(b"\xff\xd9"):
        return None
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        return None
    if pixels is None or pixels.shape[:2] != header.stored_size:
        return None
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels))


def _decode(name: str, image: Image.Image, header: ImageHeader) -> NDArray[np.uint8]:
    """Decode with Pillow, turn upright, reduce to 8-bit RGB."""
    try:
        image.load()
        rgb = _to_rgb(image)
        # Pillow turns TIFF files upright while loading them, and no others.
        turned = header.orientation == 1 or header.format == "TIFF"
        return np.array(rgb if turned else rgb.transpose(_UPRIGHT[header.orientation]))
    except ImageReadError as error:
        raise ImageReadError(f"{name}: {error}") from None
    except Exception as error:  # as in _open
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> ImageReadError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ImageReadError(f"{name}: damaged or cut short ({reason}); replace or remove it")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        # `convert` would clip everything above 255.
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ImageReadError("32 bits per channel have no fixed white; save it with 8 or 16 bits")
    if image.mode == "P":
        # Through RGBA: entries of the palette marked transparent keep their colour, without a warning.
        image = image.convert("RGBA")
    return image.convert("RGB")


def _what_it_is(start: bytes) -> str:
    """Say in a few words what a file that is no readable photo is."""
    if not start:
        return "the file is empty"
    if start[4:8] == b"ftyp" and start[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"heif"):
        return "a HEIC photo, which is not supported: save it as JPEG"
    if start.startswith((b"\xff\xd8", b"\x89PNG", b"BM", b"GIF8", b"II*\0", b"MM\0*", b"RIFF")):
        return "the header is damaged or cut short"
    return "not an image (expected JPEG, PNG, BMP, TIFF, WebP or GIF)"
