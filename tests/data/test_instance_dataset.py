"""The instance data set: which entries count, in which order, and what a sample holds."""

from __future__ import annotations

import logging
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from data.tiny_coco import CLASSES, HEIGHT, TRAIN, WIDTH, edit, write_tiny_coco
from pycocotools.coco import COCO

from paddlex.data.instance_dataset import InstanceDataset
from paddlex.data.packing import Ragged
from paddlex.structures.shapes import InstanceShapes
from paddlex.utils.errors import DatasetError, ImageReadError


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_tiny_coco(tmp_path / "tiny")


def opened(folder: Path, **options) -> InstanceDataset:
    return InstanceDataset(folder / "images", folder / TRAIN, **options)


def annotation(folder: Path, position: int = 0, **fields) -> None:
    """Change fields of one annotation; the value None removes one."""

    def change(content: dict) -> None:
        entry = content["annotations"][position]
        entry.update(fields)
        for key, value in fields.items():
            if value is None:
                del entry[key]

    edit(folder / TRAIN, change)


def test_sample_holds_photo_boxes_classes_and_masks(folder):
    sample = opened(folder)[0]
    assert sample.image.shape == (HEIGHT, WIDTH, 3) and sample.image.dtype == np.uint8
    assert sample.path == folder / "images" / "p0.png"
    assert (sample.image_id, sample.original_size) == (0, (HEIGHT, WIDTH))
    assert sample.boxes.tolist() == [[4, 10, 24, 30], [34, 10, 54, 30]] and sample.boxes.dtype == np.float32
    assert sample.class_ids.tolist() == [0, 1] and sample.class_ids.dtype == np.int64
    assert sample.masks.area().tolist() == [400, 400]
    assert sample.masks.boxes().tolist() == sample.boxes.tolist()


def test_photos_come_in_ascending_id_and_classes_in_file_order(folder):
    def change(content: dict) -> None:
        content["images"].reverse()
        content["categories"] = [{"id": 2, "name": "disc"}, {"id": 1, "name": "bar"}]

    edit(folder / TRAIN, change)
    dataset = opened(folder)
    assert [dataset[i].image_id for i in range(4)] == [0, 1, 2, 3]
    assert (dataset.class_names, dataset.category_ids, dataset.num_classes) == (("disc", "bar"), (2, 1), 2)
    assert dataset[0].class_ids.tolist() == [1, 0]


def test_supercategories_are_ground_truth(folder):
    edit(folder / TRAIN, lambda content: content["categories"][1].update(supercategory="shape"))
    first, second = opened(folder).ground_truth()["categories"]
    assert "supercategory" not in first and second["supercategory"] == "shape"


def test_crowd_is_ground_truth_but_no_training_target(folder):
    annotation(folder, iscrowd=1)
    dataset = opened(folder)
    assert dataset[0].class_ids.tolist() == [1]
    assert dataset.num_instances == 7
    assert [entry["iscrowd"] for entry in dataset.ground_truth()["annotations"][:2]] == [1, 0]


def test_ignored_annotation_is_left_out_silently(folder, caplog):
    annotation(folder, ignore=1)
    with caplog.at_level(logging.WARNING, "paddlex"):
        assert opened(folder)[0].class_ids.tolist() == [1]
    assert not caplog.records


def test_box_and_area_come_from_the_mask_where_missing(folder):
    annotation(folder, bbox=None, area=None)
    dataset = opened(folder)
    assert dataset[0].boxes[0].tolist() == [4, 10, 24, 30]
    first = dataset.ground_truth()["annotations"][0]
    assert (first["bbox"], first["area"]) == ([4, 10, 20, 20], 400)


@pytest.mark.parametrize(
    "bbox", [[0, 0, 0, 0], [10, 10, -5, -5], [200, 200, 9, 9], [10, 10, 0.009, 9]], ids=str
)
def test_box_without_extent_is_replaced_by_the_masks(folder, bbox):
    annotation(folder, bbox=bbox)
    assert opened(folder)[0].boxes[0].tolist() == [4, 10, 24, 30]


def test_box_is_rounded_to_three_decimals_and_clipped(folder):
    annotation(folder, bbox=[-6.00049, 10.00049, 30, 200])
    assert opened(folder)[0].boxes[0].tolist() == [0, 10, np.float32(24.0), HEIGHT]


LEFT_OUT = {
    "only_a_box": ({"segmentation": None}, "no segmentation"),
    "outside": (
        {"segmentation": [[90, 90, 99, 90, 99, 99]], "bbox": [90, 90, 9, 9]},
        "mask without a pixel inside its photo",
    ),
    "flat": (
        {"segmentation": [[5, 5, 9, 5, 13, 5]], "bbox": [5, 5, 8, 0]},
        "mask without a pixel inside its photo",
    ),
    "rle_of_another_size": (
        {"segmentation": {"size": [3, 4], "counts": [2, 10]}},
        "RLE of another size than its photo",
    ),
}


@pytest.mark.parametrize(("fields", "kind"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_unusable_annotation_is_left_out_with_one_warning(folder, caplog, fields, kind):
    annotation(folder, **fields)
    with caplog.at_level(logging.WARNING, "paddlex"):
        assert opened(folder)[0].class_ids.tolist() == [1]
    assert [record.getMessage() for record in caplog.records] == [
        f"instance_train.json: left out 1 x {kind} (first: annotation 1)"
    ]


def test_missing_and_broken_photos_are_left_out_with_one_warning(folder, caplog):
    (folder / "images" / "p1.png").unlink()
    (folder / "images" / "p2.png").write_bytes(b"")
    with caplog.at_level(logging.WARNING, "paddlex"):
        dataset = opened(folder)
    assert [dataset[i].image_id for i in range(len(dataset))] == [0, 3]
    (record,) = caplog.records
    assert "1 x photo is missing (first: image 1)" in record.getMessage()
    assert "1 x photo cannot be read (first: image 2)" in record.getMessage()


def test_photo_of_another_size_than_stated_is_used_with_a_warning(folder, caplog):
    edit(folder / TRAIN, lambda content: content["images"][2].update(width=HEIGHT, height=WIDTH))
    with caplog.at_level(logging.WARNING, "paddlex"):
        dataset = opened(folder)
    assert dataset[2].boxes.tolist() == [[4, 10, 24, 30], [34, 10, 54, 30]]
    (record,) = caplog.records
    assert "1 photos are not of the size the file states (first: p2.png, height and width [48, 64]" in (
        record.getMessage()
    )


def test_photo_cut_short_is_named_when_it_is_read(folder):
    photo = folder / "images" / "p0.png"
    photo.write_bytes(photo.read_bytes()[:2000])
    with pytest.raises(ImageReadError, match=r"p0\.png: damaged or cut short"):
        opened(folder)[0]


def test_photo_without_objects_is_a_sample_unless_unwanted(folder):
    edit(folder / TRAIN, lambda content: content.update(annotations=content["annotations"][2:]))
    dataset = opened(folder)
    sample = dataset[0]
    assert (len(dataset), sample.boxes.shape, sample.class_ids.shape) == (4, (0, 4), (0,))
    assert len(sample.masks) == 0 and sample.masks.size == (HEIGHT, WIDTH)
    assert [entry["id"] for entry in dataset.ground_truth()["images"]] == [0, 1, 2, 3]
    strict = opened(folder, allow_empty=False)
    assert [strict[i].image_id for i in range(len(strict))] == [1, 2, 3]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("annotations", "no usable instance; expected annotations with masks"),
        ("images", "none of 0 photos can be used"),
        ("categories", "no usable class under categories"),
    ],
)
def test_empty_list_is_an_error_that_says_what_is_missing(folder, key, message):
    edit(folder / TRAIN, lambda content: content.update({key: []}))
    with pytest.raises(DatasetError, match=message):
        opened(folder)


def test_photos_in_another_folder_are_an_error_that_names_the_folder(folder):
    with pytest.raises(
        DatasetError, match=rf"none of 4 photos .*missing.* expected them in {re.escape(str(folder))}"
    ):
        InstanceDataset(folder, folder / TRAIN)


def test_ground_truth_loads_into_pycocotools_with_the_same_masks(folder):
    annotation(folder, bbox=None, area=None, iscrowd=None, id=0)
    dataset = opened(folder)
    coco = COCO()
    coco.dataset = dataset.ground_truth()
    coco.createIndex()
    assert sorted(coco.anns) == list(range(1, 9))  # unique, and not 0, which COCOeval takes for "no match"
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    for index in range(4):
        sample = dataset[index]
        entries = coco.loadAnns(coco.getAnnIds(sample.image_id))
        for position, entry in enumerate(entries):
            np.testing.assert_array_equal(coco.annToMask(entry), sample.masks.dense(position))


def test_dataset_survives_pickling_and_holds_no_object_per_instance(folder):
    dataset = opened(folder)
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again[2].image, dataset[2].image)
    np.testing.assert_array_equal(again[2].masks.to_dense(), dataset[2].masks.to_dense())
    lists = [name for name, value in vars(dataset).items() if isinstance(value, (list, dict))]
    assert lists == []


def test_shapes_are_the_masks_as_they_were_drawn(folder):
    annotation(folder, segmentation=[[-6, 10, 24, 10, 24, 30, -6, 30], [40, 2, 44, 2, 44, 6]])
    sample = opened(folder, masks="shapes")[0]
    assert isinstance(sample.masks, InstanceShapes)
    assert [len(parts) for parts in sample.masks.polygons] == [2, 1]
    assert sample.masks.polygons[0][0].tolist() == [[-6, 10], [24, 10], [24, 30], [-6, 30]]
    np.testing.assert_array_equal(sample.masks.to_dense(), opened(folder)[0].masks.to_dense())


def test_run_lengths_and_polygons_of_one_photo_are_shapes_together(folder):
    as_rle = opened(folder)[0].masks.to_rles()[0]
    annotation(folder, segmentation=as_rle)
    masks = opened(folder, masks="shapes")[0].masks
    assert repr(masks) == f"1 polygon and 1 bitmap instances on {HEIGHT} x {WIDTH} pixels"
    np.testing.assert_array_equal(masks.to_dense(), opened(folder)[0].masks.to_dense())
    whole = masks.roi_targets([0, 1], masks.boxes(), resolution=28)
    assert whole.all()


@pytest.mark.parametrize("fields", [{"iscrowd": 1}, {"segmentation": [[90, 90, 99, 90, 99, 99]]}], ids=str)
def test_shapes_leave_out_what_masks_leave_out(folder, fields):
    annotation(folder, **fields)
    sample = opened(folder, masks="shapes")[0]
    assert (sample.class_ids.tolist(), len(sample.masks)) == ([1], 1)


def test_photo_without_objects_has_no_shapes(folder):
    edit(folder / TRAIN, lambda content: content.update(annotations=content["annotations"][2:]))
    sample = opened(folder, masks="shapes")[0]
    assert isinstance(sample.masks, InstanceShapes) and len(sample.masks) == 0


def test_ragged_returns_what_was_packed():
    arrays = [np.array([1, 2]), np.array([], dtype=int), np.array([3])]
    ragged = Ragged.pack(arrays, dtype=np.int64)
    assert [ragged[i].tolist() for i in range(len(ragged))] == [[1, 2], [], [3]]
    assert len(Ragged.pack([], dtype=np.float64)) == 0


# ---------------------------------------------------------------- real files

INSTANCES = {
    "good": 12,
    "backslash": 12,
    "bbox_wrong": 12,
    "bom": 12,
    "category_zero": 12,
    "crowd": 10,
    "duplicate_ids": 12,
    "mixed_formats": 12,
    "multi_part": 11,
    "nan": 11,
    "no_iscrowd_area_bbox": 12,
    "nonascii": 12,
    "noncontiguous": 12,
    "odd_numbers": 11,
    "out_of_bounds": 11,
    "rle_compressed": 12,
    "rle_uncompressed": 12,
    "rle_wrong_size": 11,
    "size_missing": 12,
    "size_wrong": 12,
    "string_ids": 12,
    "subfolder": 12,
    "two_points": 9,
    "unknown_category": 11,
    "unknown_image": 11,
    "zero_area": 10,
}


@pytest.mark.parametrize(("name", "count"), INSTANCES.items(), ids=INSTANCES)
def test_awkward_file_gives_its_usable_instances(shared_data, name, count):
    awkward = shared_data / "awkward"
    dataset = InstanceDataset(awkward / "images", awkward / "coco" / f"{name}.json")
    assert dataset.num_instances == count
    sample = dataset[0]
    assert len(sample.boxes) == count and sample.masks.area().min() > 0


@pytest.mark.parametrize("name", ["rle_compressed", "rle_uncompressed", "mixed_formats"])
def test_forms_of_the_same_masks_agree(shared_data, name):
    awkward = shared_data / "awkward"
    expected, found = (
        InstanceDataset(awkward / "images", awkward / "coco" / f"{file}.json")[0].masks
        for file in ("good", name)
    )
    np.testing.assert_array_equal(found.to_dense(), expected.to_dense())


def test_awkward_photos_show_the_same_object_at_the_same_place(shared_data):
    """One polygon on grey, CMYK, 16-bit, progressive, turned and oddly named copies of one photo."""
    awkward = shared_data / "awkward"
    dataset = InstanceDataset(awkward / "images", awkward / "coco" / "awkward_photos.json")
    samples = [dataset[index] for index in range(len(dataset))]
    assert len(samples) == 6
    for sample in samples:
        assert sample.image.shape == (600, 800, 3)
        assert sample.boxes.tolist() == samples[0].boxes.tolist()
        y, x = sample.masks.offsets[0]
        crop = sample.masks.crops[0]
        inside = sample.image[y : y + crop.shape[0], x : x + crop.shape[1]][crop]
        reference = samples[0].image[y : y + crop.shape[0], x : x + crop.shape[1]][crop]
        assert abs(float(inside.mean()) - float(reference.mean())) < 12


# ---------------------------------------------------------------- parts of a data set


def test_selected_photos_keep_their_instances_whatever_their_form(folder):
    rle = {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * 10 + 5, 20, HEIGHT * (WIDTH - 10) - 25]}
    annotation(folder, 5, segmentation=rle, bbox=None, area=None)
    annotation(folder, 2, segmentation=[[4, 10, 24, 10, 24, 30], [30, 10, 40, 10, 40, 30]], difficult=1)
    whole = opened(folder)
    part = whole.select([2, 1])
    assert [part[index].image_id for index in range(2)] == [2, 1] and len(whole) == 4
    for index, origin in ((0, 2), (1, 1)):
        one, other = part[index], whole[origin]
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.class_ids, other.class_ids)
        assert one.masks.to_rles() == other.masks.to_rles()
    truth = part.ground_truth()
    assert [entry["image_id"] for entry in truth["annotations"]] == [2, 2, 1, 1]
    assert [entry["difficult"] for entry in truth["annotations"]] == [0, 0, 1, 0]


def test_photos_without_instances_are_known_and_can_be_added(folder):
    edit(folder / TRAIN, lambda content: content["annotations"].__delitem__(slice(2, 4)))
    dataset = opened(folder)
    assert dataset.is_empty.tolist() == [False, True, False, False]
    more = dataset.with_empty_photos([folder / "images" / "p5.png"])
    assert more.is_empty.tolist() == [False, True, False, False, True] and len(dataset) == 4
    assert more.photos()[4] == (folder / "images" / "p5.png", 4, (HEIGHT, WIDTH))
    with pytest.raises(ImageReadError):
        dataset.with_empty_photos([folder / "gone.png"])
