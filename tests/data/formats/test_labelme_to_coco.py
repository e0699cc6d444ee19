"""A LabelMe folder becomes a COCO folder, or stays exactly as it was."""

from __future__ import annotations

import base64
import json
import logging
import os
import random
import shutil
import sys

import numpy as np
import pytest
from labelme_samples import TRIANGLE, listing, make_dataset, read_coco, shape, write_labelme_json, write_photo
from PIL import Image
from pycocotools.coco import COCO

from paddlex.data.formats.labelme_shapes import encode_mask
from paddlex.data.formats.labelme_to_coco import convert_labelme_to_coco
from paddlex.structures.masks import MaskCrops
from paddlex.utils.errors import ConvertFailedError, DatasetFileNotFoundError


@pytest.fixture
def two_photos(tmp_path):
    photos = {"a": [shape("cat"), shape("dog", TRIANGLE)], "b": [shape("bird", group_id=1)]}
    return make_dataset(tmp_path / "data", photos, train=["a"], val=["b"])


def problems_of(root, **options):
    """Problems of a conversion that must fail and leave the folder as it was."""
    before = listing(root)
    with pytest.raises(ConvertFailedError) as error:
        convert_labelme_to_coco(root, **options)
    assert listing(root) == before
    return error.value.problems


# ---------------------------------------------------------------- the JSON files


def test_both_files_in_full(two_photos):
    summary = convert_labelme_to_coco(two_photos)
    categories = [{"name": "cat", "id": 1}, {"name": "dog", "id": 2}, {"name": "bird", "id": 3}]
    assert read_coco(two_photos, "train") == {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}],
        "categories": categories,
        "annotations": [
            {
                "image_id": 1,
                "bbox": [10.0, 8.0, 21.0, 21.0],
                "segmentation": [[10.0, 8.0, 30.0, 8.0, 30.0, 28.0, 10.0, 28.0]],
                "category_id": 1,
                "id": 1,
                "iscrowd": 0,
                "area": 441.0,
                "ignore": 0,
            },
            {
                "image_id": 1,
                "bbox": [40.0, 10.0, 21.0, 31.0],
                "segmentation": [[40.0, 10.0, 60.0, 10.0, 60.0, 40.0]],
                "category_id": 2,
                "id": 2,
                "iscrowd": 0,
                "area": pytest.approx(20 * 30 / 2, rel=0.15),  # the outline counts
                "ignore": 0,
            },
        ],
    }
    val = read_coco(two_photos, "val")
    assert val["images"] == [{"id": 2, "file_name": "b.jpg", "width": 64, "height": 48}]
    assert val["categories"] == categories
    assert [(a["image_id"], a["category_id"], a["id"]) for a in val["annotations"]] == [(2, 3, 1)]
    assert summary.class_names == ("cat", "dog", "bird")
    assert (summary.train_images, summary.val_images) == (1, 1)
    assert (summary.train_instances, summary.val_instances) == (2, 1)
    assert (summary.is_split, summary.added_photos, summary.warnings) == (False, (), ())


def test_keys_stand_in_the_order_of_the_reference(two_photos):
    convert_labelme_to_coco(two_photos)
    train = read_coco(two_photos, "train")
    assert list(train) == ["images", "categories", "annotations"]
    assert list(train["annotations"][0]) == [
        "image_id", "bbox", "segmentation", "category_id", "id", "iscrowd", "area", "ignore",
    ]  # fmt: skip


def test_only_the_two_files_are_added(two_photos):
    before = listing(two_photos)
    convert_labelme_to_coco(two_photos)
    after = listing(two_photos)
    assert {path: after[path] for path in before} == before
    assert set(after) - set(before) == {
        "annotations/instance_train.json",
        "annotations/instance_val.json",
    }


def test_photos_without_objects_stay_in(tmp_path):
    root = make_dataset(tmp_path, {"a": [shape()], "b": []}, train=["a", "b"], val=["b"])
    summary = convert_labelme_to_coco(root)
    assert [image["file_name"] for image in read_coco(root, "train")["images"]] == ["a.jpg", "b.jpg"]
    assert (summary.train_images, summary.train_instances, summary.val_instances) == (2, 1, 0)


def test_special_and_skipped_shapes_are_counted(tmp_path):
    line = shape(points=[[1, 1], [5, 5]], shape_type="line")
    root = make_dataset(tmp_path, {"a": [shape(), shape("__ignore__"), line]}, train=["a"], val=[])
    summary = convert_labelme_to_coco(root)
    assert (summary.train_instances, summary.special_shapes, summary.skipped_shapes) == (1, 1, 1)
    assert summary.class_names == ("cat",)
    assert any(line.startswith("annotations/a.json, shape 3: a line") for line in summary.warnings)


def test_a_mask_with_a_hole_is_rle_that_pycocotools_reads(tmp_path):
    ring = np.ones((12, 12), dtype=bool)
    ring[3:9, 3:9] = False
    painted = shape(points=[[4, 4], [15, 15]], shape_type="mask", mask=encode_mask(ring))
    root = make_dataset(tmp_path, {"a": [painted]}, train=["a"], val=[])
    summary = convert_labelme_to_coco(root)
    coco = COCO(str(root / "annotations" / "instance_train.json"))
    assert coco.annToMask(coco.anns[1]).sum() == ring.sum()
    assert any("stored as RLE" in line for line in summary.warnings)


# ---------------------------------------------------------------- lists


@pytest.mark.parametrize(
    "text",
    [
        "annotations/a.json\r\nannotations/b c.json\r\n\r\n",
        "\n\n  annotations/a.json  \n\tannotations/b c.json",
        "annotations\\a.json\nannotations\\b c.json\n",
        "\"annotations/a.json\"\n'annotations/b c.json'\n",
        "./annotations/a.json\nannotations//b c.json\n",
        "\ufeffannotations/a.json\nannotations/b c.json\n",
        "C:\\data\\annotations\\a.json\nD:/set/annotations/b c.json\n",
        "images/a.jpg annotations/a.json\nannotations/b c.json",
    ],
    ids=[
        "crlf",
        "blanks and tabs",
        "backslashes",
        "quotes",
        "dots",
        "bom",
        "windows absolute",
        "two columns",
    ],
)
def test_list_lines_are_understood(tmp_path, text):
    root = make_dataset(tmp_path, {"a": [shape()], "b c": [shape()]}, val=[])
    (root / "train_anno_list.txt").write_bytes(text.encode("utf-8"))
    convert_labelme_to_coco(root)
    assert [image["file_name"] for image in read_coco(root, "train")["images"]] == ["a.jpg", "b c.jpg"]


def test_a_file_listed_twice_counts_once(tmp_path):
    root = make_dataset(tmp_path, {"a": [shape()]}, train=["a", "a"], val=[])
    summary = convert_labelme_to_coco(root)
    assert summary.train_instances == 1
    assert any("line 2" in line and "counted once" in line for line in summary.warnings)


def test_without_val_list_the_train_list_is_split_as_the_reference_splits(tmp_path):
    names = [f"p{index}" for index in range(10)]
    root = make_dataset(tmp_path, {name: [shape()] for name in names}, train=names)
    original = (root / "train_anno_list.txt").read_text()
    summary = convert_labelme_to_coco(root, seed=3)
    expected = [f"annotations/{name}.json" for name in names]
    random.Random(3).shuffle(expected)
    assert summary.is_split
    assert (root / "train_anno_list.txt").read_text().split() == expected[:8]
    assert (root / "val_anno_list.txt").read_text().split() == expected[8:]
    assert (root / "train_anno_list.txt.bak").read_text() == original


def test_without_lists_all_annotation_files_are_taken(tmp_path):
    root = make_dataset(tmp_path, {name: [shape()] for name in "abcde"})
    first = convert_labelme_to_coco(root)
    assert (first.train_images, first.val_images) == (4, 1)
    after = listing(root)
    again = convert_labelme_to_coco(root)
    assert (again.is_split, listing(root)) == (False, after), "a second run keeps the split of the first"


@pytest.mark.parametrize(
    ("count", "val_percent", "expected"), [(2, 20, 1), (3, 20, 1), (3, 99, 2), (5, 40, 2)]
)
def test_neither_side_of_a_split_is_empty(tmp_path, count, val_percent, expected):
    root = make_dataset(tmp_path, {f"p{index}": [shape()] for index in range(count)})
    summary = convert_labelme_to_coco(root, val_percent=val_percent)
    assert (summary.train_images, summary.val_images) == (count - expected, expected)


def test_an_empty_val_list_gives_an_empty_val_file_with_all_classes(tmp_path):
    root = make_dataset(tmp_path, {"a": [shape()]}, train=["a"], val=[])
    convert_labelme_to_coco(root)
    assert read_coco(root, "val") == {
        "images": [],
        "categories": [{"name": "cat", "id": 1}],
        "annotations": [],
    }


def test_one_list_for_both_sides_gives_distinct_image_ids_and_a_warning(tmp_path):
    root = make_dataset(tmp_path, {"a": [shape()]}, train=["a"], val=["a"])
    summary = convert_labelme_to_coco(root)
    assert [read_coco(root, side)["images"][0]["id"] for side in ("train", "val")] == [1, 2]
    assert any("both train and val" in line for line in summary.warnings)


def test_list_faults_are_told(tmp_path):
    root = make_dataset(tmp_path / "lines", {"a": [shape()]}, train=["a", "gone"], val=["lost"])
    (first, second) = problems_of(root)
    assert first.startswith("train_anno_list.txt, line 2: 'annotations/gone.json' is not in ")
    assert second.startswith("val_anno_list.txt, line 1: 'annotations/lost.json'")

    root = make_dataset(tmp_path / "no train", {"a": [shape()]}, val=["a"])
    assert problems_of(root)[0].startswith("train_anno_list.txt is missing beside val_anno_list.txt")
    root = make_dataset(tmp_path / "empty train", {"a": [shape()]}, train=[], val=["a"])
    assert problems_of(root)[0].startswith("train_anno_list.txt names no file")
    root = make_dataset(tmp_path / "one photo", {"a": [shape()]})
    assert problems_of(root)[0].startswith("one annotated photo cannot be split")
    (tmp_path / "nothing").mkdir()
    assert "neither train_anno_list.txt nor annotations/*.json" in problems_of(tmp_path / "nothing")[0]


# ---------------------------------------------------------------- photos


def one_file(root, **fields):
    """A data set of one LabelMe file, `annotations/a.json`, and no photo yet."""
    write_labelme_json(root / "annotations" / "a.json", [shape()], **fields)
    (root / "train_anno_list.txt").write_text("annotations/a.json\n")
    (root / "val_anno_list.txt").write_text("")
    return root


@pytest.mark.parametrize(
    ("photo", "image_path", "file_name"),
    [
        ("images/a.jpg", "../images/a.jpg", "a.jpg"),
        ("images/a.jpg", "..\\images\\a.jpg", "a.jpg"),
        ("images/a.jpg", "C:\\Users\\me\\a.jpg", "a.jpg"),
        ("images/a.jpg", "/home/me/a.jpg", "a.jpg"),
        ("images/a.jpg", "a.jpg", "a.jpg"),
        ("images/A.JPG", "a.jpg", "A.JPG"),
        ("images/照片 é.jpg", "照片 e\u0301.jpg", "照片 é.jpg"),
        ("images/sub/a.jpg", "../images/sub/a.jpg", "sub/a.jpg"),
        ("images/sub/a.jpg", "a.jpg", "sub/a.jpg"),
        ("annotations/a.jpg", "a.jpg", "a.jpg"),
        ("a.jpg", "../a.jpg", "a.jpg"),
        ("a.jpg", "a.jpg", "a.jpg"),
        ("photos/a.jpg", "../photos/a.jpg", "a.jpg"),
    ],
)
def test_the_photo_is_found(tmp_path, photo, image_path, file_name):
    root = one_file(tmp_path, image_path=image_path)
    content = write_photo(root / photo).read_bytes()
    summary = convert_labelme_to_coco(root)
    assert read_coco(root, "train")["images"][0]["file_name"] == file_name
    assert (root / "images" / file_name).read_bytes() == content
    assert (root / photo).read_bytes() == content, "the original stays where it was"
    assert summary.added_photos == (() if photo.startswith("images/") else (file_name,))


def test_of_equal_names_the_folder_decides(tmp_path):
    root = one_file(tmp_path, image_path="C:\\shots\\day 2\\a.jpg")
    for day in (1, 2):
        write_photo(root / "images" / f"day {day}" / "a.jpg", seed=day)
    convert_labelme_to_coco(root)
    assert read_coco(root, "train")["images"][0]["file_name"] == "day 2/a.jpg"
    one_file(tmp_path, image_path="a.jpg")
    (problem,) = problems_of(root)
    assert problem == (
        "annotations/a.json: 2 photos named 'a.jpg' (day 1/a.jpg, day 2/a.jpg); name its folder in imagePath"
    )


@pytest.mark.parametrize(
    ("image_path", "reason"),
    [
        ("../images/gone.jpg", "photo '../images/gone.jpg' is not in the data set; put it into images/"),
        ("", "no imagePath"),
        ("../images/zero.jpg", "the file is empty"),
        ("../images/text.jpg", "not an image"),
        ("../../outside.jpg", "is not in the data set"),
        ("x" * 5000 + ".jpg", "is not in the data set"),
        ("a\0.jpg", "is not in the data set"),
    ],
    ids=["missing", "none", "zero bytes", "text", "outside the data set", "endless name", "null character"],
)
def test_an_unusable_photo_is_told_in_one_line(tmp_path, image_path, reason):
    root = one_file(tmp_path / "data", image_path=image_path)
    write_photo(tmp_path / "outside.jpg")
    (root / "images").mkdir()
    (root / "images" / "zero.jpg").write_bytes(b"")
    (root / "images" / "text.jpg").write_text("hello")
    (problem,) = problems_of(root)
    assert problem.startswith("annotations/a.json: ")
    assert reason in problem


def test_a_photo_in_the_file_is_written_out(tmp_path):
    content = write_photo(tmp_path / "photo.jpg").read_bytes()
    data = base64.b64encode(content).decode()
    root = one_file(tmp_path / "data", image_path="C:\\shots\\a.jpg", imageData=data)
    assert convert_labelme_to_coco(root).added_photos == ("a.jpg",)
    assert (root / "images" / "a.jpg").read_bytes() == content
    after = listing(root)
    assert convert_labelme_to_coco(root).added_photos == ()
    assert listing(root) == after, "a second run finds the photo and changes nothing"


@pytest.mark.parametrize("image_path", ["", "..", "../", "a\0.jpg", "a\ud800.jpg"])
def test_a_photo_in_the_file_always_gets_a_possible_name(tmp_path, image_path):
    data = base64.b64encode(write_photo(tmp_path / "photo.jpg").read_bytes()).decode()
    root = one_file(tmp_path / "data", image_path=image_path, imageData=data, encoding="ascii")
    (name,) = convert_labelme_to_coco(root).added_photos
    assert name in ("a.jpg", "a.jpeg")
    assert (root / "images" / name).is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux stores file names that are no text")
@pytest.mark.parametrize("what", ["annotation", "photo"])
def test_names_from_archives_of_another_encoding_are_told(tmp_path, what):
    broken = os.fsdecode("照片".encode("gbk"))
    root = make_dataset(tmp_path, {"a": [shape()], "b": [shape()]})
    if what == "annotation":
        write_labelme_json(root / "annotations" / f"{broken}.json", [shape()], image_path="../images/a.jpg")
    else:
        write_photo(root / "images" / f"{broken}.jpg")
        write_labelme_json(root / "annotations" / "b.json", [], image_path=f"{broken}.jpg", encoding="ascii")
    (problem,) = problems_of(root)
    assert "is not UTF-8; rename it" in problem
    problem.encode("utf-8")  # the line itself can be written


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("%%%", "the photo in imageData: the file is empty"),
        ("aGVsbG8=", "the photo in imageData: not an image"),
    ],
)
def test_broken_image_data_is_told(tmp_path, data, reason):
    (problem,) = problems_of(one_file(tmp_path, imageData=data))
    assert problem.startswith(f"annotations/a.json: {reason}")


def test_photos_of_one_name_never_overwrite_each_other(tmp_path):
    for index in (1, 2, 3):
        folder = tmp_path / "annotations" / f"day {index}"
        write_photo(folder / "1.jpg", seed=index)
        write_labelme_json(folder / "1.json", [shape()], image_path="1.jpg")
    # The third is the first again: equal content shares the name.
    shutil.copy(tmp_path / "annotations/day 1/1.jpg", tmp_path / "annotations/day 3/1.jpg")
    lines = "".join(f"annotations/day {index}/1.json\n" for index in (1, 2, 3))
    (tmp_path / "train_anno_list.txt").write_text(lines)
    (tmp_path / "val_anno_list.txt").write_text("")
    summary = convert_labelme_to_coco(tmp_path)
    assert summary.added_photos == ("1.jpg", "1_1.jpg")
    for index, name in ((1, "1.jpg"), (2, "1_1.jpg")):
        placed = (tmp_path / "images" / name).read_bytes()
        assert placed == (tmp_path / "annotations" / f"day {index}" / "1.jpg").read_bytes()
    assert [image["file_name"] for image in read_coco(tmp_path, "train")["images"]] == ["1.jpg", "1_1.jpg"]
    assert any("all of one photo, 1.jpg" in line for line in summary.warnings)


def test_files_of_one_photo_are_joined(tmp_path):
    root = make_dataset(tmp_path, {"a": [shape()]}, val=[])
    write_labelme_json(
        root / "annotations" / "more.json", [shape("dog", TRIANGLE)], image_path="../images/a.jpg"
    )
    (root / "train_anno_list.txt").write_text("annotations/a.json\nannotations/more.json\n")
    convert_labelme_to_coco(root)
    train = read_coco(root, "train")
    assert [image["id"] for image in train["images"]] == [1]
    assert [(a["image_id"], a["id"]) for a in train["annotations"]] == [(1, 1), (1, 2)]


def test_an_exif_turned_photo_has_its_upright_size(tmp_path):
    root = one_file(tmp_path, size=(64, 48))
    write_photo(root / "images" / "a.jpg", size=(48, 64), orientation=6)
    convert_labelme_to_coco(root)
    (image,) = read_coco(root, "train")["images"]
    assert (image["height"], image["width"]) == (64, 48)
    with Image.open(root / "images" / "a.jpg") as photo:
        assert photo.size == (64, 48), "stored as it was"


# ---------------------------------------------------------------- nothing is lost


def test_every_fault_of_every_file_is_told_at_once(tmp_path):
    root = make_dataset(tmp_path, {name: [shape()] for name in "abcd"}, train=["a", "b", "x"], val=["c", "d"])
    (root / "annotations" / "a.json").write_text('{"shapes": [')
    write_labelme_json(root / "annotations" / "b.json", [shape(""), shape(shape_type="hexagon"), shape()])
    (root / "images" / "c.jpg").unlink()
    problems = problems_of(root)
    assert [problem.split(":")[0] for problem in problems] == [
        "train_anno_list.txt, line 3",
        "annotations/a.json",
        "annotations/b.json, shape 1",
        "annotations/b.json, shape 2",
        "annotations/c.json",
    ]


def test_the_error_reads_line_by_line(tmp_path):
    root = make_dataset(tmp_path, {"a": [shape("")], "b": [shape()]}, train=["a"], val=["b"])
    with pytest.raises(ConvertFailedError) as error:
        convert_labelme_to_coco(root)
    first, second = str(error.value).splitlines()
    assert first == f"{root}: not converted from LabelMe, nothing was changed; 1 problem:"
    assert second.strip() == "- " + error.value.problems[0]


def test_a_data_set_without_any_object_is_refused(tmp_path):
    root = make_dataset(tmp_path, {"a": [], "b": [shape("__ignore__")]}, train=["a"], val=["b"])
    assert problems_of(root) == ["no file holds an object; draw polygons in LabelMe first"]


def test_failure_while_writing_leaves_the_folder_as_it_was(tmp_path):
    root = make_dataset(tmp_path, {"a": [shape()], "b": [shape()]}, train=["a", "b"])
    (root / "annotations" / "instance_train.json").write_text("{}")
    (root / "annotations" / "instance_val.json").mkdir()  # cannot be replaced by a file
    shutil.move(root / "images" / "a.jpg", root / "annotations" / "a.jpg")
    before = listing(root)
    with pytest.raises(
        ConvertFailedError, match=r"instance_val\.json: cannot be written .*; nothing was changed"
    ):
        convert_labelme_to_coco(root)
    assert listing(root) == before


def test_existing_coco_files_keep_their_first_backup(two_photos):
    old = two_photos / "annotations" / "instance_train.json"
    old.write_text('{"mine": true}')
    convert_labelme_to_coco(two_photos)
    write_labelme_json(two_photos / "annotations" / "a.json", [shape("lynx")])
    convert_labelme_to_coco(two_photos)
    assert read_coco(two_photos, "train")["categories"][0]["name"] == "lynx"
    assert old.with_name("instance_train.json.bak").read_text() == '{"mine": true}'


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DatasetFileNotFoundError, match="gone: no such folder"):
        convert_labelme_to_coco(tmp_path / "gone")


@pytest.mark.parametrize("val_percent", [0, 100, -5, float("nan")])
def test_impossible_percents_are_refused(two_photos, val_percent):
    assert problems_of(two_photos, val_percent=val_percent) == []


def test_many_warnings_are_logged_in_brief_and_kept_in_full(tmp_path, caplog):
    line = shape(points=[[1, 1], [5, 5]], shape_type="line")
    photos = {f"p{index}": [shape(), line] for index in range(30)}
    root = make_dataset(tmp_path, photos, train=photos, val=[])
    with caplog.at_level(logging.WARNING, logger="paddlex"):
        summary = convert_labelme_to_coco(root)
    assert len(summary.warnings) == 31
    assert len(caplog.messages) == 21
    assert caplog.messages[-1] == "and 11 more warnings"


# ---------------------------------------------------------------- real data


def test_the_demo_photos_convert_to_the_counts_of_their_readme(nuts_labelme, tmp_path):
    root = tmp_path / "nuts"
    shutil.copytree(nuts_labelme, root)
    summary = convert_labelme_to_coco(root)
    assert (summary.train_images, summary.val_images) == (14, 4)
    for side, counts in (
        ("train", {"date": 56, "fig": 30, "hazelnut": 45}),
        ("val", {"date": 15, "fig": 11, "hazelnut": 8}),
    ):
        coco = read_coco(root, side)
        names = {category["id"]: category["name"] for category in coco["categories"]}
        labels = [names[annotation["category_id"]] for annotation in coco["annotations"]]
        assert {label: labels.count(label) for label in sorted(set(labels))} == counts
    assert summary.warnings == ()


@pytest.mark.parametrize("side", ["train", "val"])
def test_the_demo_photos_equal_their_coco_form(shared_data, tmp_path, side):
    root = tmp_path / "nuts"
    shutil.copytree(shared_data / "nuts_labelme", root, copy_function=shutil.copyfile)
    convert_labelme_to_coco(root)
    ours = objects_by_photo(read_coco(root, side))
    theirs = objects_by_photo(read_coco(shared_data / "nuts_ins", side))
    assert ours.keys() == theirs.keys()
    for photo, objects in ours.items():
        for (label, box, polygon), (their_label, their_box, their_polygon) in zip(
            objects, theirs[photo], strict=True
        ):
            assert label == their_label
            np.testing.assert_allclose(box, their_box, atol=1.0)
            np.testing.assert_allclose(polygon, their_polygon, atol=0.01)


def objects_by_photo(coco):
    """Per photo: class name, box as corners, polygon."""
    photos = {image["id"]: image["file_name"] for image in coco["images"]}
    names = {category["id"]: category["name"] for category in coco["categories"]}
    objects = {photo: [] for photo in photos.values()}
    for annotation in coco["annotations"]:
        x, y, width, height = annotation["bbox"]
        entry = names[annotation["category_id"]], [x, y, x + width, y + height], annotation["segmentation"][0]
        objects[photos[annotation["image_id"]]].append(entry)
    return objects


def test_conversion_follows_the_recorded_reference(shared_data, tmp_path):
    """The recorded output, turned back into LabelMe files, converts to itself; `__ignore__` is left out."""
    record = shared_data.parent / "parity" / "engine" / "labelme_convert.json"
    if not record.is_file():
        pytest.skip("the recordings of the reference (../shared/parity) are not beside this checkout")
    expected = json.loads(record.read_text(encoding="utf-8"))["explicit_val"]
    names = {category["id"]: category["name"] for category in expected["instance_val.json"]["categories"]}
    for side in ("train", "val"):
        (tmp_path / f"{side}_anno_list.txt").write_text(expected[f"{side}_list"])
        coco = expected[f"instance_{side}.json"]
        for image in coco["images"]:
            size = image["height"], image["width"]
            write_photo(tmp_path / "images" / image["file_name"], size=size)
            shapes = [
                shape(names[item["category_id"]], np.reshape(item["segmentation"][0], (-1, 2)).tolist())
                for item in coco["annotations"]
                if item["image_id"] == image["id"]
            ]
            path = tmp_path / "annotations" / image["file_name"].replace(".jpg", ".json")
            write_labelme_json(path, shapes, size=size)
    summary = convert_labelme_to_coco(tmp_path)
    assert summary.class_names == tuple(name for name in names.values() if name != "__ignore__")
    for side in ("train", "val"):
        ours, coco = read_coco(tmp_path, side), expected[f"instance_{side}.json"]
        assert ours["images"] == coco["images"]
        kept = [item for item in coco["annotations"] if names[item["category_id"]] != "__ignore__"]
        for number, (item, theirs) in enumerate(zip(ours["annotations"], kept, strict=True), start=1):
            assert item["area"] == pytest.approx(theirs["area"], rel=0.01)
            assert summary.class_names[item["category_id"] - 1] == names[theirs["category_id"]]
            assert item["id"] == number
            for key in ("image_id", "bbox", "iscrowd", "ignore"):
                assert item[key] == theirs[key]
            points = np.reshape(theirs["segmentation"][0], (-1, 2))
            size = next((i["height"], i["width"]) for i in ours["images"] if i["id"] == item["image_id"])
            if (points <= size[::-1]).all():
                assert item["segmentation"] == theirs["segmentation"]
            else:  # we cut at the border, the reference does not: the pixels are the same but for rounding
                masks = MaskCrops.from_polygons([item["segmentation"], theirs["segmentation"]], size=size)
                assert np.count_nonzero(masks.dense(0) ^ masks.dense(1)) < 0.001 * theirs["area"]


def test_groups_of_coco_objects_are_whole_again(shared_data, tmp_path):
    root = tmp_path / "coco"
    shutil.copytree(shared_data / "coco_mini_labelme", root, copy_function=shutil.copyfile)
    summary = convert_labelme_to_coco(root)
    # 138 polygons, 30 of them in groups, are 120 objects.
    files = [
        json.loads(path.read_text())
        for path in (shared_data / "coco_mini_labelme/annotations").glob("*.json")
    ]
    groups = [{(s["label"], s["group_id"]) for s in f["shapes"] if s["group_id"] is not None} for f in files]
    alone = sum(s["group_id"] is None for f in files for s in f["shapes"])
    assert summary.train_instances + summary.val_instances == alone + sum(map(len, groups)) == 120
