"""Data sets that come as an archive: fetched where needed, checked, and unpacked beside one another."""

from __future__ import annotations

import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

from paddlex.utils.download import checked, fetch, is_url
from paddlex.utils.errors import DownloadError
from paddlex.utils.files import safe_extract
from paddlex.utils.logging import logger

__all__ = ["download_and_decompress"]

# What macOS adds to zip archives.
_RESOURCE_FORKS = "__MACOSX"


def download_and_decompress(url: str | Path, path: str | Path = ".", *, sha256: str | None = None) -> Path:
    """Unpack an archive into a folder, downloading it first where it is an address.

    What is downloaded is kept in the cache (`PADDLE_PDX_CACHE_HOME`, default `~/.paddlex`); a broken download
    goes on where it stopped. What is in the folder already stays as it is: a second call changes nothing.

    Args:
        url: http, https or file address, or path, of a .zip, .tar, .tar.gz, .tgz, .tar.bz2 or .tar.xz.
        path: where to unpack it; made as needed.
        sha256: expected checksum of the archive in hexadecimal, if known.

    Returns:
        The folder that the archive holds, or `path` where it holds several things.

    Raises:
        DownloadError: if the archive cannot be had, has another checksum, or `path` cannot be written.
        FileFormatError: if it is damaged or no archive, or would write outside `path`, holds links, or
            unpacks to an unreasonable size.
    """
    archive, folder = _local_archive(str(url), sha256), Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unpack.", dir=folder) as temporary:
            stage = safe_extract(archive, Path(temporary) / "content")
            names = sorted(entry.name for entry in stage.iterdir() if entry.name != _RESOURCE_FORKS)
            _move_new(stage, folder, names)
    except OSError as error:
        raise DownloadError(
            f"{folder}: cannot be written ({error.strerror or error}); give another path"
        ) from error
    single = len(names) == 1 and (folder / names[0]).is_dir()
    return folder / names[0] if single else folder


def _local_archive(url: str, sha256: str | None) -> Path:
    if is_url(url):
        return fetch(url, sha256=sha256)
    if url.lower().startswith("file:"):
        path = Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path))
    else:
        path = Path(url).expanduser()
    if not path.is_file():
        raise DownloadError(f"{url}: no such file; expected an archive's path, or an address http(s)://...")
    return checked(path, url, sha256)


def _move_new(stage: Path, folder: Path, names: list[str]) -> None:
    """Put in place what is not there yet; a folder comes whole or not at all."""
    kept = [name for name in names if (folder / name).exists()]
    for name in names:
        if name not in kept:
            (stage / name).replace(folder / name)
    if kept:
        logger.info(
            "%s: already in %s and left as it is; remove it to unpack it anew", ", ".join(kept), folder
        )
    if len(kept) < len(names):
        logger.info("unpacked %s in %s", ", ".join(name for name in names if name not in kept), folder)
