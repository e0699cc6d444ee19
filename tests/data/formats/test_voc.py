"""PASCAL VOC files: what is written is read back, and what strangers write is read or refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from paddlex.data.formats.voc import VocFile, VocObject, read_voc, write_voc
from paddlex.utils.errors import FileFormatError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "photo.xml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    triangle = np.array([[1, 2], [30.5, 2], [1, 20.25]])
    objects = (
        VocObject("Ha & <se>", (1, 2, 30.5, 20.25), (triangle, triangle + 5), is_difficult=True),
        VocObject("杯子", (0, 0, 10, 10), is_truncated=True),
        VocObject("only drawn", None, (triangle,)),
    )
    file = VocFile("photo ä.jpg", (48, 64), objects)
    path = tmp_path / "new" / "photo.xml"
    write_voc(path, file)
    read = read_voc(path)
    assert (read.file_name, read.size) == (file.file_name, file.size)
    for one, other in zip(read.objects, objects, strict=True):
        assert (one.name, one.corners) == (other.name, other.corners)
        assert (one.is_difficult, one.is_truncated) == (other.is_difficult, other.is_truncated)
        for part, drawn in zip(one.polygons, other.polygons, strict=True):
            np.testing.assert_array_equal(part, drawn)
    assert sorted(found.name for found in path.parent.iterdir()) == ["photo.xml"]


def test_tags_count_in_any_case_and_corners_in_any_order(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '<?xml version="1.0" encoding="gbk"?><Annotation><Size><WIDTH>64.0</WIDTH><height>48</height></Size>'
        "<!-- drawn --><Object><Name> cup </Name><Difficult>1</Difficult>"
        "<BndBox><xmax>4</xmax><XMIN>9.5</XMIN><ymin>3</ymin><ymax>20</ymax></BndBox></Object></Annotation>",
    )
    file = read_voc(path)
    assert (file.file_name, file.size) == ("", (48, 64))
    (one,) = file.objects
    assert (one.name, one.corners, one.is_difficult, one.polygons) == ("cup", (4, 3, 9.5, 20), True, ())


@pytest.mark.parametrize(
    "points",
    [
        "<x1>1</x1><y1>2</y1><x2>9</x2><y2>2</y2><x10>9</x10><y10>8</y10>",
        "<point><x>1</x><y>2</y></point><point><x>9</x><y>2</y></point><point><x>9</x><y>8</y></point>",
        "<username>me</username><pt><x>1</x><y>2</y></pt><pt><x>9</x><y>2</y></pt><pt><x>9</x><y>8</y></pt>",
    ],
    ids=["numbered", "point", "pt"],
)
def test_polygons_of_other_programs_are_read(tmp_path: Path, points: str) -> None:
    text = f"<annotation><object><name>a</name><polygon>{points}</polygon></object></annotation>"
    (one,) = read_voc(written(tmp_path, text)).objects
    assert one.polygons[0].tolist() == [[1, 2], [9, 2], [9, 8]]


def test_a_polygon_of_two_points_is_none(tmp_path: Path) -> None:
    polygon = "<polygon><x1>1</x1><y1>2</y1><x2>9</x2><y2>2</y2><x3>9</x3></polygon>"
    text = f"<annotation><object><name>a</name>{polygon}</object></annotation>"
    assert read_voc(written(tmp_path, text)).objects[0].polygons == ()


_BOMB = (
    '<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<annotation><filename>&b;</filename></annotation>"
)
_FILE = (
    '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><filename>&x;</filename></annotation>'
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_BOMB, "photo.xml: declares a document type, which annotations do not need; remove it"),
        (_FILE, "photo.xml: declares a document type"),
        ("<annotation><object>", "photo.xml: not valid XML"),
        ("", "photo.xml: not valid XML"),
        ("<annotation>&undefined;</annotation>", "photo.xml: not valid XML"),
        ("<html/>", "photo.xml: the root is 'html'; expected annotation"),
        ("<annotation><object/></annotation>", "photo.xml, object 1: no name; write the class"),
        (
            "<annotation><object><name>a</name><bndbox><xmin>1</xmin></bndbox></object></annotation>",
            "photo.xml, object 1: bndbox without ymin",
        ),
        (
            "<annotation><object><name>a</name><bndbox><xmin>nan</xmin><ymin>1</ymin><xmax>2</xmax>"
            "<ymax>2</ymax></bndbox></object></annotation>",
            "photo.xml, object 1: found 'nan', expected a number of pixels",
        ),
        ("<annotation><size><width>1e99</width></size></annotation>", "photo.xml: size: found '1e99'"),
    ],
    ids=range(10),
)
def test_faulty_and_hostile_files_give_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message) as caught:
        read_voc(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_bomb_in_another_encoding_does_not_get_through(tmp_path: Path) -> None:
    path = tmp_path / "photo.xml"
    path.write_bytes('<?xml version="1.0" encoding="utf-16"?>'.encode("utf-16") + _BOMB.encode("utf-16-le"))
    with pytest.raises(FileFormatError, match=r"photo\.xml: "):
        read_voc(path)
