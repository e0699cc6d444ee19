"""The reader promises: upright 8-bit RGB from anything that is a photo, one clear line for anything else."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from paddlex.utils.errors import ImageReadError, UsageError
from paddlex.utils.images import image_header, read_image, verify_image, write_image


def encoded(image: Image.Image, image_format: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


@pytest.fixture
def photo() -> Image.Image:
    """40 x 24 (width x height), smooth, with no symmetry."""
    y, x = np.mgrid[:24, :40]
    return Image.fromarray(np.stack([x * 6, y * 10, 255 - x * 3 - y], axis=2).astype(np.uint8))


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "TIFF", "GIF", "PPM"])
def test_read_lossless_format_returns_the_pixels(photo, image_format):
    source = photo.quantize(64) if image_format == "GIF" else photo
    pixels = read_image(encoded(source, image_format))
    np.testing.assert_array_equal(pixels, np.asarray(source.convert("RGB")))
    assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous and pixels.flags.writeable


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}], ids=str)
def test_read_jpeg_equals_pillow_to_the_bit(photo, options):
    content = encoded(photo, "JPEG", quality=90, **options)
    expected = np.asarray(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(read_image(content), expected)  # by OpenCV
    np.testing.assert_array_equal(
        read_image(content + b"\0"), expected
    )  # by Pillow: no end marker at the end


# EXIF 2.32, table 6: where row 0 and column 0 of the stored pixels lie in the upright photo.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_read_turns_exif_orientation_upright(photo, orientation, image_format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = read_image(encoded(photo, image_format))
    content = encoded(photo, image_format, exif=exif)
    expected = UPRIGHT[orientation](plain)
    np.testing.assert_array_equal(read_image(content), expected)
    header = image_header(content)
    assert header.size == expected.shape[:2]
    assert header.stored_size == (24, 40)
    assert header.orientation == orientation


def test_read_ignores_orientation_that_exif_does_not_define(photo):
    exif = Image.Exif()
    exif[0x0112] = 77
    assert image_header(encoded(photo, "PNG", exif=exif)).orientation == 1


def test_read_sixteen_bit_grey_scales_white_to_white():
    levels = np.array([[0, 255, 256, 65535]], dtype=np.uint16)
    pixels = read_image(cv2.imencode(".png", levels)[1].tobytes())
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 255]  # v // 256, not clipped at 255


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_read_sixteen_bit_colour_scales_white_to_white(suffix):
    bgr = np.array([[[65535, 32768, 0]]], dtype=np.uint16)
    assert read_image(cv2.imencode(suffix, bgr)[1].tobytes()).tolist() == [[[0, 128, 255]]]


def test_read_drops_alpha_and_keeps_the_colour_below():
    pixels = read_image(encoded(Image.new("RGBA", (2, 1), (10, 200, 30, 0)), "PNG"))
    assert pixels.tolist() == [[[10, 200, 30]] * 2]
    grey = read_image(encoded(Image.new("LA", (1, 1), (90, 0)), "PNG"))
    assert grey.tolist() == [[[90, 90, 90]]]


def test_read_palette_with_transparent_entries_keeps_their_colour():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    content = encoded(image, "PNG", transparency=b"\x00\x80")
    assert read_image(content).tolist() == [[[10, 20, 30], [40, 50, 60]]]


def test_read_one_bit_becomes_black_and_white():
    assert read_image(encoded(Image.new("1", (1, 1), 1), "PNG")).tolist() == [[[255, 255, 255]]]


def test_read_cmyk_is_not_inverted():
    red = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100)
    np.testing.assert_allclose(read_image(red)[8, 8], [255, 0, 0], atol=3)


@pytest.mark.parametrize("image_format", ["GIF", "TIFF", "WEBP"])
def test_read_takes_the_first_of_several_frames(image_format):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if image_format == "WEBP" else {}
    content = encoded(frames[0], image_format, save_all=True, append_images=frames[1:], **options)
    assert read_image(content)[0, 0].tolist() == [255, 0, 0]


def test_read_goes_by_content_and_any_name(photo, tmp_path):
    path = tmp_path / "照片 é ü 1.jpg"
    path.write_bytes(encoded(photo, "PNG"))
    np.testing.assert_array_equal(read_image(path), np.asarray(photo))
    assert image_header(str(path)).format == "PNG"


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"no picture at all", "not an image"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 60, "the header is damaged or cut short"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 60, "HEIC photo, which is not supported: save it as JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    ],
    ids=["empty", "text", "header_only", "heic", "postscript"],
)
def test_read_what_is_no_photo_tells_file_reason_and_remedy(content, reason, tmp_path):
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    for read in (read_image, image_header, verify_image):
        with pytest.raises(ImageReadError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ") and reason in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF"])
def test_read_truncated_photo_is_refused_though_its_header_is_fine(photo, image_format):
    big = photo.resize((400, 240))
    content = encoded(big, image_format)
    cut = content[: len(content) * 6 // 10]
    with pytest.raises(ImageReadError):
        read_image(cut)
    with pytest.raises(ImageReadError):
        verify_image(cut)


def test_verify_returns_the_header_of_a_good_photo(photo):
    assert verify_image(encoded(photo, "PNG")).size == (24, 40)


def test_read_missing_file_names_it(tmp_path):
    with pytest.raises(ImageReadError, match=r"nowhere\.png: cannot be read \(No such file"):
        read_image(tmp_path / "nowhere.png")


def test_read_decompression_bomb_is_refused_by_its_header():
    """60000 x 60000 pixels would take 10.8 GB; the header alone is enough to know."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    for read in (read_image, image_header):
        with pytest.raises(ImageReadError, match="60000 x 60000 pixels is over the limit of 512 megapixels"):
            read(bomb)


def test_read_float_image_is_refused_because_white_is_unknown():
    with pytest.raises(ImageReadError, match="32 bits per channel"):
        read_image(encoded(Image.new("F", (4, 4), 0.5), "TIFF"))


def test_open_leaves_pillows_own_limit_alone(photo):
    before = Image.MAX_IMAGE_PIXELS
    read_image(encoded(photo, "PNG"))
    with pytest.raises(ImageReadError):
        read_image(b"x")
    assert before == Image.MAX_IMAGE_PIXELS


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".TIFF"])
def test_write_then_read_returns_the_pixels(photo, suffix, tmp_path):
    path = tmp_path / "neu ü" / f"结果{suffix}"
    write_image(path, np.asarray(photo))
    np.testing.assert_array_equal(read_image(path), np.asarray(photo))


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_write_lossy_stays_close(photo, suffix, tmp_path):
    path = tmp_path / f"x{suffix}"
    write_image(path, np.asarray(photo))
    difference = np.abs(read_image(path).astype(int) - np.asarray(photo))
    assert difference.mean() < 3


def test_write_unknown_suffix_lists_the_known_ones_and_writes_nothing(photo, tmp_path):
    with pytest.raises(UsageError, match=r"cannot write \.xyz; use \.jpg"):
        write_image(tmp_path / "x.xyz", np.asarray(photo))
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- real photos

GOOD = {
    "UPPER.JPG": (300, 400),
    "alpha.png": (300, 400),
    "animated.gif": (180, 240),
    "cmyk.jpg": (600, 800),
    "exif_rotated_180.jpg": (600, 800),
    "exif_rotated_6.jpg": (600, 800),
    "exif_transposed_5.jpg": (600, 800),
    "flat.png": (10, 800),
    "gray.jpg": (600, 800),
    "gray16.png": (600, 800),
    "gray_alpha.png": (300, 400),
    "narrow.png": (600, 3),
    "one_pixel.png": (1, 1),
    "palette.png": (300, 400),
    "photo.bmp": (150, 200),
    "photo.tif": (300, 400),
    "photo.webp": (300, 400),
    "png_named.jpg": (300, 400),
    "progressive.jpg": (600, 800),
    "rgb16.png": (300, 400),
    "照片 é ü 1.jpg": (600, 800),
}
# Each shows the scene of nuts_05.jpg.
SAME_SCENE = sorted(GOOD.keys() - {"animated.gif", "flat.png", "narrow.png", "one_pixel.png"})


@pytest.mark.parametrize("name", GOOD)
def test_read_awkward_photo_has_its_upright_size(shared_data, name):
    path = shared_data / "awkward" / "images" / name
    assert read_image(path).shape == (*GOOD[name], 3)
    assert image_header(path).size == GOOD[name]


@pytest.mark.parametrize("name", SAME_SCENE)
def test_read_awkward_photo_shows_the_scene(shared_data, name):
    folder: Path = shared_data / "awkward" / "images"
    grey = name.startswith("gray")
    expected = read_image(folder / "nuts_05.jpg")
    found = read_image(folder / name)
    tiny = [cv2.resize(image, (20, 15), interpolation=cv2.INTER_AREA) for image in (expected, found)]
    if grey:
        tiny[0] = np.repeat(cv2.cvtColor(tiny[0], cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    assert np.abs(tiny[0].astype(int) - tiny[1]).mean() < 4


@pytest.mark.parametrize("name", ["truncated.jpg", "header_only.jpg", "zero.jpg", "text.jpg"])
def test_read_broken_photo_is_refused(shared_data, name):
    with pytest.raises(ImageReadError, match=name):
        read_image(shared_data / "awkward" / "images" / name)
