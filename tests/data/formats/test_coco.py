"""The COCO reader: typed entries, faults by entry, one line for each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paddlex.data.formats.coco import read_coco, resolve_photo, write_coco
from paddlex.data.formats.faults import Fault, summarise_faults
from paddlex.utils.errors import FileFormatError

SQUARE = [[10, 5, 30, 5, 30, 25, 10, 25]]


@pytest.fixture
def content() -> dict:
    return {
        "info": {"year": 2024},
        "images": [
            {"id": 7, "file_name": "b.png", "height": 40, "width": 60},
            {"id": 3, "file_name": "a.png"},
        ],
        "categories": [{"id": 90, "name": "nut"}, {"id": 2, "name": "fig", "supercategory": "fruit"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 2, "segmentation": SQUARE, "bbox": [10, 5, 20, 20]},
            {"id": 2, "image_id": 3, "category_id": 90, "segmentation": SQUARE, "iscrowd": 1, "area": 400},
        ],
    }


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "train.json"


def saved(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_read_keeps_file_order_and_optional_fields(path, content):
    coco = read_coco(saved(path, content))
    assert [image.id for image in coco.images] == [7, 3]
    assert [image.size for image in coco.images] == [(40, 60), None]
    assert [category.name for category in coco.categories] == ["nut", "fig"]
    first, second = coco.annotations
    assert (first.bbox, first.area, first.is_crowd) == ((10, 5, 20, 20), None, False)
    assert (second.bbox, second.area, second.is_crowd) == (None, 400, True)
    assert coco.extra == {"info": {"year": 2024}}


def test_read_ids_as_text_become_numbers(path, content):
    content["images"][0]["id"] = "7"
    content["annotations"][0].update(id="1", image_id=" 7", category_id=2.0)
    coco = read_coco(saved(path, content))
    assert coco.images[0].id == 7
    assert (coco.annotations[0].id, coco.annotations[0].image_id, coco.annotations[0].category_id) == (
        1,
        7,
        2,
    )


def test_read_annotation_without_id_gets_its_position(path, content):
    del content["annotations"][1]["id"]
    assert read_coco(saved(path, content)).annotations[1].id == 2


@pytest.mark.parametrize("bbox", [None, [1, 2, 3], [1, 2, float("nan"), 4], "1 2 3 4"], ids=str)
def test_read_unusable_bbox_counts_as_missing(path, content, bbox):
    content["annotations"][0]["bbox"] = bbox
    assert read_coco(saved(path, content)).annotations[0].bbox is None


@pytest.mark.parametrize("area", [0, -4, 10**400, float("inf"), "big", True], ids=str)
def test_read_unusable_area_counts_as_missing(path, content, area):
    content["annotations"][0]["area"] = area
    assert read_coco(saved(path, content)).annotations[0].area is None


FAULTS = {
    "image_id_twice": (("images", 1, "id", 7), "image 7", "id is used twice"),
    "category_id_twice": (("categories", 1, "id", 90), "category 90", "id is used twice"),
    "image_id_text": (("images", 0, "id", "x1"), "image x1", "id is no whole number"),
    "image_id_beyond_64_bits": (("images", 0, "id", 10**30), f"image {10**30}", "id is no whole number"),
    "image_name_missing": (("images", 0, "file_name", None), "image 7", "file_name is no text"),
    "category_nameless": (("categories", 1, "name", " "), "category 2", "category without a name"),
    "unknown_image": (("annotations", 0, "image_id", 55), "annotation 1", "photo is not listed under images"),
    "unknown_category": (
        ("annotations", 0, "category_id", 55),
        "annotation 1",
        "class is not listed under categories",
    ),
    "odd_polygon": (
        ("annotations", 0, "segmentation", [[1, 2, 3, 4, 5, 6, 7]]),
        "annotation 1",
        "polygon with an odd count of numbers",
    ),
}


@pytest.mark.parametrize(("change", "place", "kind"), FAULTS.values(), ids=FAULTS)
def test_read_faulty_entry_is_reported_and_left_out(path, content, change, place, kind):
    key, position, field, value = change
    content[key][position][field] = value
    saved(path, content)
    faults: list[Fault] = []
    coco = read_coco(path, faults=faults)
    assert (faults[0].place, faults[0].kind) == (place, kind)
    assert len(getattr(coco, key)) == 1
    with pytest.raises(FileFormatError) as caught:
        read_coco(path)
    assert str(caught.value).startswith(f"{path}: {place}: {kind} (")
    assert "\n" not in str(caught.value)


def test_read_entry_that_is_no_object_is_named_by_its_number(path, content):
    content["annotations"].insert(0, [1, 2])
    faults: list[Fault] = []
    read_coco(saved(path, content), faults=faults)
    assert str(faults[0]) == "annotation number 1: entry is no JSON object (list)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: [content], "a list; expected a COCO object"),
        (
            lambda content: {k: v for k, v in content.items() if k != "annotations"},
            "'annotations' is missing",
        ),
        (lambda content: {**content, "images": {}}, "'images' is a dict; expected a list"),
    ],
    ids=["list", "key_missing", "wrong_type"],
)
def test_read_what_is_no_coco_file_says_what_is_wrong(path, content, change, message):
    with pytest.raises(FileFormatError, match=message):
        read_coco(saved(path, change(content)), faults=[])


def test_write_then_read_returns_the_same(path, content, tmp_path):
    coco = read_coco(saved(path, content))
    write_coco(tmp_path / "again.json", coco)
    again = read_coco(tmp_path / "again.json")
    assert (again.images, again.categories, again.extra) == (coco.images, coco.categories, coco.extra)
    for one, two in zip(again.annotations, coco.annotations, strict=True):
        assert one.segmentation.to_json() == two.segmentation.to_json()
        assert (one.id, one.image_id, one.category_id, one.bbox, one.area, one.is_crowd) == (
            two.id,
            two.image_id,
            two.category_id,
            two.bbox,
            two.area,
            two.is_crowd,
        )


def test_summary_counts_by_kind_and_points_to_the_first():
    faults = [
        Fault("annotation 4", "odd", "7"),
        Fault("annotation 9", "odd", "5"),
        Fault("image 1", "gone", ""),
    ]
    assert summarise_faults(faults) == "2 x odd (first: annotation 4); 1 x gone (first: image 1)"


# ---------------------------------------------------------------- names of photos


@pytest.mark.parametrize(
    "name",
    [
        "sub/a.png",
        "sub\\a.png",
        "./sub/a.png",
        "images/sub/a.png",
        "images\\sub\\a.png",
        "data/images/sub/a.png",
    ],
)
def test_resolve_finds_the_photo_however_it_is_written(tmp_path, name):
    photo = tmp_path / "images" / "sub" / "a.png"
    photo.parent.mkdir(parents=True)
    photo.touch()
    assert resolve_photo(tmp_path / "images", name) == photo


@pytest.mark.parametrize("name", ["/elsewhere/a.png", "..\\a.png", "C:\\photos\\a.png", "../images/../a.png"])
def test_resolve_never_leaves_the_folder(tmp_path, name):
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.png").touch()
    (tmp_path / "a.png").touch()
    assert resolve_photo(images, name) == images / "a.png"


def test_resolve_missing_photo_is_the_plain_place(tmp_path):
    assert resolve_photo(tmp_path / "images", "x/b.png") == tmp_path / "images" / "x" / "b.png"
