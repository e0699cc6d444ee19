"""Photos and masks are split anew reproducibly; nothing is lost, and after a failure nothing has changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data.tiny_coco import hashes
from data.tiny_semantic import write_pair, write_tiny_semantic

from paddlex.data.checks import check_semantic_dataset
from paddlex.data.semantic_splitting import split_semantic_dataset
from paddlex.utils.errors import DatasetFileNotFoundError, SplitFailedError


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_semantic(tmp_path / "tiny")


def lines(folder: Path, name: str) -> list[str]:
    return (folder / f"{name}.txt").read_text().splitlines()


def test_every_pair_is_kept_once_and_the_originals_stay(tiny: Path) -> None:
    before = {name: (tiny / f"{name}.txt").read_text() for name in ("train", "val")}
    summary = split_semantic_dataset(tiny, train_percent=50, val_percent=50)
    assert (summary.train_photos, summary.val_photos, summary.one_sided_classes) == (3, 3, ())
    assert sorted(lines(tiny, "train") + lines(tiny, "val")) == sorted("".join(before.values()).splitlines())
    assert all((tiny / f"{name}.txt.bak").read_text() == text for name, text in before.items())
    assert check_semantic_dataset(tiny).problems == []


def test_a_seed_gives_one_split_and_others_others(tmp_path: Path) -> None:
    drawn = []
    for run, seed in enumerate((0, 0, 1)):
        folder = write_tiny_semantic(tmp_path / str(run), train=12, val=4)
        split_semantic_dataset(folder, train_percent=75, val_percent=25, seed=seed)
        drawn.append(lines(folder, "train"))
    assert drawn[0] == drawn[1] != drawn[2]


def test_rare_classes_come_to_both_sides(tmp_path: Path) -> None:
    folder = write_tiny_semantic(tmp_path, train=10, val=0)
    rare = np.full((32, 48), 3, np.uint8)
    with (folder / "train.txt").open("a") as file:
        file.writelines(write_pair(folder, f"rare{i}", label_map=rare, seed=90 + i) for i in range(2))
    for seed in range(5):
        split_semantic_dataset(folder, train_percent=80, val_percent=20, seed=seed)
        assert all(any("rare" in line for line in lines(folder, name)) for name in ("train", "val"))


def test_a_class_of_one_photo_is_named(tiny: Path) -> None:
    with (tiny / "val.txt").open("a") as file:
        file.write(write_pair(tiny, "rare", label_map=np.full((32, 48), 7, np.uint8), seed=9))
    summary = split_semantic_dataset(tiny, train_percent=50, val_percent=50)
    assert summary.one_sided_classes == ("class 7",)


def test_one_list_is_split_in_two(tiny: Path) -> None:
    (tiny / "val.txt").unlink()
    summary = split_semantic_dataset(tiny, train_percent=75, val_percent=25)
    assert (summary.train_photos, summary.val_photos) == (3, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("images/photo5.png\n", r"train.txt, line 1: not a photo and its mask"),
        (
            "images/photo5.png annotations/photo0.png\n",
            r"val.txt, line 2: images/photo5.png was listed",
        ),
        (None, r"neither train.txt nor val.txt"),
    ],
    ids=["line", "two masks", "no list"],
)
def test_lists_that_cannot_be_pooled_are_told_and_stay(text: str | None, message: str, tiny: Path) -> None:
    if text is None:
        (tiny / "train.txt").unlink()
        (tiny / "val.txt").unlink()
    else:
        (tiny / "train.txt").write_text(text)
    before = hashes(tiny)
    with pytest.raises(SplitFailedError, match=message):
        split_semantic_dataset(tiny, train_percent=50, val_percent=50)
    assert hashes(tiny) == before


def test_one_photo_cannot_be_split(tmp_path: Path) -> None:
    folder = write_tiny_semantic(tmp_path, train=1, val=0)
    with pytest.raises(SplitFailedError, match="1 photo; a split needs at least 2"):
        split_semantic_dataset(folder, train_percent=50, val_percent=50)


def test_percents_and_folder_are_checked_first(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(SplitFailedError, match="add up to 100"):
        split_semantic_dataset(tiny, train_percent=50, val_percent=40)
    with pytest.raises(DatasetFileNotFoundError, match="no such folder"):
        split_semantic_dataset(tmp_path / "nowhere", train_percent=50, val_percent=50)
