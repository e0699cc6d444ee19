"""Lists of photos and masks are understood however they were written; other lines are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddlex.data.formats.names import path_tails
from paddlex.data.formats.pair_list import format_pairs, read_class_names, read_pair_list
from paddlex.utils.errors import FileFormatError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("images/a.jpg", "images/b c.jpg", "annotations/a.png", "annotations/b c.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def pairs_of(root: Path, content: str | bytes) -> list[tuple[str, str]]:
    (root / "train.txt").write_bytes(content.encode() if isinstance(content, str) else content)
    listed = read_pair_list(root, "train.txt")
    assert listed.faults == ()
    return [(pair.image, pair.mask) for pair in listed.pairs]


@pytest.mark.parametrize(
    "line",
    [
        "images/a.jpg annotations/a.png\n",
        "images/a.jpg annotations/a.png",
        "\ufeffimages/a.jpg annotations/a.png\r\n\r\n",
        "images\\a.jpg\tannotations\\a.png\n",
        "  images/a.jpg   annotations/a.png  \n",
        "./images//a.jpg ./annotations/a.png\n",
        "/data/set/images/a.jpg /data/set/annotations/a.png\n",
        "D:\\set\\images\\a.jpg D:\\set\\annotations\\a.png\n",
        "../set/images/a.jpg ../set/annotations/a.png\n",
        '"images/a.jpg" "annotations/a.png"\n',
    ],
    ids=["plain", "no end", "windows text", "tab", "blanks", "dots", "absolute", "drive", "above", "quotes"],
)
def test_a_pair_is_understood(root: Path, line: str) -> None:
    assert pairs_of(root, line) == [("images/a.jpg", "annotations/a.png")]


@pytest.mark.parametrize("gap", [" ", "\t"])
def test_names_with_blanks_are_found_on_disk(root: Path, gap: str) -> None:
    assert pairs_of(root, f"images/b c.jpg{gap}annotations/b c.png\n") == [
        ("images/b c.jpg", "annotations/b c.png")
    ]


def test_missing_files_keep_their_names_and_lines(root: Path) -> None:
    (root / "val.txt").write_text("\nimages/gone.jpg annotations/gone.png\n")
    (pair,) = read_pair_list(root, "val.txt").pairs
    assert (pair.line, pair.image, pair.mask) == (2, "images/gone.jpg", "annotations/gone.png")


def test_other_lines_are_named_with_their_number(root: Path) -> None:
    (root / "val.txt").write_text("images/a.jpg annotations/a.png\nimages/a.jpg\na b c d\n")
    listed = read_pair_list(root, "val.txt")
    assert len(listed.pairs) == 1
    assert [(fault.place, fault.found) for fault in listed.faults] == [
        ("line 2", "'images/a.jpg'"),
        ("line 3", "'a b c d'"),
    ]


def test_written_lists_are_read_back(root: Path) -> None:
    pairs = [("images/a.jpg", "annotations/a.png"), ("images/b c.jpg", "annotations/b c.png")]
    assert pairs_of(root, format_pairs(pairs)) == pairs


def test_a_list_that_is_missing_is_an_error(root: Path) -> None:
    with pytest.raises(FileFormatError, match=r"nowhere.txt: cannot be read"):
        read_pair_list(root, "nowhere.txt")


def test_longest_tail_comes_first() -> None:
    assert path_tails("D:\\set\\a.jpg") == ["D:/set/a.jpg", "set/a.jpg", "a.jpg"]


@pytest.mark.parametrize("file", ["class_name.txt", "labels.txt"])
def test_class_names_stand_in_order_of_their_index(tmp_path: Path, file: str) -> None:
    assert read_class_names(tmp_path) is None
    (tmp_path / file).write_text("background\nWalnuss ü \n\n", encoding="utf-8")
    assert read_class_names(tmp_path) == (("background", "Walnuss ü"), file)


def test_a_gap_among_class_names_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("background\n\ndate\n")
    with pytest.raises(FileFormatError, match="line 2: empty; expected the name of a class"):
        read_class_names(tmp_path)
