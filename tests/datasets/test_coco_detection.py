"""`CocoDetection`: what counts, which photos without objects stay, what training and evaluation get."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from data.tiny_coco import CLASSES, HEIGHT, TRAIN, WIDTH, edit, write_tiny_coco
from PIL import Image

import paddlex
from paddlex.data.loader import BatchLoader
from paddlex.datasets import CocoDetection
from paddlex.det import transforms
from paddlex.structures.shapes import InstanceShapes
from paddlex.utils.errors import DatasetError, DatasetFileNotFoundError, FileFormatError, UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_coco(tmp_path / "tiny", train=6)


def opened(folder: Path, **options) -> CocoDetection:
    return CocoDetection(str(folder / "images"), str(folder / TRAIN), **options)


def without_objects(folder: Path, *image_ids: int) -> None:
    """Remove the annotations of photos."""

    def change(content: dict) -> None:
        content["annotations"] = [a for a in content["annotations"] if a["image_id"] not in image_ids]

    edit(folder / TRAIN, change)


def negatives(folder: Path, count: int) -> Path:
    """A folder of photos without objects, and a file that is none."""
    folder.mkdir()
    for number in range(count):
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(folder / f"n{number}.png")
    (folder / "broken.jpg").write_bytes(b"no photo")
    (folder / "readme.txt").write_text("text")
    return folder


def test_fields_are_those_of_the_documents(folder: Path) -> None:
    chain = transforms.ComposedRCNNTransforms("train")
    dataset = paddlex.datasets.CocoDetection(
        folder / "images", folder / TRAIN, transforms=chain, num_workers=3, shuffle=True
    )
    assert dataset.labels == list(CLASSES) and dataset.num_classes == 2
    assert len(dataset) == dataset.num_samples == dataset.pos_num == 6
    assert (dataset.transforms, dataset.num_workers, dataset.shuffle) == (chain, 3, True)
    assert (dataset.metric_kind, dataset.has_empty, dataset.has_masks) == ("COCO", False, True)
    assert dataset.file_list[1] == {
        "image": str(folder / "images" / "p1.png"),
        "im_id": 1,
        "image_shape": (HEIGHT, WIDTH),
    }


def test_labels_keep_the_order_of_the_file(folder: Path) -> None:
    edit(folder / TRAIN, lambda content: content["categories"].reverse())
    dataset = opened(folder)
    assert dataset.labels == ["disc", "bar"]
    assert dataset.samples[0].class_ids.tolist() == [1, 0]
    assert [one["name"] for one in dataset.ground_truth()["categories"]] == ["disc", "bar"]


def test_ground_truth_is_what_pycocotools_takes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = opened(folder)
    assert len(dataset.coco_gt.getAnnIds(imgIds=[2])) == 2
    assert dataset.coco_gt.loadCats([1])[0]["name"] == "bar"
    assert capsys.readouterr().out == ""


def test_batches_come_through_the_user_s_transforms(folder: Path) -> None:
    chain = transforms.Compose(
        [transforms.Normalize(), transforms.ResizeByShort(24, 64), transforms.Padding(32)]
    )
    dataset = opened(folder, transforms=chain, num_workers=0)
    assert isinstance(dataset.samples[0].masks, InstanceShapes)
    with BatchLoader(
        dataset.samples,
        batch_size=2,
        sample_transforms=dataset.transforms.sample_chain(),
        batch_transforms=dataset.transforms.batch_chain(extra=[{"PadBatch": {"stride": 32}}]),
        shuffle=dataset.shuffle,
    ) as loader:
        batch = next(iter(loader.epoch(0)))
    assert batch["image"].shape == (2, 3, 32, 32)
    assert batch["gt_boxes"][0].tolist() == [[2, 5, 12, 15], [17, 5, 27, 15]]


# ---------------------------------------------------------------- photos without objects


def test_photos_without_objects_are_left_out_unless_wanted(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    without_objects(folder, 1, 4)
    with caplog.at_level(logging.INFO, "paddlex"):
        dataset = opened(folder)
    assert [entry["im_id"] for entry in dataset.file_list] == [0, 2, 3, 5] and not dataset.has_empty
    assert "2 photos without objects are left out; allow_empty=True keeps them" in caplog.text
    dataset = opened(folder, allow_empty=True)
    assert [entry["im_id"] for entry in dataset.file_list] == [0, 1, 2, 3, 4, 5] and dataset.has_empty
    assert dataset.pos_num == 4


@pytest.mark.parametrize(
    ("ratio", "kept"),
    # int(positives * ratio // (1 - ratio)) of 4 photos without objects beside 2 with.
    [(0, 0), (0.2, 0), (0.4, 1), (0.5, 2), (0.65, 3), (0.9, 4), (1, 4), (-1, 4)],
)
def test_their_share_is_limited(folder: Path, ratio: float, kept: int) -> None:
    without_objects(folder, 0, 1, 2, 5)
    dataset = opened(folder, allow_empty=True, empty_ratio=ratio)
    assert (dataset.pos_num, len(dataset)) == (2, 2 + kept)
    again = opened(folder, allow_empty=True, empty_ratio=ratio)
    assert again.file_list == dataset.file_list, "drawn with a fixed seed"


def test_negative_samples_of_a_folder_are_added(folder: Path, tmp_path: Path) -> None:
    dataset = opened(folder)
    assert dataset.coco_gt.getImgIds() == [0, 1, 2, 3, 4, 5]
    dataset.add_negative_samples(str(negatives(tmp_path / "negatives", 5)))
    assert (len(dataset), dataset.pos_num, dataset.has_empty, dataset.allow_empty) == (11, 6, True, True)
    added = dataset.samples[6]
    assert (added.image_id, added.image.shape, len(added.boxes), len(added.masks)) == (6, (20, 30, 3), 0, 0)
    assert len(dataset.coco_gt.getImgIds()) == 11
    assert dataset.samples[3].class_ids.tolist() == [0, 1]


def test_negative_samples_count_those_that_are_there(folder: Path, tmp_path: Path) -> None:
    without_objects(folder, 1, 4)
    dataset = opened(folder, allow_empty=True)
    dataset.add_negative_samples(negatives(tmp_path / "negatives", 5), empty_ratio=0.5)
    # int((6 * 0.5 - 2) // 0.5) = 2 more: 4 of 8.
    assert (len(dataset), dataset.pos_num) == (8, 4)
    dataset.add_negative_samples(tmp_path / "negatives", empty_ratio=0.5)
    assert len(dataset) == 8


# ---------------------------------------------------------------- awkward input


def test_arguments_of_paddlex_1_are_taken_and_explained(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "paddlex"):
        opened(folder, buffer_size=100, parallel_mode="thread")
    assert "CocoDetection: buffer_size, parallel_mode mean nothing here" in caplog.text


def test_workers_are_counted_from_the_cores(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, workers in ((1, 0), (6, 3), (64, 8)):
        monkeypatch.setattr("paddlex.datasets.face.available_cores", lambda cores=cores: cores)
        assert opened(folder).num_workers == workers


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"data_dir": "gone"}, DatasetFileNotFoundError, "^CocoDetection: gone is no folder"),
        ({"ann_file": "gone.json"}, DatasetFileNotFoundError, r"^CocoDetection.ann_file: no file gone.json"),
        ({"transforms": [1]}, UsageError, "^CocoDetection.transforms: found list, expected a Compose"),
        ({"num_workers": "many"}, UsageError, "^CocoDetection.num_workers: found 'many', expected 'auto'"),
        ({"num_workers": -1}, UsageError, "^CocoDetection.num_workers: found -1"),
        ({"empty_ratio": "half"}, UsageError, "^CocoDetection.empty_ratio: found 'half', expected a number"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_faulty_arguments_give_one_line(folder: Path, options: dict, error: type, message: str) -> None:
    given = {"data_dir": folder / "images", "ann_file": folder / TRAIN, **options}
    with pytest.raises(error, match=message) as caught:
        CocoDetection(**given)
    assert "\n" not in str(caught.value)


def test_faulty_files_give_one_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(json.dumps([1]))
    with pytest.raises(FileFormatError, match="expected a COCO object"):
        CocoDetection(folder / "images", tmp_path / "list.json")
    without_objects(folder, *range(6))
    with pytest.raises(DatasetError, match="no usable instance"):
        opened(folder)
    (tmp_path / "empty").mkdir()
    write_tiny_coco(tmp_path / "other")
    with pytest.raises(DatasetError, match="no photo there; expected photos that show no object"):
        opened(tmp_path / "other").add_negative_samples(tmp_path / "empty")
