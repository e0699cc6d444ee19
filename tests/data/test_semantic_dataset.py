"""Photos and label maps come in the order of their list, and faults name the file and the remedy."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from data.tiny_semantic import HEIGHT, NAMES, WIDTH, write_pair, write_tiny_semantic
from PIL import Image

from paddlex.data.loader import BatchLoader
from paddlex.data.semantic_dataset import SemanticDataset
from paddlex.data.transforms.base import build_batch_transforms, build_transforms
from paddlex.utils.errors import DatasetError, FileFormatError, ImageReadError


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_semantic(tmp_path / "tiny")


def test_samples_hold_photo_and_label_map(tiny: Path) -> None:
    dataset = SemanticDataset(tiny, "val.txt", num_classes=3)
    assert (len(dataset), dataset.class_names) == (2, NAMES)
    sample = dataset[1]
    assert sample.path == tiny / "images" / "photo5.png" and sample.image_id == 1
    assert sample.image.shape == (HEIGHT, WIDTH, 3)
    assert sample.label_map.dtype == np.uint8
    assert sample.label_map[0, [0, 12, 24, 36]].tolist() == [0, 1, 2, 255]
    assert sample.masks is None


def test_classes_are_numbered_where_names_do_not_fit(tiny: Path) -> None:
    assert SemanticDataset(tiny, num_classes=4).class_names == ("class 0", "class 1", "class 2", "class 3")


def test_batches_carry_label_maps_from_workers_too(tiny: Path) -> None:
    sample_transforms = build_transforms(
        [
            {"ResizeStepScaling": {}},
            {"RandomPaddingCrop": {"crop_size": [32, 32]}},
            {"RandomFlip": {}},
            {"NormalizeImage": {"mean": [0.5] * 3, "std": [0.5] * 3}},
            {"Permute": {}},
        ]
    )
    batches = []
    for num_workers in (0, 1):
        with BatchLoader(
            SemanticDataset(tiny, num_classes=3),
            batch_size=2,
            sample_transforms=sample_transforms,
            batch_transforms=build_batch_transforms([]),
            shuffle=True,
            seed=3,
            num_workers=num_workers,
        ) as loader:
            batches.append(list(loader.epoch(0)))
    for one, other in zip(*batches, strict=True):
        assert one["image"].shape == (2, 3, 32, 32) and one["label_map"].shape == (2, 32, 32)
        np.testing.assert_array_equal(one["label_map"], other["label_map"])


def test_lines_that_cannot_be_used_are_counted(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (tiny / "train.txt").open("a") as file:
        file.write("images/gone.png annotations/photo0.png\nimages/photo0.png\n")
    with caplog.at_level(logging.WARNING, "paddlex"):
        assert len(SemanticDataset(tiny, num_classes=3)) == 4
    assert "1 x file is missing (first: line 5)" in caplog.text
    assert "1 x not a photo and its mask" in caplog.text


def test_a_list_without_pairs_is_an_error(tiny: Path) -> None:
    (tiny / "train.txt").write_text("images/gone.png annotations/gone.png\n")
    with pytest.raises(DatasetError, match=r"no usable pair .*1 x file is missing \(first: line 1\)"):
        SemanticDataset(tiny, num_classes=3)
    with pytest.raises(FileFormatError, match=r"test.txt: cannot be read"):
        SemanticDataset(tiny, "test.txt", num_classes=3)


def test_labels_that_are_no_class_are_told_with_their_file(tiny: Path) -> None:
    with pytest.raises(DatasetError, match=r"photo0.png: label 2; expected 0 to 1, or 255 to be ignored"):
        SemanticDataset(tiny, num_classes=2)[0]


def test_another_size_than_the_photos_is_told(tiny: Path) -> None:
    write_pair(tiny, "photo0", label_map=np.zeros((30, 40), np.uint8))
    with pytest.raises(DatasetError, match=r"photo0.png: 40 x 30 pixels, its photo has 48 x 32"):
        SemanticDataset(tiny, num_classes=3)[0]


def test_damaged_masks_are_told_with_their_file(tiny: Path) -> None:
    (tiny / "annotations" / "photo0.png").write_bytes(b"")
    with pytest.raises(ImageReadError, match=r"annotations/photo0.png: the file is empty"):
        SemanticDataset(tiny, num_classes=3)[0]


def test_turned_photos_meet_masks_of_their_upright_size(tiny: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (HEIGHT, WIDTH)).save(tiny / "images" / "photo0.png", exif=exif)
    assert SemanticDataset(tiny, num_classes=3)[0].original_size == (HEIGHT, WIDTH)


def test_street_scenes_are_read(shared_data: Path) -> None:
    dataset = SemanticDataset(shared_data / "camvid_sem", num_classes=11)
    assert (len(dataset), dataset.class_names[0]) == (100, "sky")
    assert dataset[0].label_map.shape == (360, 480)


def test_select_takes_photos_in_the_order_asked_for(tmp_path: Path) -> None:
    dataset = SemanticDataset(write_tiny_semantic(tmp_path), num_classes=3)
    part = dataset.select([3, 1])
    assert [part.describe(index) for index in range(len(part))] == [dataset.describe(3), dataset.describe(1)]
    assert len(dataset) == 4 and part.class_names == dataset.class_names
