"""A data set is split anew reproducibly; nothing is lost, and after a failure nothing has changed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from data.tiny_coco import TRAIN, VAL, edit, hashes, load, write_tiny_coco

from paddlex.data.checks import check_coco_dataset
from paddlex.data.splitting import choose_sides, require_percents, split_coco_dataset
from paddlex.utils.errors import DatasetFileNotFoundError, SplitFailedError


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_coco(tmp_path / "tiny")


def _names(file: Path) -> list[str]:
    return [image["file_name"] for image in load(file)["images"]]


def _split(folder: Path, train_percent: float = 50, *, seed: int = 0) -> None:
    split_coco_dataset(folder, train_percent=train_percent, val_percent=100 - train_percent, seed=seed)


def test_split_keeps_every_photo_and_annotation_once(tiny: Path) -> None:
    before = [load(tiny / name) for name in (TRAIN, VAL)]
    summary = split_coco_dataset(tiny, train_percent=50, val_percent=50, seed=0)
    after = [load(tiny / name) for name in (TRAIN, VAL)]

    assert (summary.train_photos, summary.val_photos, summary.one_sided_classes) == (3, 3, ())
    for key in ("images", "annotations"):
        old = [json.dumps({**entry, "id": 0}) for content in before for entry in content[key]]
        new = [json.dumps({**entry, "id": 0}) for content in after for entry in content[key]]
        assert Counter(old) == Counter(new)
    assert check_coco_dataset(tiny).problems == []
    for content in after:
        assert [a["id"] for a in content["annotations"]] == list(range(1, 7))
        assert content["info"] == {"year": 2024}
        assert {a["image_id"] for a in content["annotations"]} == {i["id"] for i in content["images"]}


def test_split_is_the_same_for_a_seed_and_differs_between_seeds(tmp_path: Path) -> None:
    drawn = []
    for run, seed in enumerate((0, 0, 1)):
        folder = write_tiny_coco(tmp_path / str(run), train=12, val=4)
        _split(folder, 75, seed=seed)
        drawn.append(_names(folder / TRAIN))
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


@pytest.mark.parametrize(("percent", "train", "val"), [(1, 1, 5), (50, 3, 3), (80, 5, 1), (99, 5, 1)])
def test_neither_side_is_ever_empty(percent: float, train: int, val: int, tiny: Path) -> None:
    _split(tiny, percent)
    assert (len(_names(tiny / TRAIN)), len(_names(tiny / VAL))) == (train, val)


@pytest.mark.parametrize("missing", [TRAIN, VAL])
def test_one_file_is_enough(missing: str, tiny: Path) -> None:
    (tiny / missing).unlink()
    _split(tiny)
    assert len(_names(tiny / TRAIN)) == len(_names(tiny / VAL)) == (2 if missing == VAL else 1)
    assert check_coco_dataset(tiny).errors == []


def test_first_backup_is_kept(tiny: Path) -> None:
    originals = {name: (tiny / name).read_bytes() for name in (TRAIN, VAL)}
    _split(tiny, 50, seed=0)
    _split(tiny, 30, seed=1)
    assert {name: (tiny / f"{name}.bak").read_bytes() for name in (TRAIN, VAL)} == originals


def test_ids_change_only_where_they_collide(tiny: Path) -> None:
    # Val holds images 4 and 5; image 4 becomes 0, which train has.
    def collide(content: dict[str, Any]) -> None:
        content["images"][0]["id"] = 0
        for annotation in content["annotations"][:2]:
            annotation["image_id"] = 0

    edit(tiny / VAL, collide)
    _split(tiny)

    images = {i["file_name"]: i["id"] for name in (TRAIN, VAL) for i in load(tiny / name)["images"]}
    assert images == {"p0.png": 0, "p1.png": 1, "p2.png": 2, "p3.png": 3, "p4.png": 4, "p5.png": 5}
    assert check_coco_dataset(tiny).problems == []


def test_categories_are_merged_by_name(tiny: Path) -> None:
    def rename(content: dict[str, Any]) -> None:
        content["categories"] = [{"id": 1, "name": "disc"}, {"id": 2, "name": "ring"}]

    edit(tiny / VAL, rename)
    _split(tiny)

    contents = [load(tiny / name) for name in (TRAIN, VAL)]
    expected = [{"id": 1, "name": "bar"}, {"id": 2, "name": "disc"}, {"id": 3, "name": "ring"}]
    assert [content["categories"] for content in contents] == [expected, expected]
    shown = {
        image["file_name"]: [a["category_id"] for a in content["annotations"] if a["image_id"] == image["id"]]
        for content in contents
        for image in content["images"]
    }
    assert shown == {f"p{i}.png": [1, 2] if i < 4 else [2, 3] for i in range(6)}


def test_unknown_keys_and_licenses_of_both_files_are_kept(tiny: Path) -> None:
    edit(tiny / TRAIN, lambda content: content.update(licenses=[{"id": 1}], rig="north"))
    edit(tiny / VAL, lambda content: content.update(licenses=[{"id": 1}, {"id": 2}], shift=2))
    edit(tiny / VAL, lambda content: content["images"][0].update(license=2, photographer="七"))
    _split(tiny)

    contents = [load(tiny / name) for name in (TRAIN, VAL)]
    for content in contents:
        assert content["licenses"] == [{"id": 1}, {"id": 2}]
        assert (content["rig"], content["shift"]) == ("north", 2)
    [photo] = [i for content in contents for i in content["images"] if i["file_name"] == "p4.png"]
    assert (photo["license"], photo["photographer"]) == (2, "七")


def test_photo_that_is_listed_twice_stays_on_one_side(tmp_path: Path) -> None:
    for seed in range(5):
        folder = write_tiny_coco(tmp_path / str(seed))
        edit(folder / VAL, lambda content: content["images"][0].update(file_name="images\\p0.png"))
        _split(folder, seed=seed)
        sides = [{name.split("\\")[-1] for name in _names(folder / name)} for name in (TRAIN, VAL)]
        assert not sides[0] & sides[1]


def test_every_class_comes_to_both_sides_where_it_can() -> None:
    # Classes 1 and 2 are shown by two photos of fifty each; a plain draw parts both in one of four cases.
    classes = [{0} for _ in range(46)] + [{0, 1}, {1}, {2}, {0, 2}]
    for seed in range(20):
        sides = choose_sides(classes, train_percent=80, seed=seed)
        assert [len(side) for side in sides] == [40, 10]
        assert sorted(sides[0] + sides[1]) == list(range(50))
        for side in sides:
            assert {c for photo in side for c in classes[photo]} == {0, 1, 2}


def test_class_that_one_photo_shows_is_named(tiny: Path) -> None:
    def rename(content: dict[str, Any]) -> None:
        content["categories"].append({"id": 7, "name": "ring"})
        content["annotations"][0]["category_id"] = 7

    edit(tiny / TRAIN, rename)
    summary = split_coco_dataset(tiny, train_percent=50, val_percent=50)
    assert summary.one_sided_classes == ("ring",)


@pytest.mark.parametrize(
    "percents",
    [(80, 30), (0, 100), (100, 0), (-10, 110), (None, None), ("80", "20"), (True, 99), (float("nan"), 50)],
    ids=str,
)
def test_bad_percents_are_refused_in_one_line(percents: tuple[Any, Any], tiny: Path) -> None:
    before = hashes(tiny)
    with pytest.raises(SplitFailedError) as caught:
        split_coco_dataset(tiny, train_percent=percents[0], val_percent=percents[1])
    assert str(caught.value) == (
        f"CheckDataset.split: train_percent {percents[0]!r} and val_percent {percents[1]!r}; expected two "
        "positive numbers that add up to 100; for example 80 and 20"
    )
    assert hashes(tiny) == before


def test_percents_may_be_fractions() -> None:
    assert require_percents(66.7, 33.3) == (66.7, 33.3)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / VAL).write_text("{"), "cannot split: .*instance_val.json: not valid JSON"),
        (
            lambda folder: edit(folder / TRAIN, lambda c: c["annotations"][0].update(image_id=77)),
            "image_id 77 is not listed",
        ),
        (
            lambda folder: edit(folder / TRAIN, lambda c: c["images"][1].update(id=0)),
            r"images: id 0 is given 2 times.* \(and 2 more\)",
        ),
        (
            lambda folder: [(folder / name).unlink() for name in (TRAIN, VAL)],
            "neither instance_train.json nor",
        ),
        (
            lambda folder: [
                edit(folder / n, lambda c: c.update(images=[], annotations=[])) for n in (TRAIN, VAL)
            ],
            "0 photo; a split needs at least 2",
        ),
    ],
    ids=["cut file", "dangling annotation", "image ids twice", "no file", "no photo"],
)
def test_unusable_files_leave_the_folder_as_it_was(damage: Any, message: str, tiny: Path) -> None:
    damage(tiny)
    before = hashes(tiny)
    with pytest.raises(SplitFailedError, match=message):
        _split(tiny)
    assert hashes(tiny) == before


def test_failure_while_writing_leaves_the_folder_as_it_was(tiny: Path) -> None:
    # A folder in the place of the second file cannot be replaced by a file.
    (tiny / VAL).unlink()
    (tiny / VAL).mkdir()
    (tiny / VAL / "notes.txt").write_text("keep")
    before = hashes(tiny)
    with pytest.raises(SplitFailedError, match=r"cannot be written .*; nothing was changed"):
        _split(tiny)
    assert hashes(tiny) == before


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetFileNotFoundError, match="no such folder"):
        _split(tmp_path / "nowhere")
