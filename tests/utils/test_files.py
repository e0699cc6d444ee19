"""Files are written whole or not at all, and archives stay inside their folder."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from paddlex.utils.errors import FileFormatError
from paddlex.utils.files import atomic_path, copy_to_backup, read_json, read_text, safe_extract, write_json


def test_json_is_written_readable_and_unescaped(tmp_path: Path) -> None:
    file = tmp_path / "new" / "r.json"
    write_json(file, {"名": "榛子", "nan": float("nan"), "list": (1.5, float("inf"))})
    assert json.loads(file.read_text(encoding="utf-8")) == {"名": "榛子", "nan": None, "list": [1.5, None]}
    assert "榛子" in file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o044


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "r.txt"
    file.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(file) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_first_backup_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    for content in ("original", "second"):
        file.write_text(content)
        copy_to_backup(file)
    assert (tmp_path / "a.json.bak").read_text() == "original"
    assert file.read_text() == "second"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
def test_text_is_read_in_the_usual_encodings(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.txt").write_bytes("榛子".encode(encoding))
    assert read_text(tmp_path / "t.txt") == "榛子"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b'{"a": [1, 2', "line 1, column"),
        (b"[" * 100_000, "nested too deeply|not valid JSON"),
    ],
    ids=["empty", "cut", "deep"],
)
def test_broken_json_is_named_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "b.json").write_bytes(content)
    with pytest.raises(FileFormatError, match=message) as caught:
        read_json(tmp_path / "b.json")
    assert "\n" not in str(caught.value)


def _tar(path: Path, name: str, *, kind: bytes = tarfile.REGTYPE, link: str = "") -> Path:
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.size = kind, link, 0 if link else 2
        archive.addfile(member, io.BytesIO(b"hi"))
    return path


def test_archives_unpack(tmp_path: Path) -> None:
    folder = safe_extract(_tar(tmp_path / "a.tar", "photos/x.txt"), tmp_path / "out")
    assert (folder / "photos" / "x.txt").read_bytes() == b"hi"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("照片/y.txt", "yo")
    assert (safe_extract(tmp_path / "a.zip", tmp_path / "out") / "照片" / "y.txt").read_text() == "yo"


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "C:/x", "..\\x"])
def test_members_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileFormatError, match="would leave the target folder"):
        safe_extract(_tar(tmp_path / "a.tar", name), tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(FileFormatError, match="would leave the target folder"):
        safe_extract(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar", "a.zip"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_are_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(FileFormatError, match="link or device"):
        safe_extract(_tar(tmp_path / "a.tar", "x", kind=kind, link="/etc/passwd"), tmp_path / "out")


def test_bombs_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * 50_000_000)
    with pytest.raises(FileFormatError, match="would unpack to"):
        safe_extract(tmp_path / "bomb.zip", tmp_path / "out")


def test_damaged_and_unknown_archives_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no archive")
    with pytest.raises(FileFormatError, match="neither a zip nor a tar"):
        safe_extract(tmp_path / "a.tar", tmp_path / "out")
