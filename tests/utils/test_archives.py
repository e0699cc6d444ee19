"""`download_and_decompress`: from an address or a path to a folder, whatever the archive tries."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from utils.test_download import Server, server  # noqa: F401 (the fixture)

import paddlex
from paddlex.utils import download_and_decompress
from paddlex.utils.errors import DownloadError, FileFormatError

FILES = {"set/images/a.txt": b"photo", "set/train.json": b"{}"}


def tar_bytes(
    files: dict[str, bytes] = FILES, *, mode: str = "w:gz", links: dict[str, str] | None = None
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return buffer.getvalue()


def zip_bytes(files: dict[str, bytes] = FILES) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def written(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("set.tar.gz", tar_bytes()),
        ("set.tgz", tar_bytes()),
        ("set.tar", tar_bytes(mode="w")),
        ("set.zip", zip_bytes()),
        ("mac.zip", zip_bytes({**FILES, "__MACOSX/set/._train.json": b"fork"})),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_local_archives_of_every_kind_are_unpacked(tmp_path: Path, name: str, content: bytes) -> None:
    archive = written(tmp_path / "in", name, content)
    folder = paddlex.utils.download_and_decompress(str(archive), path=tmp_path / "new" / "out")
    assert folder == tmp_path / "new" / "out" / "set"
    assert tree(tmp_path / "new" / "out") == FILES
    assert archive.read_bytes() == content


def test_file_addresses_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = written(tmp_path / "with blank", "set.zip", zip_bytes())
    monkeypatch.chdir(tmp_path)
    assert download_and_decompress(archive.as_uri()) == Path("set")
    assert tree(tmp_path / "set") == {name.removeprefix("set/"): content for name, content in FILES.items()}


def test_several_things_stay_in_the_folder_itself(tmp_path: Path) -> None:
    archive = written(tmp_path / "in", "flat.zip", zip_bytes({"a.txt": b"1", "b/c.txt": b"2"}))
    assert download_and_decompress(archive, tmp_path / "out") == tmp_path / "out"


def test_what_is_there_already_is_left_as_it_is(tmp_path: Path) -> None:
    archive = written(tmp_path / "in", "set.zip", zip_bytes())
    folder = download_and_decompress(archive, tmp_path / "out")
    (folder / "train.json").write_bytes(b"corrected by hand")
    assert download_and_decompress(archive, tmp_path / "out") == folder
    assert (folder / "train.json").read_bytes() == b"corrected by hand"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["set"]


def test_addresses_are_downloaded_once(
    server: Server,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PADDLE_PDX_CACHE_HOME", str(tmp_path / "cache"))
    server.content = tar_bytes()
    digest = hashlib.sha256(server.content).hexdigest()
    for part in ("one", "two"):
        folder = download_and_decompress(server.url("data/set.tar.gz"), tmp_path / part, sha256=digest)
        assert tree(folder.parent) == FILES
    assert len(server.ranges) == 1


def test_another_checksum_is_refused(tmp_path: Path) -> None:
    archive = written(tmp_path / "in", "set.zip", zip_bytes())
    with pytest.raises(DownloadError, match="the checksum differs"):
        download_and_decompress(archive, tmp_path / "out", sha256="0" * 64)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tar_bytes({"../evil.txt": b"x"}), "would leave the target folder"),
        (tar_bytes({"/tmp/evil.txt": b"x"}), "would leave the target folder"),
        (zip_bytes({"set/../../evil.txt": b"x"}), "would leave the target folder"),
        (tar_bytes({}, links={"set": "/etc"}), "is a link or device"),
        (zip_bytes({"set/zeros.bin": bytes(300 * 1024**2 // 100)}), "would unpack to"),
        (tar_bytes()[:-40], "damaged archive"),
        (b"just text", "neither a zip nor a tar archive"),
    ],
    ids=["parent", "absolute", "parent in zip", "link", "bomb", "cut short", "no archive"],
)
def test_hostile_and_damaged_archives_write_nothing(tmp_path: Path, content: bytes, message: str) -> None:
    archive = written(tmp_path / "in", "set.tar.gz", content)
    with pytest.raises(FileFormatError, match=message) as caught:
        download_and_decompress(archive, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert tree(tmp_path) == {"in/set.tar.gz": content}


def test_a_missing_archive_is_told(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"gone.zip: no such file; expected an archive's path, or an add"):
        download_and_decompress(tmp_path / "gone.zip")
    written(tmp_path, "out", b"a file")
    archive = written(tmp_path / "in", "set.zip", zip_bytes())
    with pytest.raises(DownloadError, match="out: cannot be written"):
        download_and_decompress(archive, tmp_path / "out")


def test_importing_the_tools_stays_light() -> None:
    code = "import sys, paddlex as pdx; pdx.utils; print('numpy' in sys.modules, 'rich' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "False"]
