"""create_model finds models by folder and by name."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
from tiny_models import photo, write_onnx_model

import paddlex
from paddlex.modules.official_models import official_model_folder
from paddlex.modules.zoo import find_model
from paddlex.utils.download import cached_path
from paddlex.utils.errors import DownloadError, InputError, UsageError

pytest.importorskip("onnxruntime")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_onnx_model(tmp_path / "inference")


@pytest.fixture
def offline_cache(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("PADDLE_PDX_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PADDLE_PDX_OFFLINE", "1")
    return tmp_path / "cache"


def test_folder_takes_the_place_of_the_name(folder: Path) -> None:
    model = paddlex.create_model(str(folder), device="cpu")
    (result,) = model.predict(np.ascontiguousarray(photo()[:, :, ::-1]))
    assert result["boxes"][0]["label"] == "bright"


def test_name_with_folder_loads_the_folder(folder: Path) -> None:
    model = paddlex.create_model("Mask-RT-DETR-S", str(folder), device="cpu", threshold=0.3, batch_size=2)
    assert (model.threshold, model.batch_size, model.backend) == (0.3, 2, "onnx")


def test_model_can_be_called(folder: Path) -> None:
    model = paddlex.create_model(folder, device="cpu")
    assert len(list(model(photo()))) == 1


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"'Mask-RT-DTER-L' is unknown; did you mean Mask-RT-DETR-L"):
        paddlex.create_model("Mask-RT-DTER-L")


def test_path_that_is_no_folder_is_no_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        paddlex.create_model(str(tmp_path / "inference"))


def test_unknown_argument_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="unknown argument 'treshold'"):
        paddlex.create_model(folder, treshold=0.5)


def test_arguments_of_paddlex_without_effect_are_accepted(folder: Path) -> None:
    assert paddlex.create_model(folder, device="cpu", use_hpip=False, pp_option=None).backend == "onnx"


def test_official_model_is_unpacked_from_the_archive_put_there_by_hand(
    folder: Path, offline_cache: Path
) -> None:
    archive = cached_path(find_model("Mask-RT-DETR-S").inference_url)
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w") as tar:
        tar.add(folder, arcname="Mask-RT-DETR-S_infer")
    unpacked = official_model_folder("Mask-RT-DETR-S")
    assert unpacked == offline_cache / "official_models" / "Mask-RT-DETR-S"
    assert (unpacked / "inference.onnx").is_file()
    # Once unpacked it needs no archive.
    archive.unlink()
    assert paddlex.create_model("Mask-RT-DETR-S", device="cpu").folder.path == unpacked


def test_official_model_offline_tells_where_to_put_it(offline_cache: Path) -> None:
    with pytest.raises(DownloadError, match=r"Mask-RT-DETR-S_infer\.tar"):
        paddlex.create_model("Mask-RT-DETR-S")


def test_archive_without_a_model_is_refused(offline_cache: Path, tmp_path: Path) -> None:
    archive = cached_path(find_model("Mask-RT-DETR-S").inference_url)
    archive.parent.mkdir(parents=True)
    (tmp_path / "readme.txt").write_text("nothing")
    with tarfile.open(archive, "w") as tar:
        tar.add(tmp_path / "readme.txt", arcname="readme.txt")
    with pytest.raises(DownloadError, match=r"holds no inference\.yml"):
        official_model_folder("Mask-RT-DETR-S")
    assert not (offline_cache / "official_models" / "Mask-RT-DETR-S").exists()
