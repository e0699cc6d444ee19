"""`check_dataset` of semantic segmentation from folder to result: steps, fields, drawings, failures."""

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
from data.tiny_semantic import HEIGHT, WIDTH, write_pair, write_tiny_semantic
from PIL import Image

from paddlex.config import CONFIG_FOLDER, load_config
from paddlex.modules.semantic_segmentation.dataset_checker import check_dataset
from paddlex.utils.errors import (
    CheckFailedError,
    ConvertFailedError,
    DatasetFileNotFoundError,
    SplitFailedError,
)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_semantic(tmp_path / "tiny")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("paddlex"), "propagate", True)
    caplog.set_level(logging.INFO, logger="paddlex")
    return caplog


def checked(folder: Path, output: Path, **options) -> dict[str, Any]:
    return check_dataset(dataset_dir=folder, output_dir=output, **options)


def test_result_has_the_documented_fields_in_order(tiny: Path, tmp_path: Path) -> None:
    result = checked(tiny, tmp_path / "out")
    assert json.dumps(result) == json.dumps(
        {
            "check_pass": True,
            "attributes": {
                "num_classes": 3,
                "train_samples": 4,
                "train_sample_paths": [f"check_dataset/demo_img/photo{i}.png" for i in range(4)],
                "val_samples": 2,
                "val_sample_paths": [f"check_dataset/demo_img/photo{i}.png" for i in (4, 5)],
            },
            "analysis": {"histogram": "check_dataset/histogram.png"},
            "dataset_path": str(tiny),
            "show_type": "image",
            "dataset_type": "SegDataset",
            "warnings": 0,
            "problems": "check_dataset/problems.json",
        }
    )


def test_drawings_are_photos_tinted_by_class(tiny: Path, tmp_path: Path) -> None:
    checked(tiny, tmp_path / "out")
    with Image.open(tmp_path / "out" / "check_dataset" / "demo_img" / "photo4.png") as drawn:
        pixels = np.array(drawn).astype(int)
    with Image.open(tiny / "images" / "photo4.png") as photo:
        original = np.array(photo).astype(float)
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    # Columns of class 0, 1, 2 and ignored, in the colours of mask files.
    for column, color in ((0, (128, 0, 0)), (12, (0, 128, 0)), (24, (128, 128, 0)), (36, (0, 0, 0))):
        expected = 0.6 * original[:, column] + 0.4 * np.array(color)
        np.testing.assert_allclose(pixels[:, column], expected, atol=1)


def test_histogram_is_drawn_and_the_log_counts_photos_by_class(
    tiny: Path, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    checked(tiny, tmp_path / "out")
    with Image.open(tmp_path / "out" / "check_dataset" / "histogram.png") as chart:
        assert chart.size == (960, 600)
    assert "Classes and photos that show them" in log.text
    assert [line.split("│")[2:5] for line in log.text.splitlines() if "stem" in line] == [
        [" stem       ", "     4 ", "   2 "]
    ]
    assert log.messages[-1] == "Check dataset passed !"


def test_num_classes_counts_what_occurs_and_a_gap_is_a_warning(tiny: Path, tmp_path: Path) -> None:
    (tiny / "labels.txt").unlink()
    for number in range(6):
        write_pair(tiny, f"photo{number}", label_map=np.full((HEIGHT, WIDTH), 2, np.uint8), seed=number)
    write_pair(tiny, "photo0", label_map=np.zeros((HEIGHT, WIDTH), np.uint8))
    write_pair(tiny, "photo4", label_map=np.zeros((HEIGHT, WIDTH), np.uint8), seed=4)
    result = checked(tiny, tmp_path / "out")
    assert (result["attributes"]["num_classes"], result["warnings"]) == (2, 1)


def test_photos_outside_images_are_drawn_under_their_path(tmp_path: Path) -> None:
    folder = write_tiny_semantic(tmp_path / "tiny")
    (folder / "images").rename(folder / "JPEGImages")
    for name in ("train.txt", "val.txt"):
        (folder / name).write_text((folder / name).read_text().replace("images/", "JPEGImages/"))
    paths = checked(folder, tmp_path / "out")["attributes"]["val_sample_paths"]
    assert paths[0] == "check_dataset/demo_img/JPEGImages/photo4.png"
    assert (tmp_path / "out" / paths[0]).is_file()


def test_labelme_is_converted_then_split_then_checked(nuts_labelme: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(nuts_labelme, tmp_path / "nuts"))
    result = checked(folder, tmp_path / "out", convert_from="LabelMe", split_percents=(50, 50), num_classes=4)
    attributes = result["attributes"]
    assert attributes["num_classes"] == 4
    assert (attributes["train_samples"], attributes["val_samples"]) == (9, 9)


def test_errors_fail_with_all_lines_and_a_report(tiny: Path, tmp_path: Path) -> None:
    write_pair(tiny, "photo0", label_map=np.full((HEIGHT, WIDTH), 9, np.uint8))
    (tiny / "images" / "photo5.png").unlink()
    with pytest.raises(CheckFailedError, match="Check dataset failed: 2 errors") as error:
        checked(tiny, tmp_path / "out")
    assert error.value.report["check_pass"] is False
    problems = json.loads((tmp_path / "out" / "check_dataset" / "problems.json").read_text())
    assert [problem["kind"] for problem in problems["problems"]] == ["photo-missing", "label-outside"]


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"convert_from": "VOC"}, ConvertFailedError, "src_dataset_type is 'VOC'; expected LabelMe"),
        ({"split_percents": (90, 20)}, SplitFailedError, "add up to 100"),
    ],
)
def test_bad_settings_are_refused(options, kind, message: str, tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(kind, match=message):
        checked(tiny, tmp_path / "out", **options)


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetFileNotFoundError, match="no such folder"):
        checked(tmp_path / "nowhere", tmp_path / "out")


def test_the_demo_masks_are_sound(nuts_masks: Path, tmp_path: Path) -> None:
    result = checked(nuts_masks, tmp_path / "out")
    attributes = result["attributes"]
    assert (attributes["num_classes"], attributes["train_samples"], attributes["val_samples"]) == (4, 14, 4)
    assert result["warnings"] == 0


@pytest.mark.parametrize(
    "config", sorted((CONFIG_FOLDER / "semantic_segmentation").iterdir()), ids=lambda file: file.stem
)
def test_shipped_configurations_name_the_demo_masks(config: Path, nuts_masks: Path) -> None:
    settings = load_config(config)
    assert settings.Global.dataset_dir == "dataset/nuts_masks" and nuts_masks.is_dir()
    assert settings.Predict.input == "dataset/nuts_masks/images"


def test_street_scenes_pass(shared_data: Path, tmp_path: Path) -> None:
    attributes = checked(shared_data / "camvid_sem", tmp_path / "out")["attributes"]
    assert (attributes["num_classes"], attributes["train_samples"], attributes["val_samples"]) == (
        11,
        100,
        40,
    )
    assert len(attributes["train_sample_paths"]) == len(attributes["val_sample_paths"]) == 10


def test_the_check_never_loads_paddle() -> None:
    code = "import sys, paddlex.modules.semantic_segmentation.dataset_checker; print('paddle' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
