"""`check_dataset` from folder to result: order of steps, fields, drawings, chart, report, failures."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.tiny_coco import HEIGHT, TRAIN, VAL, WIDTH, edit, hashes, load, write_tiny_coco
from PIL import Image

from paddlex.modules.instance_segmentation.dataset_checker import check_dataset
from paddlex.utils.errors import (
    CheckFailedError,
    ConvertFailedError,
    DatasetFileNotFoundError,
    PaddleXError,
    SplitFailedError,
)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_coco(tmp_path / "tiny")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("paddlex"), "propagate", True)
    caplog.set_level(logging.INFO, logger="paddlex")
    return caplog


def _report(output: Path) -> dict[str, Any]:
    content = json.loads((output / "check_dataset" / "problems.json").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def test_result_has_the_documented_fields_in_order(tiny: Path, tmp_path: Path) -> None:
    result = check_dataset(dataset_dir=tiny, output_dir=tmp_path / "out")
    assert json.dumps(result) == json.dumps(
        {
            "check_pass": True,
            "attributes": {
                "num_classes": 2,
                "train_samples": 4,
                "train_sample_paths": [f"check_dataset/demo_img/p{i}.png" for i in range(4)],
                "val_samples": 2,
                "val_sample_paths": [f"check_dataset/demo_img/p{i}.png" for i in (4, 5)],
                "train_annotations": 8,
                "val_annotations": 4,
            },
            "analysis": {"histogram": "check_dataset/histogram.png"},
            "dataset_path": str(tiny),
            "show_type": "image",
            "dataset_type": "COCOInstSegDataset",
            "warnings": 0,
            "problems": "check_dataset/problems.json",
        }
    )
    assert _report(tmp_path / "out") == {"errors": 0, "warnings": 0, "problems": []}


def test_dataset_path_is_reported_as_given(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.parent)
    assert check_dataset(dataset_dir="./tiny", output_dir=tmp_path / "out")["dataset_path"] == "./tiny"


def test_log_tells_the_classes_and_that_the_check_passed(
    tiny: Path, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    edit(tiny / VAL, lambda content: content.update(annotations=content["annotations"][:2]))
    check_dataset(dataset_dir=tiny, output_dir=tmp_path / "out")
    lines = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in log.text.splitlines() if "│" in line
    ]
    assert lines == [
        ["1", "bar", "4", "1"],
        ["2", "disc", "4", "1"],
        ["", "objects", "8", "2"],
        ["", "photos", "4", "2"],
        ["", "photos without objects", "0", "1"],
    ]
    assert log.messages[-1] == "Check dataset passed !"


def test_samples_are_drawn_upright_for_each_split(tiny: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((WIDTH, HEIGHT, 3), np.uint8)
    Image.fromarray(pixels).save(tiny / "images" / "p0.jpg", exif=exif)
    edit(tiny / TRAIN, lambda content: content["images"][0].update(file_name="p0.jpg"))

    check_dataset(dataset_dir=tiny, output_dir=tmp_path / "out")

    with Image.open(tmp_path / "out" / "check_dataset" / "demo_img" / "p0.jpg") as drawn:
        assert drawn.size == (WIDTH, HEIGHT)
        inside, outside = np.asarray(drawn)[20, 14], np.asarray(drawn)[40, 29]
    # The first class is red; half of it lies over the black photo.
    assert inside[0] > 100 and inside[1] < 40 and outside.max() < 30


def test_number_of_val_samples_does_not_follow_train(tmp_path: Path) -> None:
    folder = write_tiny_coco(tmp_path / "tiny", train=2, val=12)
    attributes = check_dataset(dataset_dir=folder, output_dir=tmp_path / "out")["attributes"]
    assert [len(attributes[f"{split}_sample_paths"]) for split in ("train", "val")] == [2, 10]


def test_equal_names_and_other_formats_get_drawings_of_their_own(tiny: Path, tmp_path: Path) -> None:
    images = tiny / "images"
    (images / "a").mkdir()
    shutil.move(images / "p4.png", images / "a" / "p0.png")
    edit(tiny / VAL, lambda content: content["images"][0].update(file_name="a\\p0.png"))
    shutil.copyfile(images / "p0.png", images / "p1.png")
    edit(tiny / VAL, lambda content: content["images"][1].update(file_name="p0.png"))
    Image.open(images / "p2.png").save(images / "p2.gif")
    edit(tiny / TRAIN, lambda content: content["images"][2].update(file_name="p2.gif"))

    attributes = check_dataset(dataset_dir=tiny, output_dir=tmp_path / "out")["attributes"]

    names = [p.removeprefix("check_dataset/demo_img/") for p in attributes["train_sample_paths"]]
    assert names == ["p0.png", "p1.png", "p2.gif.png", "p3.png"]
    names = [p.removeprefix("check_dataset/demo_img/") for p in attributes["val_sample_paths"]]
    assert names == ["a/p0.png", "p0_val.png"]
    for path in (*attributes["train_sample_paths"], *attributes["val_sample_paths"]):
        with Image.open(tmp_path / "out" / path) as drawn:
            assert drawn.size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("name", ["枣子", "a" * 90, "$cost", "two\nlines", "🥜"], ids=ascii)
def test_histogram_bears_any_class_name_and_unequal_counts(name: str, tiny: Path, tmp_path: Path) -> None:
    for file in (TRAIN, VAL):
        edit(tiny / file, lambda content: content["categories"][1].update(name=name))
    edit(tiny / VAL, lambda content: content.update(annotations=content["annotations"][::2]))
    check_dataset(dataset_dir=tiny, output_dir=tmp_path / "out")
    with Image.open(tmp_path / "out" / "check_dataset" / "histogram.png") as chart:
        assert chart.size == (960, 600)


def test_many_tiny_objects_give_a_warning(tiny: Path, tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    # 1 x 1 of 64 x 48 pixels has the side 640 / sqrt(64 * 48) = 11.5 at 640 x 640; one of four objects is so.
    small = {"segmentation": [[4, 10, 5, 10, 5, 11, 4, 11]], "bbox": [4, 10, 1, 1], "area": 1}
    edit(tiny / VAL, lambda content: content["annotations"][0].update(small))
    result = check_dataset(dataset_dir=tiny, output_dir=tmp_path / "out")
    [problem] = _report(tmp_path / "out")["problems"]
    assert result["warnings"] == 1
    assert problem["message"] == (
        f"{VAL}: 25% of objects are under 16 pixels at input size 640; train with a larger input size, or "
        "cut the photos into tiles"
    )
    assert problem["message"] in log.messages


# ---------------------------------------------------------------- steps before


def test_split_comes_before_the_check(tiny: Path, tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    (tiny / VAL).unlink()
    attributes = check_dataset(dataset_dir=tiny, output_dir=tmp_path / "out", split_percents=(75, 25))[
        "attributes"
    ]
    assert (attributes["train_samples"], attributes["val_samples"]) == (3, 1)
    assert [m for m in log.messages if m.endswith("!")] == [
        "Split dataset successfully !",
        "Check dataset passed !",
    ]


def test_labelme_set_is_converted_split_and_checked(
    nuts_labelme: Path, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    folder = shutil.copytree(nuts_labelme, tmp_path / "nuts")
    result = check_dataset(
        dataset_dir=folder, output_dir=tmp_path / "out", convert_from="LabelMe", split_percents=(80, 20)
    )
    attributes = result["attributes"]
    assert (attributes["num_classes"], attributes["train_samples"], attributes["val_samples"]) == (3, 14, 4)
    assert attributes["train_annotations"] + attributes["val_annotations"] == 165
    assert [m for m in log.messages if m.endswith("!")] == [
        "Convert dataset successfully !",
        "Split dataset successfully !",
        "Check dataset passed !",
    ]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"convert_from": "VOC"}, ConvertFailedError, "src_dataset_type is 'VOC'; expected LabelMe"),
        ({"split_percents": (80, 30)}, SplitFailedError, "expected two positive numbers that add up to 100"),
        ({"convert_from": "LabelMe", "split_percents": (None, None)}, SplitFailedError, "train_percent None"),
    ],
    ids=["unknown format", "percents", "percents are looked at before anything is converted"],
)
def test_bad_settings_change_nothing(
    settings: dict[str, Any], error: type[PaddleXError], message: str, tiny: Path, tmp_path: Path
) -> None:
    before = hashes(tiny)
    with pytest.raises(error, match=message):
        check_dataset(dataset_dir=tiny, output_dir=tmp_path / "out", **settings)
    assert hashes(tiny) == before


# ---------------------------------------------------------------- failures


def test_failing_check_lists_all_errors_and_changes_nothing(tiny: Path, tmp_path: Path) -> None:
    (tiny / "images" / "p0.png").unlink()
    edit(tiny / TRAIN, lambda content: content["annotations"][3].update(segmentation=[], bbox=None))
    edit(tiny / VAL, lambda content: content["annotations"][0].update(area=-1))
    before = hashes(tiny)

    with pytest.raises(CheckFailedError) as caught:
        check_dataset(dataset_dir=tiny, output_dir=tmp_path / "out")

    assert str(caught.value) == (
        "Check dataset failed: 2 errors; all are in check_dataset/problems.json\n"
        f"  - {TRAIN}, image 0 (p0.png): images/p0.png does not exist; put it there, or remove its entry "
        "and its annotations\n"
        f"  - {TRAIN}, annotation 4 of p1.png: neither outline nor bbox; draw its outline, or remove it: "
        "without one the object would be learnt as background"
    )
    assert caught.value.report == {
        "check_pass": False,
        "dataset_path": str(tiny),
        "show_type": "image",
        "dataset_type": "COCOInstSegDataset",
        "warnings": 1,
        "problems": "check_dataset/problems.json",
    }
    assert [problem["kind"] for problem in _report(tmp_path / "out")["problems"]] == [
        "photo-missing",
        "outline-missing",
        "area-invalid",
    ]
    assert hashes(tiny) == before


def test_message_is_short_and_the_report_complete(tmp_path: Path) -> None:
    folder = write_tiny_coco(tmp_path / "tiny", train=30)
    edit(folder / TRAIN, lambda content: [a.update(category_id=9) for a in content["annotations"]])
    with pytest.raises(CheckFailedError) as caught:
        check_dataset(dataset_dir=folder, output_dir=tmp_path / "out")
    assert len(caught.value.problems) == 21
    assert caught.value.problems[-1] == "... and 40 more of this kind (annotation-of-unknown-category)"
    report = _report(tmp_path / "out")
    assert report["errors"] == 60
    assert sum(problem["kind"] == "annotation-of-unknown-category" for problem in report["problems"]) == 60


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetFileNotFoundError, match="nowhere: no such folder"):
        check_dataset(dataset_dir=tmp_path / "nowhere", output_dir=tmp_path / "out")


# ---------------------------------------------------------------- real photos


def test_nuts_give_the_recorded_fields(shared_data: Path, tmp_path: Path) -> None:
    golden_file = shared_data.parent / "parity" / "engine" / "check_dataset.json"
    golden = load(golden_file)["nuts_checked_again"]
    expected = golden["check_dataset_result.json"]

    result = check_dataset(dataset_dir=shared_data / "nuts_ins", output_dir=tmp_path)

    # done_flag is the engine's; what we add stands behind the recorded fields.
    assert ["done_flag", *result][: len(golden["key_order"])] == golden["key_order"]
    assert list(result["attributes"])[: len(expected["attributes"])] == list(expected["attributes"])
    same = ("check_pass", "analysis", "show_type", "dataset_type")
    assert {key: result[key] for key in same} == {key: expected[key] for key in same}
    # Counts of the set's README. The recorded "samples" count annotations; ours count photos.
    attributes = result["attributes"]
    assert (attributes["train_samples"], attributes["val_samples"]) == (14, 4)
    assert (attributes["train_annotations"], attributes["val_annotations"]) == (131, 34)
    assert attributes["num_classes"] == expected["attributes"]["num_classes"]
    for path in (*attributes["train_sample_paths"], *attributes["val_sample_paths"]):
        with Image.open(tmp_path / path) as drawn:
            assert (list(drawn.size), drawn.mode) == ([800, 600], "RGB")
    with Image.open(tmp_path / result["analysis"]["histogram"]) as chart:
        assert list(chart.size) == golden["histogram_size"]
    assert _report(tmp_path)["problems"] == []


def test_crowds_are_drawn_and_counted_apart(
    shared_data: Path, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    result = check_dataset(dataset_dir=shared_data / "coco_mini_ins", output_dir=tmp_path)
    # README of the set: 389 objects and 7 crowds for training, 6 and 2 photos without objects.
    assert result["attributes"]["train_annotations"] == 389 + 7
    assert result["warnings"] == 0
    assert any("7 crowds are ignored" in message for message in log.messages)


def test_module_is_light_to_import() -> None:
    code = (
        "import sys; import paddlex.modules.instance_segmentation.dataset_checker; "
        "print([m for m in ('paddle', 'cv2', 'matplotlib', 'PIL') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"
