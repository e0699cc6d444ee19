"""`VOCDetection`: masks from pictures, from polygons, and boxes where there is neither."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paddlex.data.formats.voc import VocFile, VocObject, write_voc
from paddlex.data.loader import BatchLoader
from paddlex.datasets import VOCDetection
from paddlex.det import transforms
from paddlex.utils.errors import DatasetError, DatasetFileNotFoundError

HEIGHT, WIDTH = 48, 64
TRIANGLE = np.array([[10.0, 10], [30, 10], [10, 30]])
BOXES = ((10.0, 10.0, 30.0, 30.0), (40.0, 20.0, 60.0, 40.0))


def add_photo(
    root: Path, name: str, objects: tuple[VocObject, ...], *, numbers: np.ndarray | None = None
) -> None:
    """A photo with its XML and, if given, the picture of its objects; listed in train.txt."""
    for folder in ("JPEGImages", "Annotations", "SegmentationObject"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(root / "JPEGImages" / f"{name}.jpg")
    write_voc(root / "Annotations" / f"{name}.xml", VocFile(f"{name}.jpg", (HEIGHT, WIDTH), objects))
    if numbers is not None:
        picture = Image.fromarray(numbers)
        picture.putpalette([index for index in range(256) for _ in range(3)])
        picture.save(root / "SegmentationObject" / f"{name}.png")
    with (root / "train.txt").open("a") as file:
        file.write(f"JPEGImages/{name}.jpg Annotations/{name}.xml\n")


def two_objects(**options) -> tuple[VocObject, VocObject]:
    return VocObject("cat", BOXES[0]), VocObject("dog", BOXES[1], **options)


def numbered() -> np.ndarray:
    """The first object a rectangle smaller than its box, the second all of it, a border of 255 between."""
    numbers = np.zeros((HEIGHT, WIDTH), np.uint8)
    numbers[12:28, 12:28] = 1
    numbers[20:40, 40:60] = 2
    numbers[20:40, 39] = 255
    return numbers


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "voc"
    folder.mkdir()
    (folder / "labels.txt").write_text("dog\ncat\n")
    return folder


def opened(root: Path, **options) -> VOCDetection:
    return VOCDetection(str(root), str(root / "train.txt"), str(root / "labels.txt"), **options)


def test_masks_come_from_the_picture_of_objects(root: Path) -> None:
    add_photo(root, "a", two_objects(is_difficult=True), numbers=numbered())
    dataset = opened(root)
    assert (dataset.labels, dataset.metric_kind, dataset.has_masks) == (["dog", "cat"], "VOC", True)
    sample = dataset.samples[0]
    assert sample.class_ids.tolist() == [1, 0]
    assert sample.boxes.tolist() == [list(box) for box in BOXES]
    dense = sample.masks.to_dense()
    np.testing.assert_array_equal(dense[0], numbered() == 1)
    np.testing.assert_array_equal(dense[1], numbered() == 2)


def test_ground_truth_numbers_classes_from_1_and_marks_difficult_objects(root: Path) -> None:
    add_photo(root, "a", two_objects(is_difficult=True), numbers=numbered())
    truth = opened(root).ground_truth()
    assert truth["categories"] == [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    assert [(one["category_id"], one["difficult"]) for one in truth["annotations"]] == [(2, 0), (1, 1)]
    assert [one["area"] for one in truth["annotations"]] == [256, 400]


def test_masks_come_from_polygons(root: Path) -> None:
    add_photo(root, "a", (VocObject("cat", BOXES[0], (TRIANGLE, TRIANGLE + 30)),))
    dataset = opened(root)
    (parts,) = dataset.samples[0].masks.polygons
    assert [part.tolist() for part in parts] == [TRIANGLE.tolist(), (TRIANGLE + 30).tolist()]
    assert dataset.has_masks


def test_boxes_stand_for_masks_where_there_are_none(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_photo(root, "a", two_objects())
    with caplog.at_level(logging.WARNING, "paddlex"):
        dataset = opened(root)
    assert not dataset.has_masks
    assert dataset.samples[0].masks.area().tolist() == [400, 400]
    assert (
        "VOCDetection: 2 of 2 objects have no mask, and the rectangle of their box stands for it"
        in caplog.text
    )


def test_an_object_that_the_picture_does_not_show_keeps_its_box(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = numbered()
    numbers[numbers == 2] = 0
    add_photo(root, "a", two_objects(), numbers=numbers)
    with caplog.at_level(logging.WARNING, "paddlex"):
        areas = opened(root).samples[0].masks.area().tolist()
    assert areas == [256, 400]
    assert (
        "1 x no pixel in SegmentationObject: its box counts (first: Annotations/a.xml, object 2)"
        in caplog.text
    )


def test_what_cannot_be_used_is_left_out_and_counted(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_photo(root, "a", (*two_objects(), VocObject("horse", BOXES[0])))
    add_photo(root, "b", two_objects())
    (root / "Annotations" / "b.xml").write_text("<annotation>")
    add_photo(root, "c", two_objects())
    (root / "JPEGImages" / "c.jpg").write_bytes(b"no photo")
    add_photo(root, "d", two_objects(), numbers=np.zeros((5, 5), np.uint8))
    with (root / "train.txt").open("a") as file:
        file.write("JPEGImages/gone.jpg Annotations/gone.xml\n")
    with caplog.at_level(logging.WARNING, "paddlex"):
        dataset = opened(root)
    assert [Path(one["image"]).name for one in dataset.file_list] == ["a.jpg", "d.jpg"]
    for reason in (
        "1 x label is not in the list of labels (first: Annotations/a.xml, object 3)",
        "1 x annotation cannot be read (first: Annotations/b.xml)",
        "1 x photo cannot be read (first: JPEGImages/c.jpg)",
        "1 x masks of another size than their photo (first: d.png)",
        "1 x file is missing (first: line 5)",
    ):
        assert reason in caplog.text


def test_photos_without_objects_stay_if_wanted(root: Path) -> None:
    add_photo(root, "a", two_objects(), numbers=numbered())
    add_photo(root, "b", ())
    assert len(opened(root)) == 1
    dataset = opened(root, allow_empty=True)
    assert (len(dataset), dataset.pos_num, dataset.has_masks) == (2, 1, True)


def test_batches_come_through_worker_processes(root: Path) -> None:
    for name in ("a", "b"):
        add_photo(root, name, two_objects(), numbers=numbered())
    chain = transforms.ComposedRCNNTransforms("eval", min_max_size=[24, 64])
    dataset = opened(root, transforms=chain, num_workers=1)
    with BatchLoader(
        dataset.samples,
        batch_size=2,
        sample_transforms=chain.sample_chain(),
        batch_transforms=chain.batch_chain(extra=[{"PadBatch": {"stride": 32}}]),
        num_workers=dataset.num_workers,
    ) as loader:
        (batch,) = loader.epoch(0)
    assert batch["image"].shape == (2, 3, 32, 32)
    assert batch["gt_boxes"][0].tolist() == [[5, 5, 15, 15], [20, 10, 30, 20]]


def test_faulty_arguments_give_one_line(root: Path) -> None:
    add_photo(root, "a", (VocObject("horse", BOXES[0]),))
    with pytest.raises(DatasetError, match=r"no usable instance .*label is not in the list of labels"):
        opened(root)
    with pytest.raises(DatasetFileNotFoundError, match=r"^VOCDetection.label_list: no file gone.txt"):
        VOCDetection(root, root / "train.txt", "gone.txt")
