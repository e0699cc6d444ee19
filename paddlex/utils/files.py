"""Files of the user: read in any usual encoding, written whole or not at all, never lost."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from paddlex.utils.errors import FileFormatError

__all__ = [
    "atomic_path",
    "copy_to_backup",
    "finite_json",
    "read_json",
    "read_text",
    "safe_extract",
    "write_bytes",
    "write_json",
    "write_text",
]

# An archive that unpacks to more than this, or to over this many times its own size, is refused.
_MAX_EXTRACTED_BYTES = 64 * 1024**3
_MAX_EXTRACTION_RATIO = 200


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary sibling of `path`; on success it takes the name `path`, on failure it vanishes.

    A process killed at any moment leaves either the previous file or the new one, never a part.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; a result should be as readable as any other file of the user.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write `content` atomically, making folders as needed."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically, making folders as needed."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path | str, content: Any, *, indent: int | None = 2) -> None:  # noqa: ANN401 (any JSON)
    """Write JSON atomically, UTF-8, non-ASCII unescaped; NaN and infinities become null."""
    try:
        text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(finite_json(content), indent=indent, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def finite_json(content: Any) -> Any:  # noqa: ANN401 (any JSON)
    """A copy in which NaN and infinities, which JSON cannot hold, are None."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {key: finite_json(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [finite_json(value) for value in content]
    return content


def read_text(path: Path | str) -> str:
    """Read text as UTF-8 (with or without byte-order mark), else as GB18030 (which contains GBK).

    Raises:
        FileFormatError: if the file is missing or is text in neither encoding.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror or error})") from error
    for encoding in ("utf-8-sig", "gb18030"):
        with contextlib.suppress(UnicodeDecodeError):
            return content.decode(encoding)
    raise FileFormatError(f"{path}: neither UTF-8 nor GBK text; save it as UTF-8")


def read_json(path: Path | str) -> Any:  # noqa: ANN401 (any JSON)
    """Read a JSON file.

    Raises:
        FileFormatError: naming file, line and column of the first fault.
    """
    text = read_text(path)
    if not text.strip():
        raise FileFormatError(f"{path}: the file is empty; expected JSON")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise FileFormatError(
            f"{path}: not valid JSON at line {error.lineno}, column {error.colno} ({error.msg}); "
            "the file may be cut short: restore it or write it anew"
        ) from error
    except RecursionError as error:
        raise FileFormatError(f"{path}: JSON nested too deeply to be an annotation file") from error


def copy_to_backup(path: Path | str) -> Path:
    """Copy `path` to `path.bak` unless that exists: the first backup is the true original and is kept."""
    path = Path(path)
    backup = path.with_name(path.name + ".bak")
    if not backup.exists():
        with atomic_path(backup) as temporary:
            shutil.copy2(path, temporary)
    return backup


def safe_extract(archive: Path | str, folder: Path | str) -> Path:
    """Unpack a .zip, .tar, .tar.gz, .tgz, .tar.bz2 or .tar.xz without leaving `folder`.

    Raises:
        FileFormatError: for absolute paths, `..`, links, devices, decompression bombs, damaged or
            unknown archives. Nothing is written in that case.
    """
    archive, folder = Path(archive), Path(folder)
    limit = min(_MAX_EXTRACTED_BYTES, max(archive.stat().st_size * _MAX_EXTRACTION_RATIO, 1024**2))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".extract.", dir=folder.parent) as temporary:
        stage = Path(temporary) / "content"
        stage.mkdir()
        try:
            if zipfile.is_zipfile(archive):
                _extract_zip(archive, stage, limit)
            elif tarfile.is_tarfile(archive):
                _extract_tar(archive, stage, limit)
            else:
                raise FileFormatError(f"{archive}: neither a zip nor a tar archive")
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
            raise FileFormatError(f"{archive}: damaged archive ({error}); download it again") from error
        if folder.exists():
            shutil.copytree(stage, folder, dirs_exist_ok=True)
        else:
            stage.replace(folder)
    return folder


def _extract_zip(archive: Path, folder: Path, limit: int) -> None:
    with zipfile.ZipFile(archive) as source:
        members = source.infolist()
        _require_small(archive, sum(member.file_size for member in members), limit)
        for member in members:
            _require_inside(archive, member.filename, folder)
            if stat.S_ISLNK(member.external_attr >> 16):
                raise FileFormatError(f"{archive}: member {member.filename!r} is a link; refused")
        source.extractall(folder)


def _extract_tar(archive: Path, folder: Path, limit: int) -> None:
    with tarfile.open(archive) as source:
        members = source.getmembers()
        _require_small(archive, sum(member.size for member in members), limit)
        for member in members:
            _require_inside(archive, member.name, folder)
            if not (member.isfile() or member.isdir()):
                raise FileFormatError(f"{archive}: member {member.name!r} is a link or device; refused")
            member.mode = 0o755 if member.isdir() else 0o644
        # Every member was checked above; the filter silences Python 3.12's question.
        if hasattr(tarfile, "data_filter"):
            source.extractall(folder, members=members, filter="data")
        else:
            source.extractall(folder, members=members)


def _require_small(archive: Path, total: int, limit: int) -> None:
    if total > limit:
        raise FileFormatError(
            f"{archive}: {archive.stat().st_size / 1e6:.1f} MB would unpack to {total / 1e9:.1f} GB; refused"
        )


def _require_inside(archive: Path, name: str, folder: Path) -> None:
    clean = name.replace("\\", "/")
    outside = clean.startswith("/") or ":" in clean.split("/")[0] or ".." in clean.split("/")
    if outside or not (folder / clean).resolve().is_relative_to(folder.resolve()):
        raise FileFormatError(f"{archive}: member {name!r} would leave the target folder; refused")
