"""Everything a prediction can be asked about, as a lazy stream of photos.

A photo, page or frame is decoded when its turn comes, so that a folder or a film takes constant memory.
"""

from __future__ import annotations

import glob
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pypdfium2
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from paddlex.structures.photo import Photo
from paddlex.utils.download import cache_home, cached_path, fetch, is_offline, is_url
from paddlex.utils.errors import DownloadError, ImageReadError, InputError, PaddleXError
from paddlex.utils.images import IMAGE_SUFFIXES, read_image
from paddlex.utils.logging import logger

__all__ = ["PDF_SUFFIXES", "VIDEO_SUFFIXES", "Frame", "SkipUnreadable", "Source", "read_frames"]

PDF_SUFFIXES = frozenset({".pdf"})
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm", ".mpg", ".mpeg", ".wmv"})
_TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
_FURTHER_IMAGE_SUFFIXES = frozenset({".dib", ".jp2", ".pbm", ".pgm", ".pnm", ".ppm"})
_IMAGES = IMAGE_SUFFIXES | _FURTHER_IMAGE_SUFFIXES
_SUPPORTED = _IMAGES | PDF_SUFFIXES | VIDEO_SUFFIXES

# 144 dots per inch: letters and drawings of an A4 page stay readable at 1190 x 1684 pixels.
_PDF_SCALE = 2.0
_REDUCED_RESOLUTION = 1

Source = str | Path | NDArray[Any] | Image.Image | Iterable["Source"]


@dataclass(frozen=True, eq=False)
class Frame:
    """One photo on its way to the network.

    Attributes:
        photo: upright RGB pixels.
        input_path: the file; None for arrays.
        page_index: page of a PDF or multi-page TIFF, from 0.
        frame_index: frame of a video, from 0.
    """

    photo: Photo
    input_path: str | None = None
    page_index: int | None = None
    frame_index: int | None = None


# Called with the fault of a file that is left out.
SkipUnreadable = Callable[[PaddleXError], None]


def read_frames(source: Source, *, skip: SkipUnreadable | None = None) -> Iterator[Frame]:
    """Yield every photo, page and frame of a source.

    Args:
        source: a path (photo, folder, PDF, TIFF, video), a glob pattern, an http(s) address, an array
            (H, W, 3) BGR, (H, W, 4) BGRA or (H, W) grey, uint8, as OpenCV reads them, a PIL image, or any
            iterable of these, nested as you like.
        skip: leave out files that cannot be read and call this with each fault; None raises it.

    Raises:
        InputError: for a missing path, an empty folder, an unsupported kind of file or object.
        ImageReadError: for a photo that cannot be decoded.
        DownloadError: for an address that cannot be fetched.
    """
    if isinstance(source, (str, Path)):
        yield from _from_text(str(source), skip=skip)
    elif isinstance(source, np.ndarray):
        yield Frame(Photo(_from_array(source)))
    elif isinstance(source, Image.Image):
        yield Frame(Photo(_from_pil(source)))
    elif isinstance(source, Iterable) and not isinstance(source, (bytes, dict)):
        for item in source:
            yield from read_frames(item, skip=skip)
    else:
        raise InputError(
            f"input of type {type(source).__name__}: expected a path, an address, a (H, W, 3) BGR array, "
            "a PIL image, or a list of these"
        )


# -------------------------------------------------------------------- arrays


def _from_array(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype != np.uint8 or array.size == 0:
        raise InputError(f"array {array.shape} {array.dtype}: expected uint8 values of an image")
    if array.ndim == 2:
        return np.repeat(array[:, :, None], 3, axis=2)
    if array.ndim == 3 and array.shape[2] == 1:
        return np.repeat(array, 3, axis=2)
    if array.ndim == 3 and array.shape[2] in (3, 4):
        return np.ascontiguousarray(array[:, :, 2::-1])
    raise InputError(f"array of shape {array.shape}: expected (H, W, 3) BGR, (H, W, 4) BGRA or (H, W) grey")


def _from_pil(image: Image.Image) -> NDArray[np.uint8]:
    upright = ImageOps.exif_transpose(image)
    return np.array(upright) if upright.mode == "RGB" else _through_reader(upright)


def _through_reader(image: Image.Image) -> NDArray[np.uint8]:
    """RGB of any depth and colour model, by the one reader that decides how."""
    content = io.BytesIO()
    image.save(content, "TIFF", compression="raw")
    return read_image(content.getvalue())


# -------------------------------------------------------------------- paths


def _from_text(text: str, *, skip: SkipUnreadable | None) -> Iterator[Frame]:
    if is_url(text):
        yield from _from_file(_download(text), skip=skip)
        return
    path = Path(text).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and _is_supported(file))
        if not files:
            raise InputError(f"{path}: no photo, PDF or video in this folder; expected {_listed()}")
    elif path.is_file():
        files = [path]
    elif glob.has_magic(text):
        files = sorted(Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file())  # noqa: PTH207 (absolute patterns)
        if not files:
            raise InputError(f"{text}: no file matches this pattern")
    else:
        raise InputError(f"{text}: no such file or folder")
    for file in files:
        yield from _from_file(file, skip=skip)


def _is_supported(path: Path) -> bool:
    return path.suffix.lower() in _SUPPORTED and not path.name.startswith(".")


def _listed() -> str:
    return " ".join(sorted(_SUPPORTED))


def _download(url: str) -> Path:
    """Fetch anew, for the picture behind an address may change; offline the last copy serves."""
    folder = cache_home() / "predict_input"
    latest = cached_path(url, folder=folder)
    if is_offline():
        return fetch(url, folder=folder)
    try:
        fresh = fetch(url, folder=folder / "incoming")
        fresh.replace(latest)
    except DownloadError as error:
        if not latest.is_file():
            raise
        logger.warning("%s; the copy of an earlier run is used", error)
    return latest


def _from_file(path: Path, *, skip: SkipUnreadable | None) -> Iterator[Frame]:
    try:
        yield from _decode(path)
    except (ImageReadError, InputError) as error:
        if skip is None:
            raise
        skip(error)


def _decode(path: Path) -> Iterator[Frame]:
    suffix = path.suffix.lower()
    if suffix in PDF_SUFFIXES:
        yield from _pdf_pages(path)
    elif suffix in VIDEO_SUFFIXES:
        yield from _video_frames(path)
    elif suffix in _TIFF_SUFFIXES:
        yield from _tiff_pages(path)
    elif suffix in _IMAGES:
        yield _photo_file(path)
    else:
        raise InputError(f"{path}: unsupported kind of file {suffix or '(no suffix)'}; expected {_listed()}")


def _photo_file(path: Path) -> Frame:
    return Frame(_photo(partial(read_image, path)), str(path))


def _photo(read: Callable[[], NDArray[np.uint8]]) -> Photo:
    return Photo(read(), read_again=read)


# -------------------------------------------------------------------- documents and films


def _tiff_pages(path: Path) -> Iterator[Frame]:
    try:
        with Image.open(path, formats=["TIFF"]) as tiff:
            pages = [index for index in range(getattr(tiff, "n_frames", 1)) if _is_full_page(tiff, index)]
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, EOFError, TypeError):
        pages = []  # not a TIFF in spite of its name, or damaged: the reader tells
    if len(pages) < 2:
        yield _photo_file(path)
        return
    for number, index in enumerate(pages):
        yield Frame(_photo(partial(_read_tiff_page, path, index)), str(path), page_index=number)


def _is_full_page(tiff: Image.Image, index: int) -> bool:
    """False for the thumbnails and pyramid levels that some files carry along."""
    tiff.seek(index)
    subfile_type = tiff.tag_v2.get(254, 0)  # type: ignore[attr-defined]
    return not int(subfile_type) & _REDUCED_RESOLUTION


def _read_tiff_page(path: Path, index: int) -> NDArray[np.uint8]:
    with Image.open(path, formats=["TIFF"]) as tiff:
        tiff.seek(index)
        return _through_reader(tiff)


def _pdf_pages(path: Path) -> Iterator[Frame]:
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        raise InputError(f"{path}: cannot be read as PDF ({error})") from error
    count = len(document)
    document.close()
    for index in range(count):
        yield Frame(_photo(partial(_render_page, path, index)), str(path), page_index=index)


def _render_page(path: Path, index: int) -> NDArray[np.uint8]:
    document = pypdfium2.PdfDocument(path)
    try:
        page = document[index]
        bitmap = page.render(scale=_PDF_SCALE, rev_byteorder=True)
        pixels = np.array(bitmap.to_numpy()[:, :, :3])
        bitmap.close()
        page.close()
        return pixels
    finally:
        document.close()


def _video_frames(path: Path) -> Iterator[Frame]:
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise InputError(f"{path}: cannot be read as video; convert it to MP4 (H.264)")
        index = 0
        while True:
            done, bgr = capture.read()
            if not done:
                break
            yield Frame(Photo(np.ascontiguousarray(bgr[:, :, ::-1])), str(path), frame_index=index)
            index += 1
        if index == 0:
            raise InputError(f"{path}: the video has no readable frame")
    finally:
        capture.release()
