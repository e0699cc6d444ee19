"""What lies beside a weight file survives the disk, and damage is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddlex.modules.model_info import ModelInfo, read_model_info, write_model_info
from paddlex.utils.errors import FileFormatError, WeightsError

INFO = ModelInfo(
    model_name="Mask-RT-DETR-S", class_names=("螺母", "bolt"), category_ids=(7, 3), input_size=(640, 512)
)


def test_written_info_is_read_back(tmp_path: Path) -> None:
    weights = tmp_path / "best_model" / "best_model.pdparams"
    assert write_model_info(weights, INFO) == tmp_path / "best_model" / "model_info.json"
    assert read_model_info(weights) == INFO


def test_info_is_found_one_folder_up(tmp_path: Path) -> None:
    write_model_info(tmp_path / "any.pdparams", INFO)
    assert read_model_info(tmp_path / "3" / "3.pdparams") == INFO


def test_info_beside_the_weights_wins(tmp_path: Path) -> None:
    write_model_info(tmp_path / "any.pdparams", INFO)
    nearer = ModelInfo(model_name="other", class_names=("a",), category_ids=(1,), input_size=None)
    write_model_info(tmp_path / "3" / "3.pdparams", nearer)
    assert read_model_info(tmp_path / "3" / "3.pdparams") == nearer


def test_weights_may_come_without_info(tmp_path: Path) -> None:
    assert read_model_info(tmp_path / "a.pdparams") is None


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("{", FileFormatError, "line 1"),
        ("[]", WeightsError, "TypeError"),
        ("{}", WeightsError, "'input_size'"),
        (
            '{"model_name": "m", "class_names": ["a"], "category_ids": [1, 2], "input_size": null}',
            WeightsError,
            "2 category ids for 1 class names",
        ),
    ],
)
def test_damaged_info_is_told(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    (tmp_path / "model_info.json").write_text(text, encoding="utf-8")
    with pytest.raises(error, match=message) as caught:
        read_model_info(tmp_path / "a.pdparams")
    assert "model_info.json" in str(caught.value) and "\n" not in str(caught.value)
