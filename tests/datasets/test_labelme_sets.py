"""`LabelMeDetection` and `LabelMeSeg` read LabelMe files where they lie, as a conversion would."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paddlex.data.formats.labelme_to_coco import convert_labelme_to_coco
from paddlex.data.formats.labelme_to_masks import convert_labelme_to_masks
from paddlex.data.loader import BatchLoader
from paddlex.datasets import CocoDetection, LabelMeDetection, LabelMeSeg, SegDataset
from paddlex.seg import transforms
from paddlex.utils.errors import DatasetError

HEIGHT, WIDTH = 40, 60


def square(label: str, x: int, y: int, side: int, **fields) -> dict:
    points = [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]
    return {"label": label, "points": points, "shape_type": "polygon", **fields}


def add_photo(root: Path, name: str, shapes: list[dict], **fields) -> None:
    (root / "images").mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(root / "images" / f"{name}.png")
    content = {"shapes": shapes, "imagePath": f"{name}.png", "imageHeight": HEIGHT, "imageWidth": WIDTH}
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"{name}.json").write_text(json.dumps({**content, **fields}))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "labelme"
    add_photo(
        folder, "a", [square("nut", 5, 5, 10), square("date", 8, 8, 20), square("__ignore__", 50, 30, 5)]
    )
    add_photo(folder, "b", [square("date", 0, 0, 10, group_id=1), square("date", 30, 20, 10, group_id=1)])
    add_photo(folder, "c", [])
    return folder


def test_instances_are_those_of_the_conversion(nuts_labelme: Path, tmp_path: Path) -> None:
    converted = tmp_path / "nuts"
    shutil.copytree(nuts_labelme, converted)
    convert_labelme_to_coco(converted)
    wanted = CocoDetection(converted / "images", converted / "annotations" / "instance_train.json")
    found = LabelMeDetection(nuts_labelme, "train_anno_list.txt")
    assert found.labels == wanted.labels and found.metric_kind == "COCO" and found.has_masks
    by_name = {Path(one["image"]).name: index for index, one in enumerate(found.file_list)}
    assert by_name.keys() == {Path(one["image"]).name for one in wanted.file_list}
    for index, one in enumerate(wanted.file_list[:3]):
        sample, other = wanted.samples[index], found.samples[by_name[Path(one["image"]).name]]
        np.testing.assert_array_equal(sample.boxes, other.boxes)
        np.testing.assert_array_equal(sample.class_ids, other.class_ids)
        assert sample.masks.to_rles() == other.masks.to_rles()


def test_label_maps_are_those_of_the_conversion(nuts_labelme: Path, tmp_path: Path) -> None:
    converted = tmp_path / "nuts"
    shutil.copytree(nuts_labelme, converted)
    convert_labelme_to_masks(converted)
    wanted = SegDataset(converted, converted / "val.txt", converted / "class_name.txt")
    found = LabelMeSeg(nuts_labelme, "val_anno_list.txt", converted / "class_name.txt")
    for index in range(2):
        np.testing.assert_array_equal(found.samples[index].label_map, wanted.samples[index].label_map)


def test_labels_come_in_order_of_appearance_or_as_listed(root: Path) -> None:
    assert LabelMeDetection(root).labels == ["nut", "date"]
    assert LabelMeSeg(root).labels == ["_background_", "nut", "date"]
    (root / "labels.txt").write_text("date\nnut\n")
    dataset = LabelMeDetection(root, label_list="labels.txt")
    assert dataset.labels == ["date", "nut"]
    assert dataset.samples[0].class_ids.tolist() == [1, 0]


def test_shapes_of_a_group_are_one_instance_and_empty_photos_stay_if_wanted(root: Path) -> None:
    dataset = LabelMeDetection(root, allow_empty=True)
    assert (len(dataset), dataset.pos_num) == (3, 2)
    assert len(dataset.samples[1].masks) == 1
    assert len(LabelMeDetection(root)) == 2


def test_pixels_have_the_class_of_the_last_shape_and_255_is_ignored(root: Path) -> None:
    dataset = LabelMeSeg(root, num_workers=0)
    label_map = dataset.samples[0].label_map
    assert [label_map[y, x] for y, x in ((6, 6), (12, 12), (25, 25), (32, 52), (0, 0))] == [1, 2, 2, 255, 0]
    assert not dataset.samples[2].label_map.any()
    chain = transforms.Compose([transforms.Normalize()])
    with BatchLoader(
        dataset.samples, batch_size=3, sample_transforms=chain.sample_chain(), num_workers=1
    ) as loader:
        (batch,) = loader.epoch(0)
    np.testing.assert_array_equal(batch["label_map"][0], label_map)


def test_what_cannot_be_used_is_left_out_and_counted(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_photo(root, "d", [square("", 0, 0, 5)])
    add_photo(root, "e", [square("nut", 0, 0, 5)], imagePath="a.png")
    add_photo(root, "f", [square("nut", 0, 0, 5)])
    (root / "images" / "f.png").unlink()
    (root / "annotations" / "instance_train.json").write_text('{"images": [], "annotations": []}')
    for kind in (LabelMeDetection, LabelMeSeg):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "paddlex"):
            dataset = kind(root)
        assert {Path(one["image"]).name for one in dataset.file_list} <= {"a.png", "b.png", "c.png"}
        assert "3 x annotation cannot be used (first: annotations/d.json)" in caplog.text
        assert "1 x a second annotation of one photo (first: annotations/e.json)" in caplog.text


def test_photos_that_only_the_file_carries_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_photo(tmp_path, "a", [square("nut", 0, 0, 5)])
    content = (tmp_path / "images" / "a.png").read_bytes()
    import base64

    carried = base64.b64encode(content).decode()
    add_photo(tmp_path, "b", [square("nut", 0, 0, 5)], imagePath="elsewhere.png", imageData=carried)
    (tmp_path / "images" / "b.png").unlink()
    with caplog.at_level(logging.WARNING, "paddlex"):
        assert len(LabelMeDetection(tmp_path)) == 1
    assert "1 x annotation cannot be used (first: annotations/b.json)" in caplog.text


def test_a_folder_without_annotations_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no usable class"):
        LabelMeDetection(tmp_path)
    with pytest.raises(DatasetError, match="no usable pair of photo and mask"):
        LabelMeSeg(tmp_path)
