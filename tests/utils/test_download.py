"""Downloads against a real local server: resume, checks, the cache, and the offline switch."""

from __future__ import annotations

import hashlib
import http.server
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddlex.utils import download
from paddlex.utils.download import cached_path, fetch
from paddlex.utils.errors import DownloadError

CONTENT = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT at any path, with ranges; cuts the line after `cut_after` bytes while `cuts` last."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.etag = '"one"'
        self.cuts = 0
        self.status = 200
        self.ranges: list[str | None] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        requested = self.headers.get("Range")
        server.ranges.append(requested)
        if server.status != 200:
            self.send_error(server.status)
            return
        start = 0
        if requested and self.headers.get("If-Range") == server.etag:
            start = int(re.fullmatch(r"bytes=(\d+)-", requested)[1])  # type: ignore[index]
        self.send_response(206 if start else 200)
        self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        rest = server.content[start:]
        if server.cuts:
            server.cuts -= 1
            self.wfile.write(rest[: len(rest) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(rest)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setattr(download, "_BACKOFF_SECONDS", 0.0)
    monkeypatch.setenv("PADDLE_PDX_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PADDLE_PDX_OFFLINE", raising=False)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def leftovers(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir() if file != path and file.suffix != ".lock")


def test_fetch_keeps_the_file_in_the_cache_under_host_and_path(server: Server, tmp_path: Path) -> None:
    path = fetch(server.url("models/a.pdparams"), sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert path.relative_to(tmp_path / "cache").parts[1:] == ("models", "a.pdparams")
    assert leftovers(path) == []
    fetch(server.url("models/a.pdparams"))
    assert len(server.ranges) == 1


def test_fetch_continues_where_the_line_broke(server: Server, tmp_path: Path) -> None:
    server.cuts = 2
    path = fetch(server.url("a.bin"), folder=tmp_path, sha256=SHA256)
    assert path == tmp_path / "a.bin"
    assert path.read_bytes() == CONTENT
    half, quarter = len(CONTENT) // 2, len(CONTENT) // 4
    assert server.ranges == [None, f"bytes={half}-", f"bytes={half + quarter}-"]


def test_fetch_continues_a_download_of_an_earlier_process(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.cuts = 1
    monkeypatch.setattr(download, "_ATTEMPTS", 1)
    with pytest.raises(DownloadError, match="broke at"):
        fetch(server.url("a.bin"), folder=tmp_path)
    assert not (tmp_path / "a.bin").exists()
    assert fetch(server.url("a.bin"), folder=tmp_path).read_bytes() == CONTENT
    assert server.ranges[1] == f"bytes={len(CONTENT) // 2}-"


def test_fetch_starts_anew_when_the_file_changed_meanwhile(server: Server, tmp_path: Path) -> None:
    server.cuts = 1
    download_attempts = []

    class Changing(Handler):
        def do_GET(self) -> None:
            download_attempts.append(1)
            if len(download_attempts) == 2:
                self.server.content, self.server.etag = CONTENT[::-1], '"two"'
            super().do_GET()

    server.RequestHandlerClass = Changing
    assert fetch(server.url("a.bin"), folder=tmp_path).read_bytes() == CONTENT[::-1]


def test_fetch_refuses_another_checksum_and_keeps_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="another checksum"):
        fetch(server.url("a.bin"), folder=tmp_path, sha256="0" * 64)
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["a.bin.lock"]


def test_fetch_does_not_insist_on_a_missing_file(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(DownloadError) as error:
        fetch(server.url("a.bin"), folder=tmp_path)
    assert "404" in str(error.value) and f"put it at {tmp_path / 'a.bin'}" in str(error.value)
    assert len(server.ranges) == 1


def test_fetch_tries_a_busy_server_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.status = 503
    monkeypatch.setattr(download.time, "sleep", lambda _: setattr(server, "status", 200))
    assert fetch(server.url("a.bin"), folder=tmp_path).read_bytes() == CONTENT


def test_fetch_offline_opens_no_connection(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDLE_PDX_OFFLINE", "1")
    with pytest.raises(DownloadError) as error:
        fetch(server.url("a.bin"))
    assert server.ranges == []
    place = cached_path(server.url("a.bin"))
    assert "PADDLE_PDX_OFFLINE" in str(error.value) and str(place) in str(error.value)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"by hand")
    assert fetch(server.url("a.bin")).read_bytes() == b"by hand"


def test_fetch_in_two_processes_downloads_once(server: Server, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from paddlex.utils.download import fetch;"
        "fetch(sys.argv[1], folder=pathlib.Path(sys.argv[2]), sha256=sys.argv[3])"
    )
    command = [sys.executable, "-c", code, server.url("a.bin"), str(tmp_path), SHA256]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    assert len(server.ranges) == 1


@pytest.mark.parametrize("url", ["ftp://host/a", "file:///etc/passwd", "http://host", "a.pdparams"])
def test_fetch_refuses_what_is_no_web_address(url: str) -> None:
    with pytest.raises(DownloadError, match="not the address of a file"):
        fetch(url)


def test_cached_path_stays_inside_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDLE_PDX_CACHE_HOME", str(tmp_path))
    for url in (
        "http://h/../../a",
        "http://h/%2e%2e/%2e%2e/a",
        "http://h/..%5c..%5ca",
        "http://../a?x=/../b",
    ):
        assert cached_path(url).resolve().is_relative_to(tmp_path)
