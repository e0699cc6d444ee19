"""`SegDataset`: pairs, labels and classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data.tiny_semantic import HEIGHT, NAMES, WIDTH, write_pair, write_tiny_semantic

from paddlex.data.loader import BatchLoader
from paddlex.datasets import SegDataset
from paddlex.seg import transforms
from paddlex.utils.errors import DatasetError, DatasetFileNotFoundError, FileFormatError


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_semantic(tmp_path / "tiny")


def test_fields_are_those_of_the_documents(tiny: Path) -> None:
    dataset = SegDataset(
        str(tiny), str(tiny / "val.txt"), str(tiny / "labels.txt"), shuffle=True, num_workers=1
    )
    assert dataset.labels == list(NAMES) and dataset.num_classes == 3
    assert len(dataset) == dataset.num_samples == 2
    assert (dataset.shuffle, dataset.num_workers, dataset.transforms) == (True, 1, None)
    assert dataset.metric_kind is None
    assert dataset.file_list[1] == {
        "image": str(tiny / "images" / "photo5.png"),
        "mask": str(tiny / "annotations" / "photo5.png"),
    }
    assert dataset.samples.class_names == NAMES


def test_lists_may_lie_anywhere(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lists").mkdir()
    (tiny / "val.txt").rename(tmp_path / "lists" / "val.txt")
    (tiny / "labels.txt").rename(tmp_path / "lists" / "names.txt")
    monkeypatch.chdir(tmp_path)
    dataset = SegDataset("tiny", "lists/val.txt", "lists/names.txt")
    monkeypatch.chdir("/")
    assert dataset.samples[0].image.shape == (HEIGHT, WIDTH, 3), "paths stay right when the folder changes"
    assert len(SegDataset(tiny, "train.txt")) == 4, "names below data_dir are found, too"


def test_classes_without_names_are_counted_in_the_masks(tiny: Path) -> None:
    (tiny / "labels.txt").unlink()
    line = write_pair(tiny, "more", label_map=np.full((HEIGHT, WIDTH), 6, np.uint8))
    with (tiny / "train.txt").open("a") as file:
        file.write(line)
    dataset = SegDataset(tiny, tiny / "train.txt")
    assert (dataset.labels, dataset.num_classes) == ([], 7)
    assert dataset.samples.num_classes == 7
    assert dataset.samples.class_names[6] == "class 6"
    assert dataset.samples[4].label_map.max() == 6


def test_batches_come_through_the_user_s_transforms(tiny: Path) -> None:
    chain = transforms.Compose([transforms.Resize([24, 16]), transforms.Normalize()])
    dataset = SegDataset(tiny, tiny / "train.txt", tiny / "labels.txt", transforms=chain, num_workers=0)
    with BatchLoader(
        dataset.samples,
        batch_size=2,
        sample_transforms=dataset.transforms.sample_chain(),
        batch_transforms=dataset.transforms.batch_chain(),
    ) as loader:
        batch = next(iter(loader.epoch(0)))
    assert batch["image"].shape == (2, 3, 16, 24) and batch["label_map"].shape == (2, 16, 24)
    assert set(np.unique(batch["label_map"])) == {0, 1, 2, 255}


def test_a_label_without_a_name_is_told_with_its_mask(tiny: Path) -> None:
    (tiny / "labels.txt").write_text("background\nleaf\n")
    dataset = SegDataset(tiny, tiny / "train.txt", tiny / "labels.txt")
    with pytest.raises(DatasetError, match=r"annotations/photo0.png: label 2; expected 0 to 1, or 255"):
        dataset.samples[0]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("gone", "train.txt"), DatasetFileNotFoundError, "SegDataset: gone is no folder"),
        ((".", "gone.txt"), DatasetFileNotFoundError, "SegDataset.file_list: no file gone.txt"),
        ((".", "train.txt", "gone.txt"), DatasetFileNotFoundError, "SegDataset.label_list: no file gone.txt"),
        ((".", "train.txt", "twice.txt"), FileFormatError, "twice.txt, line 2: 'leaf' is in line 1 already"),
        ((".", "train.txt", "gap.txt"), FileFormatError, "gap.txt, line 2: empty; expected the name"),
        ((".", "train.txt", "blank.txt"), FileFormatError, "blank.txt: the file is empty; expected the name"),
    ],
    ids=range(6),
)
def test_faulty_arguments_give_one_line(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple, error: type, message: str
) -> None:
    (tiny / "twice.txt").write_text("leaf\nleaf\n")
    (tiny / "gap.txt").write_text("leaf\n\nstem\n")
    (tiny / "blank.txt").write_text("\n")
    monkeypatch.chdir(tiny)
    with pytest.raises(error, match=message) as caught:
        SegDataset(*arguments)
    assert "\n" not in str(caught.value)
