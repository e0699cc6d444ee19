"""Masks are read as class indices whatever kind of file holds them; anything else is explained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paddlex.data.formats.index_mask import IndexMaskError, read_mask, write_mask
from paddlex.utils.errors import ImageReadError

LABELS = np.array([[0, 1, 2], [3, 255, 0]], np.uint8)


def test_written_masks_are_read_back_and_have_the_published_palette(tmp_path: Path) -> None:
    write_mask(tmp_path / "mask.png", LABELS)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), LABELS)
    with Image.open(tmp_path / "mask.png") as image:
        assert image.mode == "P"
        assert image.convert("RGB").getpixel((0, 0)) == (128, 0, 0)
        assert image.convert("RGB").getpixel((1, 0)) == (0, 128, 0)


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(LABELS),
        Image.fromarray(LABELS.astype(np.uint16)),
        Image.fromarray(LABELS[..., None].repeat(3, axis=2)),
        Image.fromarray(np.dstack([LABELS, np.full_like(LABELS, 9)])),
        Image.fromarray(np.dstack([LABELS] * 3 + [np.full_like(LABELS, 9)])),
    ],
    ids=["grey", "16 bits", "grey as RGB", "grey and alpha", "grey as RGBA"],
)
def test_every_kind_of_grey_is_read(image: Image.Image, tmp_path: Path) -> None:
    image.save(tmp_path / "mask.png")
    read = read_mask(tmp_path / "mask.png")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, LABELS)


def test_one_bit_gives_two_classes(tmp_path: Path) -> None:
    Image.fromarray(LABELS > 1).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png").tolist() == [[0, 0, 1], [1, 1, 0]]


@pytest.mark.parametrize(
    ("image", "name", "kind", "message"),
    [
        (
            Image.fromarray(np.array([[[200, 60, 60], [0, 0, 0], [0, 0, 0]]], np.uint8)),
            "mask.png",
            "mask-colour",
            r"a colour picture of 2 colours: \(0, 0, 0\) 2 pixels, \(200, 60, 60\) 1; .*; give each colour",
        ),
        (Image.fromarray(LABELS), "mask.jpg", "mask-lossy", "saved as JPEG"),
        (
            Image.fromarray(np.array([[1000, 2000]], np.uint16)),
            "mask.png",
            "mask-values",
            "values from 1000 to 2000",
        ),
    ],
    ids=["colours", "jpeg", "large values"],
)
def test_other_images_are_explained(image, name: str, kind: str, message: str, tmp_path: Path) -> None:
    image.save(tmp_path / name)
    with pytest.raises(IndexMaskError, match=message) as error:
        read_mask(tmp_path / name)
    assert error.value.kind == kind


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"], ids=["empty", "text", "cut"])
def test_files_that_are_no_image_are_explained(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(content)
    with pytest.raises(ImageReadError, match=r"mask.png: .*; replace or remove it"):
        read_mask(tmp_path / "mask.png")


def test_a_mask_cut_short_is_explained(tmp_path: Path) -> None:
    write_mask(tmp_path / "mask.png", np.random.default_rng(0).integers(0, 4, (90, 90), dtype=np.uint8))
    content = (tmp_path / "mask.png").read_bytes()
    (tmp_path / "mask.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageReadError, match="damaged or cut short"):
        read_mask(tmp_path / "mask.png")
