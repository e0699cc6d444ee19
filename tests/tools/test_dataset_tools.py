"""Converting and splitting data sets with the folders and file names of PaddleX 2."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

import paddlex
from paddlex.data.formats.segmentation import segmentation_mask
from paddlex.data.formats.voc_records import read_voc_records
from paddlex.tools import convert_dataset, split_dataset
from paddlex.utils.errors import (
    ConvertFailedError,
    DatasetFileNotFoundError,
    SplitFailedError,
    UsageError,
)

SQUARE = [[10, 8], [29, 8], [29, 27], [10, 27]]


def _photo(path: Path, *, mask: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((48, 64, 3), np.uint8) if mask is None else mask).save(path)


def _annotate(path: Path, *labels: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shapes = [{"label": label, "points": SQUARE, "shape_type": "polygon"} for label in labels]
    path.write_text(json.dumps({"imagePath": f"{path.stem}.png", "shapes": shapes}), encoding="utf-8")


def _png(mask: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(bool)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _listing(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def labelme(tmp_path: Path) -> Path:
    """Two annotated photos, one of them in a folder below, and one without annotations."""
    for name in ("a", "deep/螺母 b", "c"):
        _photo(tmp_path / "in" / "pics" / f"{name}.png")
    _annotate(tmp_path / "in" / "json" / "a.json", "nut", "__ignore__")
    _annotate(tmp_path / "in" / "json" / "螺母 b.json", "bolt")
    return tmp_path / "in"


def _convert(labelme: Path, to: str, **changes: object) -> Path:
    arguments = {"pics": labelme / "pics", "annotations": labelme / "json", **changes}
    out = labelme.parent / "out"
    convert_dataset(source="labelme", to=to, save_dir=out, **arguments)
    return out


# ---------------------------------------------------------------- conversion


def test_labelme_becomes_coco_in_a_folder_of_its_own(labelme) -> None:
    before = _listing(labelme)
    out = _convert(labelme, "MSCOCO")
    assert sorted(_listing(out)) == ["JPEGImages/a.png", "JPEGImages/deep/螺母 b.png", "annotations.json"]
    content = json.loads((out / "annotations.json").read_text(encoding="utf-8"))
    assert [image["file_name"] for image in content["images"]] == ["a.png", "deep/螺母 b.png"]
    assert [category["name"] for category in content["categories"]] == ["nut", "bolt"]
    assert len(content["annotations"]) == 2
    assert _listing(labelme) == before
    assert {path.name for path in labelme.parent.iterdir()} == {"in", "out"}


def test_labelme_becomes_masks_in_a_folder_of_its_own(labelme) -> None:
    before = _listing(labelme)
    out = _convert(labelme, "SEG")
    assert sorted(_listing(out)) == [
        "Annotations/a.png",
        "Annotations/deep/螺母 b.png",
        "JPEGImages/a.png",
        "JPEGImages/deep/螺母 b.png",
        "labels.txt",
    ]
    assert (out / "labels.txt").read_text(encoding="utf-8").split() == ["_background_", "nut", "bolt"]
    with Image.open(out / "Annotations" / "deep" / "螺母 b.png") as mask:
        assert np.asarray(mask)[15, 15] == 2 and np.asarray(mask)[40, 40] == 0
    with Image.open(out / "Annotations" / "a.png") as mask:
        assert np.asarray(mask)[15, 15] == 255  # ignored, drawn over the nut
    assert _listing(labelme) == before


def test_labelme_becomes_pascal_voc_with_every_mask(labelme) -> None:
    ring = [[10, 30], [30, 30], [30, 46], [10, 46]]
    hole = np.zeros((17, 21), np.uint8)
    hole[2:-2, 2:-2] = 1
    mask = {"label": "ring", "shape_type": "mask", "points": [ring[0], ring[2]], "mask": _png(1 - hole)}
    square = {"label": "nut", "points": SQUARE, "shape_type": "polygon"}
    (labelme / "json" / "a.json").write_text(json.dumps({"imagePath": "a.png", "shapes": [square, mask]}))
    out = _convert(labelme, "PascalVOC")
    assert sorted(_listing(out)) == [
        "Annotations/a.xml",
        "Annotations/deep/螺母 b.xml",
        "JPEGImages/a.png",
        "JPEGImages/deep/螺母 b.png",
        "SegmentationObject/a.png",
        "labels.txt",
    ]
    assert (out / "labels.txt").read_text(encoding="utf-8").split() == ["nut", "ring", "bolt"]
    faults: list = []
    (record,) = read_voc_records(out, [("JPEGImages/a.png", "Annotations/a.xml")], faults=faults)
    nut, ringed = record.objects
    assert not faults and (nut.label, ringed.label) == ("nut", "ring")
    assert nut.segmentation.to_json() == [[10, 8, 29, 8, 29, 27, 10, 27]]
    pixels = segmentation_mask(ringed.segmentation, size=(48, 64)).dense(0)
    assert pixels.sum() == 17 * 21 - 13 * 17 and not pixels[38, 20] and pixels[31, 11]


@pytest.fixture
def easydata(tmp_path: Path) -> Path:
    """Two photos: one with masks that overlap, one with a box."""
    left = np.zeros((48, 64), np.uint8, order="F")
    left[:, :20] = 1
    middle = np.roll(left, 10, axis=1)
    for name, objects in (
        ("a", [("sky", left), ("road", middle)]),
        ("b", [("road", middle)]),
    ):
        _photo(tmp_path / "in" / "pics" / f"{name}.JPG".lower())
        masks = [
            {"name": label, "mask": coco_mask.encode(np.asfortranarray(mask))["counts"].decode()}
            for label, mask in objects
        ]
        (tmp_path / "in" / "json").mkdir(exist_ok=True)
        (tmp_path / "in" / "json" / f"{name}.json").write_text(json.dumps({"labels": masks}))
    return tmp_path / "in"


def _from_easydata(easydata: Path, to: str) -> Path:
    out = easydata.parent / "out"
    convert_dataset(
        source="EasyData", to=to, pics=easydata / "pics", annotations=easydata / "json", save_dir=out
    )
    return out


def test_easydata_becomes_coco(easydata) -> None:
    out = _from_easydata(easydata, "MSCOCO")
    content = json.loads((out / "annotations.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["a.jpg", "b.jpg"]
    assert [category["name"] for category in content["categories"]] == ["sky", "road"]
    assert [(one["area"], one["bbox"]) for one in content["annotations"]] == [
        (48 * 20, [0, 0, 20, 48]),
        (48 * 20, [10, 0, 20, 48]),
        (48 * 20, [10, 0, 20, 48]),
    ]


def test_easydata_becomes_masks_where_later_objects_win(easydata) -> None:
    out = _from_easydata(easydata, "SEG")
    assert (out / "labels.txt").read_text().split() == ["_background_", "sky", "road"]
    with Image.open(out / "Annotations" / "a.png") as mask:
        assert np.asarray(mask)[5, [5, 15, 25, 35]].tolist() == [1, 2, 2, 0]


def test_easydata_becomes_pascal_voc(easydata) -> None:
    out = _from_easydata(easydata, "PascalVOC")
    faults: list = []
    (record,) = read_voc_records(out, [("JPEGImages/b.jpg", "Annotations/b.xml")], faults=faults)
    assert not faults and record.objects[0].box == (10, 0, 20, 48)
    assert segmentation_mask(record.objects[0].segmentation, size=(48, 64)).area().tolist() == [48 * 20]


@pytest.mark.parametrize("to", ["MSCOCO", "SEG", "PascalVOC"])
def test_faults_of_easydata_are_listed(easydata, to) -> None:
    (easydata / "json" / "c.json").write_text(json.dumps({"labels": []}))
    with pytest.raises(ConvertFailedError, match=r"c\.json: no photo of that name"):
        _from_easydata(easydata, to)
    (easydata / "json" / "c.json").unlink()
    (easydata / "json" / "a.json").write_text(json.dumps({"labels": [{"name": "x", "mask": "00"}]}))
    with pytest.raises(ConvertFailedError, match="json: not converted") as caught:
        _from_easydata(easydata, to)
    assert caught.value.problems and all("a.json" in line for line in caught.value.problems)
    assert {path.name for path in easydata.parent.iterdir()} == {"in"}


def test_one_photo_and_one_folder_for_all_are_enough(tmp_path) -> None:
    _photo(tmp_path / "in" / "a.png")
    _annotate(tmp_path / "in" / "a.json", "nut")
    (tmp_path / "out").mkdir()
    _convert(tmp_path / "in", "mscoco", pics=tmp_path / "in", annotations=tmp_path / "in")
    assert sorted(_listing(tmp_path / "out")) == ["JPEGImages/a.png", "annotations.json"]


def test_faults_are_listed_and_nothing_is_written(labelme) -> None:
    (labelme / "json" / "broken.json").write_text("{")
    _annotate(labelme / "json" / "lost.json", "nut")
    with pytest.raises(ConvertFailedError, match=r"json: not converted, nothing was written") as caught:
        _convert(labelme, "SEG")
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "annotations/broken.json",
        "annotations/lost.json",
    ]
    assert {path.name for path in labelme.parent.iterdir()} == {"in"}


def test_conversions_that_cannot_be_are_refused(labelme) -> None:
    with pytest.raises(UsageError, match="source 'jingling'; expected labelme or easydata"):
        convert_dataset(source="jingling", to="SEG", pics=labelme, annotations=labelme, save_dir="x")
    with pytest.raises(UsageError, match="to 'ImageNet'; expected PascalVOC, MSCOCO or SEG"):
        _convert(labelme, "ImageNet")
    with pytest.raises(DatasetFileNotFoundError, match="none: no such folder; pics must name one"):
        _convert(labelme, "SEG", pics=labelme / "none")
    _convert(labelme, "SEG")
    with pytest.raises(UsageError, match="out: holds something already; name a new folder"):
        _convert(labelme, "SEG")


# ---------------------------------------------------------------- splitting


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Ten photos, photo i with i objects."""
    content = {
        "info": {"year": 2021},
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": 4, "width": 4} for i in range(10)],
        "categories": [{"id": 1, "name": "nut"}],
        "annotations": [
            {"id": 10 * i + k, "image_id": i, "category_id": 1, "bbox": [0, 0, 2, 2]}
            for i in range(10)
            for k in range(i)
        ],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    return tmp_path


def _sides(folder: Path) -> dict[str, dict]:
    files = {side: folder / f"{side}.json" for side in ("train", "val", "test")}
    return {side: json.loads(file.read_text()) for side, file in files.items() if file.exists()}


def test_coco_is_split_into_three_files(coco) -> None:
    split_dataset(coco, format="COCO", val_value=0.25, test_value=0.19)
    sides = _sides(coco)
    # int(10 * 0.25) and int(10 * 0.19); the rest trains.
    assert {side: len(part["images"]) for side, part in sides.items()} == {"train": 7, "val": 2, "test": 1}
    assert sorted(image["id"] for part in sides.values() for image in part["images"]) == list(range(10))
    for part in sides.values():
        assert len(part["annotations"]) == sum(image["id"] for image in part["images"])
        assert part["info"] == {"year": 2021} and part["categories"] == [{"id": 1, "name": "nut"}]


def test_a_split_is_drawn_by_its_seed_and_keeps_what_it_replaces(coco) -> None:
    split_dataset(coco, format="coco", val_value=0.5, seed=1)
    first = _sides(coco)
    assert set(first) == {"train", "val"}
    split_dataset(coco, format="coco", val_value=0.5, seed=1)
    assert _sides(coco) == first
    split_dataset(coco, format="coco", val_value=0.5, seed=2)
    assert _sides(coco) != first
    assert json.loads((coco / "train.json.bak").read_text()) == first["train"]


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Five photos with masks of classes 0 to 4, and one photo without."""
    for i in range(5):
        _photo(tmp_path / "JPEGImages" / f"p {i}.jpg")
        mask = np.full((48, 64), 255, np.uint8)
        mask[:20] = i
        _photo(tmp_path / "Annotations" / f"p {i}.png", mask=mask)
    _photo(tmp_path / "JPEGImages" / "without.jpg")
    return tmp_path


def test_masks_are_split_into_lists_with_numbered_classes(masks) -> None:
    split_dataset(masks, format="Seg", val_value=0.2, test_value=0.2)
    lines = [(masks / f"{side}_list.txt").read_text().splitlines() for side in ("train", "val", "test")]
    assert [len(side) for side in lines] == [3, 1, 1]
    # Names hold blanks, so a tab is between them.
    assert sorted(line for side in lines for line in side) == [
        f"JPEGImages/p {i}.jpg\tAnnotations/p {i}.png" for i in range(5)
    ]
    assert (masks / "labels.txt").read_text().split() == list("01234")


def test_pascal_voc_is_split_into_lists_with_named_classes(labelme) -> None:
    out = _convert(labelme, "PascalVOC")
    (out / "labels.txt").unlink()
    split_dataset(out, format="VOC", val_value=0.5)
    lines = [
        (out / f"{side}_list.txt").read_text(encoding="utf-8").split("\n")[0] for side in ("train", "val")
    ]
    assert set(lines) == {
        "JPEGImages/a.png Annotations/a.xml",
        "JPEGImages/deep/螺母 b.png\tAnnotations/deep/螺母 b.xml",
    }
    assert (out / "labels.txt").read_text().split() == ["nut", "bolt"]


def test_class_names_that_are_there_are_kept(masks) -> None:
    (masks / "labels.txt").write_text("sky\nroad\n")
    split_dataset(masks, format="SEG", val_value=0.2)
    assert (masks / "labels.txt").read_text() == "sky\nroad\n"
    assert not (masks / "test_list.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"val_value": 1}, "val_value 1; expected a share from 0 to below 1"),
        ({"val_value": "0.2"}, "val_value '0.2'; expected a share"),
        ({"val_value": 0.5, "test_value": 0.5}, "leave nothing to train on"),
        ({"val_value": 0.2, "format": "COCO"}, r"cannot split: .*annotations\.json: cannot be read"),
    ],
)
def test_splits_that_cannot_be_leave_the_folder_as_it_was(masks, arguments, message) -> None:
    before = _listing(masks)
    with pytest.raises(SplitFailedError, match=message):
        split_dataset(masks, **{"format": "SEG", **arguments})
    assert _listing(masks) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": []}, "lists no images"),
        ({"images": None}, "no list 'images' of objects"),
        ({"annotations": [1]}, "no list 'annotations' of objects"),
        ({"annotations": [{"image_id": 77}]}, "annotations of none"),
        ({"images": [{"id": 1}, {"id": 1}]}, "ids of images that occur twice"),
    ],
)
def test_a_file_that_is_no_coco_is_not_split(coco, change, message) -> None:
    content = json.loads((coco / "annotations.json").read_text())
    (coco / "annotations.json").write_text(json.dumps({**content, **change}))
    with pytest.raises(SplitFailedError, match=message):
        split_dataset(coco, format="COCO", val_value=0.2)
    assert not (coco / "train.json").exists()


def test_unknown_formats_and_folders_are_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match="format 'ImageNet'; expected COCO, SEG or VOC"):
        split_dataset(tmp_path, format="ImageNet", val_value=0.2)
    with pytest.raises(DatasetFileNotFoundError, match="none: no such folder"):
        split_dataset(tmp_path / "none", format="SEG", val_value=0.2)
    with pytest.raises(SplitFailedError, match=r"no photo in JPEGImages/ has its <name>\.png"):
        split_dataset(tmp_path, format="SEG", val_value=0.2)


def test_the_package_has_the_tools() -> None:
    assert paddlex.tools.split_dataset is split_dataset
    assert paddlex.tools.convert_dataset is convert_dataset
