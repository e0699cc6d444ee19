"""inference.yml is read whole or refused with the place of the fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_models import write_onnx_model, write_settings

from paddlex.inference.folder import read_model_folder
from paddlex.utils.errors import FileFormatError, InputError


def test_settings_are_read(tmp_path: Path) -> None:
    write_onnx_model(tmp_path, label_list=["榛子", 1, True], draw_threshold=0.25)
    folder = read_model_folder(tmp_path)
    assert folder.model_name == "Mask-RT-DETR-S"
    # Names that look like numbers to YAML stay names.
    assert folder.class_names == ("榛子", "1", "True")
    assert folder.threshold == 0.25
    assert [step["type"] for step in folder.preprocess] == ["Resize", "NormalizeImage", "Permute"]
    assert folder.onnx_file == tmp_path / "inference.onnx"
    assert folder.paddle_files is None


def test_json_graph_wins_over_pdmodel(tmp_path: Path) -> None:
    write_settings(tmp_path)
    for name in ("inference.pdmodel", "inference.json", "inference.pdiparams"):
        (tmp_path / name).write_bytes(b"")
    assert read_model_folder(tmp_path).paddle_files == (
        tmp_path / "inference.json",
        tmp_path / "inference.pdiparams",
    )


def test_folder_without_model_name_is_accepted(tmp_path: Path) -> None:
    # Fixture peer_3_7_2.json: Global is optional.
    write_onnx_model(tmp_path, Global=None)
    assert read_model_folder(tmp_path).model_name == ""


def test_settings_of_official_models_are_accepted(tmp_path: Path, golden_settings: Path) -> None:
    write_onnx_model(tmp_path)
    (tmp_path / "inference.yml").write_bytes(golden_settings.read_bytes())
    folder = read_model_folder(tmp_path)
    assert folder.model_name == "Mask-RT-DETR-L"
    assert folder.class_names[2] == "__ignore__"


@pytest.fixture
def golden_settings() -> Path:
    return Path(__file__).parents[1] / "parity" / "engine" / "inference_Mask-RT-DETR-L.yml"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_list": None}, "label_list: expected the class names"),
        ({"label_list": "fig"}, "label_list: .* found 'fig'"),
        ({"draw_threshold": "high"}, "draw_threshold: expected a number from 0 to 1, found 'high'"),
        ({"draw_threshold": 50}, "draw_threshold: .* found 50"),
        ({"Preprocess": []}, "Preprocess: expected a list of operations"),
        ({"Preprocess": [{"type": "Permute"}, "Resize"]}, r"Preprocess\[1\]: .* found 'Resize'"),
        ({"Global": "Mask-RT-DETR-S"}, "Global: expected keys and values"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_wrong_key_is_named(tmp_path: Path, changes: dict, message: str) -> None:
    write_onnx_model(tmp_path, **changes)
    with pytest.raises(FileFormatError, match=r"inference\.yml: " + message):
        read_model_folder(tmp_path)


def test_yaml_that_would_run_code_is_refused(tmp_path: Path) -> None:
    write_onnx_model(tmp_path)
    (tmp_path / "inference.yml").write_text("a: !!python/object/apply:os.getcwd []", encoding="utf-8")
    with pytest.raises(FileFormatError, match="not valid YAML") as caught:
        read_model_folder(tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_model_folder(tmp_path / "none")


def test_parent_of_the_folder_leads_to_it(tmp_path: Path) -> None:
    write_onnx_model(tmp_path / "best_model" / "inference")
    with pytest.raises(InputError, match=r"inference\.yml is missing; did you mean .*inference\?"):
        read_model_folder(tmp_path)


def test_folder_without_graph_is_refused(tmp_path: Path) -> None:
    write_settings(tmp_path)
    with pytest.raises(InputError, match=r"no graph; expected inference\.onnx"):
        read_model_folder(tmp_path)
