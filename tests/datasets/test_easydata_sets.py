"""`EasyDataDet` and `EasyDataSeg`."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from data.formats.test_easydata import HEIGHT, WIDTH, counts
from PIL import Image

from paddlex.data.formats.easydata import EasyDataObject, write_easydata
from paddlex.data.loader import BatchLoader
from paddlex.datasets import EasyDataDet, EasyDataSeg
from paddlex.seg import transforms
from paddlex.utils.errors import FileFormatError

LEAF = EasyDataObject("leaf", (2, 3, 12, 13), counts(3, 2, 13, 12))
STEM = EasyDataObject("stem", None, counts(8, 8, 18, 28))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "easy"
    (folder / "images").mkdir(parents=True)
    for name, objects in (("a", (LEAF, STEM)), ("b", (STEM,))):
        Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(folder / "images" / f"{name}.png")
        write_easydata(folder / "annotations" / f"{name}.json", objects)
    lines = [f"images/{name}.png annotations/{name}.json\n" for name in "ab"]
    (folder / "train.txt").write_text("".join(lines))
    (folder / "labels.txt").write_text("background\nleaf\nstem\n")
    return folder


def test_instances_have_the_boxes_and_masks_of_the_file(root: Path) -> None:
    dataset = EasyDataDet(root, root / "train.txt", root / "labels.txt", num_workers=0)
    assert (dataset.labels, dataset.metric_kind, dataset.has_masks) == (
        ["background", "leaf", "stem"],
        "VOC",
        True,
    )
    sample = dataset.samples[0]
    assert sample.class_ids.tolist() == [1, 2]
    assert sample.boxes.tolist() == [[2, 3, 12, 13], [8, 8, 28, 18]], "without corners the mask's box counts"
    assert sample.masks.area().tolist() == [100, 200]


def test_boxes_stand_for_masks_that_cannot_be_read(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_easydata(root / "annotations" / "a.json", [EasyDataObject("leaf", (2, 3, 12, 13), "no mask")])
    with caplog.at_level(logging.WARNING, "paddlex"):
        dataset = EasyDataDet(root, root / "train.txt", root / "labels.txt")
    assert dataset.samples[0].masks.area().tolist() == [100]
    assert not dataset.has_masks
    assert "(first: annotations/a.json, object 1)" in caplog.text


def test_classes_of_pixels_come_through_worker_processes(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chain = transforms.Compose([transforms.Normalize()])
    with caplog.at_level(logging.WARNING, "paddlex"):
        dataset = EasyDataSeg(root, root / "train.txt", root / "labels.txt", transforms=chain, num_workers=1)
    assert not caplog.records
    assert dataset.num_classes == 3
    with BatchLoader(
        dataset.samples,
        batch_size=2,
        sample_transforms=chain.sample_chain(),
        batch_transforms=chain.batch_chain(),
        num_workers=dataset.num_workers,
    ) as loader:
        (batch,) = loader.epoch(0)
    assert batch["label_map"].shape == (2, HEIGHT, WIDTH)
    assert np.bincount(batch["label_map"][0].ravel()).tolist() == [600 - 280, 80, 200]


def test_the_class_of_uncovered_pixels_is_told_where_its_name_does_not(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "labels.txt").write_text("leaf\nstem\n")
    with caplog.at_level(logging.WARNING, "paddlex"):
        EasyDataSeg(root, root / "train.txt", root / "labels.txt")
    assert "EasyDataSeg: pixels that no object covers count as 'leaf', the first label" in caplog.text


def test_a_label_that_is_not_listed_is_told_with_its_file(root: Path) -> None:
    (root / "labels.txt").write_text("background\nleaf\n")
    dataset = EasyDataSeg(root, root / "train.txt", root / "labels.txt")
    with pytest.raises(FileFormatError, match=r"a.json, object 2: label 'stem' is not in the list of labels"):
        dataset.samples[0]


def test_other_buffers_and_methods_are_explained(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "paddlex"):
        EasyDataDet(root, root / "train.txt", root / "labels.txt")
        assert "mean nothing here" not in caplog.text
        EasyDataDet(root, root / "train.txt", root / "labels.txt", buffer_size=7, parallel_method="thread")
    assert "EasyDataDet: buffer_size, parallel_method mean nothing here" in caplog.text
