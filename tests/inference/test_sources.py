"""Sources become upright RGB photos, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from paddlex.inference.sources import read_frames
from paddlex.utils.errors import DownloadError, ImageReadError, InputError, PaddleXError

RED, BLUE = (255, 0, 0), (0, 0, 255)


def _save(
    path: Path, color: tuple[int, int, int] = RED, size: tuple[int, int] = (12, 8), **options: object
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path, **options)
    return path


def _pixel(frame) -> tuple[int, ...]:
    return tuple(frame.photo.pixels[3, 3].tolist())


def test_photo_file_is_rgb_and_names_its_path(tmp_path: Path) -> None:
    path = _save(tmp_path / "照片 1.png")
    (frame,) = read_frames(path)
    assert _pixel(frame) == RED
    assert frame.input_path == str(path)
    assert (frame.page_index, frame.frame_index) == (None, None)


def test_folder_is_searched_deeply_in_order_whatever_the_case_of_suffixes(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "sub/c.JPEG", "sub/d.webp", "e.Bmp"):
        _save(tmp_path / name, format=None if name != "b.PNG" else "PNG")
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / ".hidden.png").write_bytes(b"")
    names = [Path(frame.input_path).name for frame in read_frames(tmp_path)]
    assert names == ["a.jpg", "b.PNG", "e.Bmp", "c.JPEG", "d.webp"]


def test_glob_pattern_is_expanded(tmp_path: Path) -> None:
    for name in ("a1.png", "a2.png", "b1.png"):
        _save(tmp_path / name)
    names = [Path(frame.input_path).name for frame in read_frames(str(tmp_path / "a*.png"))]
    assert names == ["a1.png", "a2.png"]


def test_existing_file_with_brackets_is_no_pattern(tmp_path: Path) -> None:
    path = _save(tmp_path / "a[1].png")
    assert [frame.input_path for frame in read_frames(str(path))] == [str(path)]


def test_lists_may_be_nested_and_mixed(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.png", BLUE)
    frames = list(read_frames([path, [np.zeros((8, 8, 3), np.uint8), Image.new("RGB", (8, 8), RED)]]))
    assert [_pixel(frame) for frame in frames] == [BLUE, (0, 0, 0), RED]


def test_array_is_bgr() -> None:
    array = np.zeros((8, 8, 3), np.uint8)
    array[:, :, 0] = 255
    (frame,) = read_frames(array)
    assert _pixel(frame) == BLUE
    assert frame.input_path is None


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1)], ids=str)
def test_grey_array_is_repeated(shape: tuple[int, ...]) -> None:
    (frame,) = read_frames(np.full(shape, 9, np.uint8))
    assert frame.photo.pixels.shape == (8, 8, 3)
    assert _pixel(frame) == (9, 9, 9)


def test_bgra_array_loses_alpha() -> None:
    array = np.zeros((8, 8, 4), np.uint8)
    array[:, :, 2] = 255
    (frame,) = read_frames(array)
    assert _pixel(frame) == RED


@pytest.mark.parametrize(
    "array",
    [np.zeros((8, 8, 3), np.float32), np.zeros((0, 8, 3), np.uint8), np.zeros((8, 8, 5), np.uint8)],
    ids=["float", "empty", "five channels"],
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(InputError, match="array"):
        list(read_frames(array))


def test_pil_image_is_turned_upright() -> None:
    image = Image.new("RGB", (12, 8), RED)
    image.getexif()[0x0112] = 6
    (frame,) = read_frames(image)
    assert frame.photo.size == (12, 8)


def test_pil_image_of_16_bits_keeps_its_exposure() -> None:
    image = Image.fromarray(np.full((8, 8), 0x8000, np.uint16))
    (frame,) = read_frames(image)
    assert _pixel(frame) == (128, 128, 128)


def test_pages_of_a_tiff_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    pages = [Image.new("RGB", (12, 8), RED), Image.new("CMYK", (10, 9), (255, 255, 0, 0))]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    first, second = read_frames(path)
    assert (first.page_index, second.page_index) == (0, 1)
    assert _pixel(first) == RED
    assert second.photo.size == (9, 10)
    assert _pixel(second) == BLUE


def test_tiff_of_one_page_is_a_photo(tmp_path: Path) -> None:
    (frame,) = read_frames(_save(tmp_path / "a.TIFF"))
    assert frame.page_index is None


def test_pages_of_a_pdf_are_rgb(tmp_path: Path) -> None:
    path = tmp_path / "scan.PDF"
    pages = [Image.new("RGB", (120, 80), RED), Image.new("RGB", (120, 80), BLUE)]
    pages[0].save(path, "PDF", save_all=True, append_images=pages[1:])
    frames = list(read_frames(path))
    assert [frame.page_index for frame in frames] == [0, 1]
    for frame, color in zip(frames, (RED, BLUE), strict=True):
        assert np.abs(np.array(frame.photo.pixels[50, 50], int) - color).max() < 12  # the PDF holds a JPEG


def test_video_yields_numbered_frames(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 48))
    for level in (40, 120, 200):
        writer.write(np.full((48, 64, 3), (level, 0, 0), np.uint8))  # BGR: blue
    writer.release()
    frames = list(read_frames(path))
    assert [frame.frame_index for frame in frames] == [0, 1, 2]
    assert [
        abs(int(frame.photo.pixels[20, 20, 2]) - level) < 10
        for frame, level in zip(frames, (40, 120, 200), strict=True)
    ]
    assert frames[2].photo.pixels[20, 20, 0] < 20


def test_photos_are_read_when_their_turn_comes(tmp_path: Path) -> None:
    first, second = _save(tmp_path / "a.png"), tmp_path / "b.png"
    second.write_bytes(b"damaged")
    frames = read_frames([first, second])
    assert _pixel(next(frames)) == RED
    with pytest.raises(ImageReadError, match=r"b\.png"):
        next(frames)


def test_unreadable_files_are_left_out_on_demand(tmp_path: Path) -> None:
    _save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"damaged")
    _save(tmp_path / "c.png")
    faults: list[PaddleXError] = []
    names = [Path(frame.input_path).name for frame in read_frames(tmp_path, skip=faults.append)]
    assert names == ["a.png", "c.png"]
    assert len(faults) == 1
    assert "b.png" in str(faults[0])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.png", "no such file or folder"),
        ("*.png", "no file matches this pattern"),
        ("", "no photo, PDF or video in this folder"),
        ("notes.txt", "unsupported kind of file .txt"),
        ("broken.pdf", "cannot be read as PDF"),
        ("broken.mp4", "cannot be read as video"),
        ("broken.tif", "broken.tif"),
    ],
)
def test_unusable_path_is_told_in_one_line(tmp_path: Path, name: str, message: str, capfd) -> None:
    if name == "notes.txt" or name.startswith("broken"):
        (tmp_path / name).write_text("not what the name says")
    with pytest.raises((InputError, ImageReadError), match=message) as caught:
        list(read_frames(str(tmp_path / name)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", [3, None, b"bytes", {"img": "a.png"}], ids=str)
def test_other_objects_are_refused(source: object) -> None:
    with pytest.raises(InputError, match="input of type"):
        list(read_frames(source))


@pytest.fixture
def web_photo(tmp_path: Path, monkeypatch) -> Iterator[tuple[Path, str]]:
    """A photo on a web server of this machine: (its file, its address)."""
    monkeypatch.setenv("PADDLE_PDX_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PADDLE_PDX_OFFLINE", raising=False)
    path = _save(tmp_path / "web" / "camera.png", RED)
    handler = partial(SimpleHTTPRequestHandler, directory=str(path.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield path, f"http://127.0.0.1:{server.server_port}/camera.png"
        server.shutdown()
        thread.join()


def test_address_is_fetched_anew_each_time(web_photo: tuple[Path, str]) -> None:
    path, address = web_photo
    assert [_pixel(frame) for frame in read_frames(address)] == [RED]
    _save(path, BLUE)
    assert [_pixel(frame) for frame in read_frames(address)] == [BLUE]


def test_address_offline_gives_the_last_copy(web_photo: tuple[Path, str], monkeypatch) -> None:
    path, address = web_photo
    list(read_frames(address))
    _save(path, BLUE)
    monkeypatch.setenv("PADDLE_PDX_OFFLINE", "1")
    (frame,) = read_frames(address)
    assert _pixel(frame) == RED
    assert Path(frame.input_path).name == "camera.png"


def test_address_that_fails_gives_the_last_copy_or_the_fault(web_photo: tuple[Path, str]) -> None:
    path, address = web_photo
    list(read_frames(address))
    path.unlink()
    assert [_pixel(frame) for frame in read_frames(address)] == [RED]
    with pytest.raises(DownloadError, match=r"other\.png"):
        list(read_frames(address.replace("camera", "other")))
