"""Every fault of a COCO data set is found, told in one line, and judged as training would meet it."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.awkward_coco import AWKWARD
from data.tiny_coco import HEIGHT, TRAIN, VAL, WIDTH, edit, load, write_tiny_coco
from PIL import Image

from paddlex.data.checks import Problem, check_coco_dataset, list_briefly
from paddlex.data.instance_dataset import InstanceDataset
from paddlex.utils.errors import DatasetFileNotFoundError

# What training copes with; all other kinds forbid it.
WARNINGS = {
    "annotation-id-duplicate",
    "area-invalid",
    "bbox-differs",
    "bbox-invalid",
    "class-without-objects",
    "id-text",
    "num-classes",
    "outline-without-area",
    "photo-copy",
    "photo-copy-in-train-and-val",
    "photo-in-train-and-val",
    "photo-listed-twice",
    "photo-turned",
    "photos-empty",
    "polygon-few-points",
    "polygon-partly-outside",
    "size-missing",
}


def _kinds(problems: list[Problem]) -> Counter[str]:
    return Counter(problem.kind for problem in problems)


@pytest.mark.parametrize("case", sorted(AWKWARD))
def test_awkward_case_gives_exactly_these_problems(case: str, shared_data: Path, tmp_path: Path) -> None:
    awkward = shared_data / "awkward"
    shutil.copytree(awkward / "images", tmp_path / "images", ignore=shutil.ignore_patterns("huge.jpg"))
    (tmp_path / "annotations").mkdir()
    for name in (TRAIN, VAL):
        shutil.copyfile(awkward / "coco" / f"{case}.json", tmp_path / name)
    kinds, line = AWKWARD[case]

    problems = check_coco_dataset(tmp_path).problems

    # Both files are the case, so that every photo is in both; val's problems repeat train's.
    of_train = [
        problem
        for problem in problems
        if VAL not in str(problem) and problem.kind not in ("photo-in-train-and-val", "photo-copy")
    ]
    assert _kinds(of_train) == kinds
    assert (str(of_train[0]) if of_train else "") == line
    assert {p.kind for p in problems if p.severity == "warning"} <= WARNINGS
    assert not {p.kind for p in problems if p.severity == "error"} & WARNINGS


def test_awkward_cases_are_all_tested(shared_data: Path) -> None:
    assert {path.stem for path in (shared_data / "awkward" / "coco").glob("*.json")} == set(AWKWARD)


@pytest.mark.parametrize("case", [case for case, (kinds, _) in AWKWARD.items() if set(kinds) <= WARNINGS])
def test_training_takes_every_object_of_what_passes(case: str, shared_data: Path) -> None:
    awkward = shared_data / "awkward"
    kinds, _ = AWKWARD[case]
    objects = [
        item for item in load(awkward / "coco" / f"{case}.json")["annotations"] if not item.get("iscrowd")
    ]
    dataset = InstanceDataset(awkward / "images", awkward / "coco" / f"{case}.json")
    visible = [len(dataset[i].class_ids) for i in range(len(dataset))]
    assert sum(visible) == len(objects) - kinds.get("outline-without-area", 0)


# ---------------------------------------------------------------- generated: runs in any clone


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_coco(tmp_path / "tiny")


def _first(key: str, **changes: object) -> Callable[[dict[str, Any]], object]:
    """Change the first entry of a list; None removes a key."""

    def change(content: dict[str, Any]) -> None:
        entry = content[key][0]
        entry.update(changes)
        for name in [name for name, value in changes.items() if value is None]:
            del entry[name]

    return change


def _segmentation(value: object) -> Callable[[dict[str, Any]], object]:
    return _first("annotations", segmentation=value)


GENERATED: dict[str, tuple[Callable[[dict[str, Any]], object], dict[str, int]]] = {
    "sound": (lambda content: None, {}),
    "image without id": (_first("images", id=None), {"entry-malformed": 1, "annotation-of-unknown-image": 2}),
    "image id is no number": (
        _first("images", id="first"),
        {"entry-malformed": 1, "annotation-of-unknown-image": 2},
    ),
    "annotation without id": (_first("annotations", id=None), {}),
    "text ids": (_first("annotations", id="1", image_id="0"), {"id-text": 1}),
    "entry is no object": (lambda content: content["images"].append(7), {"entry-malformed": 1}),
    "images is an object": (
        lambda content: content.update(images={}),
        {"file-not-coco": 1, "annotation-of-unknown-image": 8},
    ),
    "no categories": (
        lambda content: content.update(categories=[]),
        {"no-categories": 1, "annotation-of-unknown-category": 8},
    ),
    "category twice": (
        lambda content: content["categories"].append({"id": 2, "name": "ring"}),
        {"category-id-duplicate": 1},
    ),
    "photo missing": (_first("images", file_name="gone.png"), {"photo-missing": 1}),
    "photo leads out": (_first("images", file_name="../../p0.png"), {}),
    "windows path": (_first("images", file_name="images\\p0.png"), {}),
    "size of another photo": (_first("images", width=640), {"size-differs": 1}),
    "size missing": (_first("images", width=None, height=None), {"size-missing": 1}),
    "listed twice": (
        lambda content: content["images"].append({**content["images"][0], "id": 99}),
        {"photo-listed-twice-differently": 1},
    ),
    "flat polygon": (_segmentation([4, 10, 24, 10, 24, 30, 4, 30]), {}),
    "two points": (_segmentation([[4, 10, 24, 30]]), {"polygon-few-points": 1}),
    "odd numbers": (_segmentation([[4, 10, 24, 10, 24, 30, 4]]), {"outline-unusable": 1}),
    "infinity": (_segmentation([[4, 10, 24, 10, float("inf"), 30]]), {"outline-unusable": 1}),
    "text in polygon": (_segmentation([["4", 10, 24, 10, 24, 30]]), {"outline-unusable": 1}),
    "on one line": (_segmentation([[4, 10, 14, 10, 24, 10]]), {"outline-without-area": 1}),
    "less than a pixel": (_segmentation([[4.1, 10.1, 4.2, 10.1, 4.2, 10.2]]), {"outline-without-area": 1}),
    "bow tie": (_segmentation([[4, 10, 24, 30, 24, 10, 4, 30]]), {}),
    "one pixel beyond": (
        _segmentation([[4, 10, 24, 10, 24, HEIGHT + 1, 4, HEIGHT + 1]]),
        {"bbox-differs": 1},
    ),
    "partly outside": (
        _first("annotations", segmentation=[[-10, 10, 24, 10, 24, 30, -10, 30]], bbox=[0, 10, 24, 20]),
        {"polygon-partly-outside": 1},
    ),
    "wholly outside": (_segmentation([[WIDTH, 10, 90, 10, 90, 30]]), {"polygon-outside": 1}),
    "absurdly far": (_segmentation([[4, 10, 1e12, 10, 24, 30]]), {"outline-unusable": 1}),
    "box only": (_first("annotations", segmentation=None), {"outline-missing": 1}),
    "empty polygon": (_segmentation([[]]), {"outline-missing": 1}),
    "negative box": (_first("annotations", bbox=[4, 10, -20, 20]), {"bbox-invalid": 1}),
    "box elsewhere": (_first("annotations", bbox=[30, 20, 20, 20]), {"bbox-differs": 1}),
    "RLE": (
        _segmentation({"size": [HEIGHT, WIDTH], "counts": [4 * HEIGHT, 20 * HEIGHT, 40 * HEIGHT]}),
        {"bbox-differs": 1},
    ),
    "RLE of other size": (
        _segmentation({"size": [WIDTH, HEIGHT], "counts": [WIDTH * HEIGHT]}),
        {"rle-size": 1},
    ),
    "RLE too short": (_segmentation({"size": [HEIGHT, WIDTH], "counts": [5, 5]}), {"outline-unusable": 1}),
    "RLE damaged": (_segmentation({"size": [HEIGHT, WIDTH], "counts": "~~~"}), {"outline-unusable": 1}),
    "RLE empty": (
        _segmentation({"size": [HEIGHT, WIDTH], "counts": [WIDTH * HEIGHT]}),
        {"outline-without-area": 1},
    ),
    "crowd": (_first("annotations", iscrowd=1), {}),
    "class without objects": (
        lambda content: content.update(annotations=content["annotations"][::2]),
        {"class-without-objects": 1},
    ),
}


@pytest.mark.parametrize("case", GENERATED)
def test_generated_case_gives_exactly_these_problems(case: str, tiny: Path) -> None:
    change, kinds = GENERATED[case]
    edit(tiny / TRAIN, change)

    scan = check_coco_dataset(tiny)

    of_train = [problem for problem in scan.problems if problem.file != VAL]
    assert _kinds(of_train) == kinds
    assert {problem.kind for problem in scan.warnings} <= WARNINGS
    assert not {problem.kind for problem in scan.errors} & WARNINGS
    assert all("\n" not in str(problem) for problem in scan.problems)


def test_empty_photos_are_no_fault_unless_they_are_unwanted(tiny: Path) -> None:
    edit(tiny / TRAIN, lambda content: content.update(annotations=content["annotations"][2:]))
    assert check_coco_dataset(tiny).problems == []
    assert _kinds(check_coco_dataset(tiny, allow_empty=False).problems) == {"photos-empty": 1}


def test_photos_are_judged_by_all_their_bytes(tiny: Path) -> None:
    content = (tiny / "images" / "p0.png").read_bytes()
    (tiny / "images" / "p0.png").write_bytes(content[: len(content) // 2])
    (tiny / "images" / "p1.png").write_bytes(b"")
    (tiny / "images" / "p2.png").write_text("no photo")
    (tiny / "images" / "p3.png").unlink()

    assert _kinds(check_coco_dataset(tiny).problems) == {"photo-unreadable": 3, "photo-missing": 1}


@pytest.mark.parametrize("stated", ["Q0.png", "q0.jpg"], ids=["letters' case", "suffix"])
def test_missing_photo_is_guessed_by_spelling(stated: str, tiny: Path) -> None:
    (tiny / "images" / "p0.png").rename(tiny / "images" / "q0.PNG")
    edit(tiny / TRAIN, _first("images", file_name=stated))
    if (tiny / "images" / stated).exists():
        pytest.skip("this file system ignores the case of letters")

    [problem] = check_coco_dataset(tiny).problems

    assert problem.remedy == "correct its name if q0.PNG is meant"


@pytest.mark.parametrize(
    ("orientation", "stated", "kinds"),
    [
        (6, (WIDTH, HEIGHT), {"photo-turned-otherwise": 1}),
        # The right object, drawn at x 34 to 54, leaves a photo that is 48 pixels wide.
        (6, (HEIGHT, WIDTH), {"polygon-partly-outside": 1}),
        (3, (WIDTH, HEIGHT), {"photo-turned": 1}),
    ],
    ids=["frame as stored", "upright frame", "turned by 180 degrees: cannot be told"],
)
def test_exif_turn_is_compared_with_the_stated_size(
    orientation: int, stated: tuple[int, int], kinds: dict[str, int], tiny: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    image.save(tiny / "images" / "p0.jpg", exif=exif)
    edit(tiny / TRAIN, _first("images", file_name="p0.jpg", width=stated[0], height=stated[1]))

    assert _kinds(check_coco_dataset(tiny).problems) == kinds


def test_photos_in_train_and_val_are_found_by_path_and_by_content(tiny: Path) -> None:
    edit(tiny / VAL, _first("images", file_name="p0.png"))
    shutil.copyfile(tiny / "images" / "p1.png", tiny / "images" / "p5.png")

    assert [str(problem) for problem in check_coco_dataset(tiny).problems] == [
        "images/p0.png: listed for training and for validation; remove it from one of them: scores on photos "
        "learnt by heart are too good",
        "images/p1.png: the same bytes as images/p5.png, which is for validation; keep one of them: scores "
        "on photos learnt by heart are too good",
    ]


def test_photo_listed_twice_with_the_same_objects_only_counts_more(tiny: Path) -> None:
    def repeat(content: dict[str, Any]) -> None:
        content["images"].append({**content["images"][0], "id": 99})
        copies = [{**a, "id": a["id"] + 100, "image_id": 99} for a in content["annotations"][:2]]
        content["annotations"] += copies

    edit(tiny / TRAIN, repeat)
    assert _kinds(check_coco_dataset(tiny).problems) == {"photo-listed-twice": 1}


@pytest.mark.parametrize(
    ("categories", "found"),
    [
        (
            [{"id": 2, "name": "disc"}, {"id": 1, "name": "bar"}],
            "the same classes in another order than in train",
        ),
        (
            [{"id": 1, "name": "disc"}, {"id": 2, "name": "bar"}],
            "the same classes with other ids than in train",
        ),
        (
            [{"id": 1, "name": "bar"}, {"id": 2, "name": "ring"}],
            "only train lists disc; only val lists ring",
        ),
    ],
    ids=["order", "ids", "names"],
)
def test_classes_of_train_and_val_must_agree(
    categories: list[dict[str, Any]], found: str, tiny: Path
) -> None:
    edit(tiny / VAL, lambda content: content.update(categories=categories))

    [problem] = check_coco_dataset(tiny).problems

    assert (problem.kind, problem.severity, problem.found) == ("categories-differ", "error", found)


def test_number_of_classes_is_compared_with_the_setting(tiny: Path) -> None:
    assert check_coco_dataset(tiny, num_classes=2).problems == []
    [problem] = check_coco_dataset(tiny, num_classes=80).errors
    assert str(problem) == (
        f"{TRAIN}, categories: 2 classes, but Train.num_classes is 80; set Train.num_classes=2 before "
        "training"
    )


def test_missing_files_come_with_the_way_to_get_them(tiny: Path, tmp_path: Path) -> None:
    (tiny / VAL).unlink()
    assert str(check_coco_dataset(tiny).problems[0]) == (
        f"{VAL}: the file does not exist; set CheckDataset.split.enable=True to split instance_train.json "
        "in two"
    )
    (tiny / TRAIN).unlink()
    (tiny / "train_anno_list.txt").touch()
    assert [problem.remedy for problem in check_coco_dataset(tiny).problems] == [
        "set CheckDataset.convert.enable=True and CheckDataset.convert.src_dataset_type=LabelMe"
    ] * 2
    with pytest.raises(DatasetFileNotFoundError, match="no such folder"):
        check_coco_dataset(tmp_path / "nowhere")


def test_all_faults_are_found_at_once(tiny: Path) -> None:
    def damage(content: dict[str, Any]) -> None:
        content["images"][1]["width"] = 1
        content["annotations"][0]["category_id"] = 9
        content["annotations"][5]["segmentation"] = []

    edit(tiny / TRAIN, damage)
    (tiny / "images" / "p0.png").unlink()
    (tiny / VAL).write_text("{")

    assert _kinds(check_coco_dataset(tiny).errors) == {
        "annotation-of-unknown-category": 1,
        "file-unreadable": 1,
        "photo-missing": 1,
        "size-differs": 1,
        "outline-missing": 1,
    }


def test_brief_list_limits_each_kind() -> None:
    def problem(kind: str, number: int) -> Problem:
        return Problem(kind=kind, severity="error", file=f"{kind}{number}", found="x", remedy="y")

    problems = [problem("a", i) for i in range(40)] + [problem("b", i) for i in range(3)]

    assert list_briefly(problems, limit=2) == [
        "a0: x; y",
        "a1: x; y",
        "... and 38 more of this kind (a)",
        "b0: x; y",
        "b1: x; y",
        "... and 1 more of this kind (b)",
    ]


def test_problem_in_the_report_is_json(tiny: Path) -> None:
    edit(tiny / TRAIN, _first("annotations", bbox=[float("nan")] * 4))
    [problem] = check_coco_dataset(tiny).problems
    assert json.loads(json.dumps(problem.to_json(), allow_nan=False)) == {
        "kind": "bbox-invalid",
        "severity": "warning",
        "file": TRAIN,
        "where": "annotation 1 of p0.png",
        "found": "bbox [nan, nan, nan, nan]",
        "expected": "[x, y, width, height] of positive size",
        "remedy": "the box is computed from the outline; remove it for other tools' sake",
        "message": str(problem),
    }
