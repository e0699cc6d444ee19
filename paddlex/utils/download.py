"""Downloads that survive a bad line: resumed, checked, kept in one cache, and switched off on demand.

The cache is `PADDLE_PDX_CACHE_HOME` (default `~/.paddlex`); a file lies there under its host and path, so
that it can be put there by hand. `PADDLE_PDX_OFFLINE=1` forbids every connection.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress import TransferSpeedColumn as SpeedColumn

from paddlex.utils.errors import DownloadError
from paddlex.utils.logging import console, logger

__all__ = ["cache_home", "cached_path", "checked", "fetch", "is_offline", "is_url"]

_ATTEMPTS = 5
_BACKOFF_SECONDS = 1.0
_TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 1 << 20


def cache_home() -> Path:
    """The folder that downloads are kept in."""
    return Path(os.environ.get("PADDLE_PDX_CACHE_HOME") or Path.home() / ".paddlex").expanduser()


def is_offline() -> bool:
    """Whether connections are forbidden."""
    return os.environ.get("PADDLE_PDX_OFFLINE", "").strip().lower() in {"1", "true", "yes", "on"}


def is_url(source: str) -> bool:
    """Whether `source` names a file on a web server."""
    return source.lower().startswith(("http://", "https://"))


def cached_path(url: str, *, folder: Path | str | None = None) -> Path:
    """Where `fetch` puts the file of `url`: `folder/name`, or `cache/host/path/name`."""
    parts = urllib.parse.urlsplit(url)
    steps = [_safe_name(urllib.parse.unquote(step)) for step in parts.path.split("/") if step]
    if not is_url(url) or not parts.hostname or not steps:
        raise DownloadError(f"{url!r}: not the address of a file; expected http(s)://host/path/file")
    if parts.query:
        steps[-1] = f"{hashlib.sha256(parts.query.encode()).hexdigest()[:8]}_{steps[-1]}"
    if folder is not None:
        return Path(folder) / steps[-1]
    return cache_home().joinpath(_safe_name(parts.netloc.rpartition("@")[2]), *steps)


def fetch(url: str, *, folder: Path | str | None = None, sha256: str | None = None) -> Path:
    """Return the local copy of `url`, downloading it unless it is already there.

    Args:
        url: http or https address of a file.
        folder: where to put it; None means the cache.
        sha256: expected checksum in hexadecimal, if known.

    Raises:
        DownloadError: if it cannot be had, naming the address and the path to put the file at by hand.
    """
    path = cached_path(url, folder=folder)
    if path.is_file():
        return checked(path, url, sha256)
    if is_offline():
        raise DownloadError(f"{url}: not downloaded, PADDLE_PDX_OFFLINE is set; {_by_hand(path)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_name(path.name + ".lock")):
            if not path.is_file():
                _download(url, path, sha256)
    except OSError as error:
        raise DownloadError(
            f"{path}: cannot be written ({error.strerror or error}); {_by_hand(path)}"
        ) from error
    return path


def checked(path: Path, source: str, sha256: str | None) -> Path:
    """`path`, if its checksum is the expected one or none is expected.

    Raises:
        DownloadError: if it differs from that of `source`.
    """
    if sha256 is not None and _sha256(path) != sha256.lower():
        raise DownloadError(
            f"{path}: the checksum differs from the one published for {source}; "
            "the file is damaged or another one: delete it and run again"
        )
    return path


def _safe_name(text: str) -> str:
    # Colons and the like are no file names on Windows, and ".." would leave the cache.
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", text).strip(". ") or "_"


def _by_hand(path: Path) -> str:
    return f"download it on another machine and put it at {path}"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _download(url: str, path: Path, sha256: str | None) -> None:
    part = path.with_name(path.name + ".part")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _receive(url, part, name=path.name)
            break
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            lasting = isinstance(error, urllib.error.HTTPError) and error.code not in {408, 416, 429}
            if attempt == _ATTEMPTS or (lasting and getattr(error, "code", 500) < 500):
                raise DownloadError(f"{url}: download failed ({_reason(error)}); {_by_hand(path)}") from error
            delay = _BACKOFF_SECONDS * 2 ** (attempt - 1)
            logger.warning("%s: %s; attempt %d follows in %.0f s", url, _reason(error), attempt + 1, delay)
            time.sleep(delay)
    if sha256 is not None and _sha256(part) != sha256.lower():
        _discard(part)
        raise DownloadError(f"{url}: what came has another checksum than published; {_by_hand(path)}")
    part.replace(path)
    _discard(part)


def _reason(error: BaseException) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)


def _version_file(part: Path) -> Path:
    """Holds the server's name for the version that `part` is the beginning of."""
    return part.with_name(part.name + ".version")


def _receive(url: str, part: Path, *, name: str) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "paddlex", "Accept-Encoding": "identity"})
    done = part.stat().st_size if part.is_file() else 0
    version = _version_file(part).read_text() if _version_file(part).is_file() else ""
    if done and version:
        # If-Range: a file that changed meanwhile comes whole (200) instead of as a wrong rest (206).
        request.add_header("Range", f"bytes={done}-")
        request.add_header("If-Range", version)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            _discard(part)
        raise
    with response:
        if response.status != 206:
            done = 0
            etag = response.headers.get("ETag") or ""
            validator = etag if not etag.startswith("W/") else ""
            _version_file(part).write_text(validator or response.headers.get("Last-Modified") or "")
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        logger.info("%s %s to %s", "Resuming" if done else "Downloading", url, part.parent / name)
        with part.open("ab" if done else "wb") as file:
            _copy(response, file, name=name, done=done, total=total)
    if total is not None and part.stat().st_size < total:
        raise http.client.HTTPException(f"the connection broke at {part.stat().st_size} of {total} bytes")


def _copy(source: IO[bytes], target: IO[bytes], *, name: str, done: int, total: int | None) -> None:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        SpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(name, total=total, completed=done)
        # read1 hands over what has come, so that a broken line loses nothing of it.
        read = getattr(source, "read1", source.read)
        while chunk := read(_CHUNK_BYTES):
            target.write(chunk)
            bar.advance(task, len(chunk))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes; the system frees it when a process dies."""
    with path.open("a+b") as file:
        told = False
        while not _try_lock(file):
            if not told:
                logger.info("%s: another process downloads this file; waiting", path.with_suffix(""))
                told = True
            time.sleep(0.1)
        yield
    # The file stays: removing it would let a third process lock a new one while a second holds the old.


def _try_lock(file: IO[bytes]) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
