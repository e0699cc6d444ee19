"""Every backend gives the same candidates for the same graph."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from tiny_models import SIDE, write_onnx_model, write_paddle_model, write_settings

from paddlex.inference.backends.base import Backend, cpu_threads
from paddlex.inference.backends.choose import default_device, open_backend
from paddlex.inference.folder import read_model_folder
from paddlex.inference.postprocess import postprocess
from paddlex.utils.device import Device
from paddlex.utils.errors import DeviceError, FileFormatError, InputError, UsageError

CPU = Device("cpu")


def _needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"{package} is not installed")


BACKENDS = [
    pytest.param("onnx", marks=_needs("onnxruntime")),
    pytest.param("openvino", marks=_needs("openvino")),
    pytest.param("paddle", marks=_needs("paddle")),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = write_onnx_model(tmp_path_factory.mktemp("model"))
    if importlib.util.find_spec("paddle"):
        write_paddle_model(path)
    return path


def _open(folder: Path, name: str) -> Backend:
    return open_backend(read_model_folder(folder), device=CPU, name=name)


def _batch(*brightness: float, size: tuple[int, int] = (48, 80)) -> dict[str, np.ndarray]:
    """Photos of `size` whose left part, of the given share, is red."""
    image = np.zeros((len(brightness), 3, SIDE, SIDE), np.float32)
    for one, share in zip(image, brightness, strict=True):
        one[0, :, : round(SIDE * share)] = 1
    return {
        "image": image,
        "im_shape": np.full((len(brightness), 2), SIDE, np.float32),
        "scale_factor": np.tile(np.array([SIDE / size[0], SIDE / size[1]], np.float32), (len(brightness), 1)),
    }


@pytest.mark.parametrize("name", BACKENDS)
def test_backend_finds_what_the_graph_computes(folder: Path, name: str) -> None:
    backend = _open(folder, name)
    assert backend.name == name
    for raw, share in zip(backend.run(_batch(0.75, 0.25, 0.5)), (0.75, 0.25, 0.5), strict=True):
        found = postprocess(raw, size=(48, 80), crop_to_boxes=True)
        assert found.scores.tolist() == pytest.approx([share, 1 - share])
        assert found.class_ids.tolist() == [0, 1]
        np.testing.assert_allclose(found.boxes, [[0, 0, 80, 48]] * 2)
        # Cells are 10 pixels wide here, so the edge lies exactly between two cells.
        expected = np.zeros((48, 80), bool)
        expected[:, : round(80 * share)] = True
        assert np.array_equal(found.masks.dense(0), expected)


@pytest.mark.parametrize("name", BACKENDS)
def test_results_of_a_run_survive_the_next_one(folder: Path, name: str) -> None:
    backend = _open(folder, name)
    (first,) = backend.run(_batch(0.75))
    kept = first.masks.copy()
    backend.run(_batch(0.25))
    assert np.array_equal(first.masks, kept)


@pytest.mark.parametrize("name", BACKENDS[:2])
def test_graph_of_a_fixed_batch_runs_one_by_one(tmp_path: Path, name: str) -> None:
    backend = _open(write_onnx_model(tmp_path, batch=1), name)
    raws = backend.run(_batch(0.75, 0.25))
    assert [raw.scores[0] for raw in raws] == pytest.approx([0.75, 0.25])


@pytest.mark.parametrize("name", BACKENDS[:2])
def test_damaged_graph_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    write_onnx_model(tmp_path)
    (tmp_path / "inference.onnx").write_bytes(b"no graph")
    with pytest.raises(FileFormatError, match=r"inference\.onnx: .* cannot load it") as caught:
        _open(tmp_path, name)
    assert "\n" not in str(caught.value)


@_needs("paddle")
def test_damaged_paddle_graph_is_told_in_one_line(folder: Path, tmp_path: Path) -> None:
    write_settings(tmp_path)
    (tmp_path / "inference.json").write_text("{}", encoding="utf-8")
    (tmp_path / "inference.pdiparams").write_bytes(b"")
    with pytest.raises(FileFormatError, match=r"inference\.json: Paddle cannot load it") as caught:
        _open(tmp_path, "paddle")
    assert "\n" not in str(caught.value)


@_needs("paddle")
def test_huge_photo_gets_a_bounded_frame_from_the_official_graph(folder: Path) -> None:
    # 3000 x 4000 would be 48 MB per candidate inside the graph.
    (raw,) = _open(folder, "paddle").run(_batch(0.5, size=(3000, 4000)))
    height, width = raw.masks.shape[1:]
    assert height * width <= 1.01 * 2**21
    assert width / height == pytest.approx(4 / 3, rel=1e-3)
    found = postprocess(raw, size=(3000, 4000), crop_to_boxes=True)
    np.testing.assert_allclose(found.boxes[0], [0, 0, 4000, 3000], rtol=1e-6)
    assert found.masks.area()[0] == pytest.approx(3000 * 2000, rel=2e-3)


# ---------------------------------------------------------------- choosing


def test_auto_takes_onnx_on_a_cpu(folder: Path) -> None:
    assert _open(folder, "auto").name == "onnx"


@_needs("paddle")
def test_auto_takes_paddle_without_an_onnx_graph(folder: Path, tmp_path: Path) -> None:
    write_settings(tmp_path)
    for name in ("inference.json", "inference.pdiparams"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert _open(tmp_path, "auto").name == "paddle"


def test_unknown_backend_lists_the_known(folder: Path) -> None:
    with pytest.raises(UsageError, match="'tensorrt': expected one of auto, onnx, openvino, paddle"):
        _open(folder, "tensorrt")


@pytest.mark.parametrize(
    ("name", "missing"),
    [("paddle", "inference.json"), ("onnx", "inference.onnx"), ("openvino", "inference.onnx")],
)
def test_backend_without_its_graph_is_refused(tmp_path: Path, name: str, missing: str) -> None:
    write_onnx_model(tmp_path)
    if name != "paddle":
        (tmp_path / "inference.onnx").rename(tmp_path / "inference.json")
        (tmp_path / "inference.pdiparams").write_bytes(b"")
    with pytest.raises(InputError, match=missing):
        _open(tmp_path, name)


@_needs("openvino")
def test_openvino_refuses_a_gpu(folder: Path) -> None:
    with pytest.raises(DeviceError, match="runs on cpu"):
        open_backend(read_model_folder(folder), device=Device("gpu", (0,)), name="openvino")


def test_hidden_gpus_mean_cpu(monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert default_device() == CPU


def test_threads_follow_the_variable(monkeypatch) -> None:
    monkeypatch.setenv("PADDLE_PDX_CPU_NUM_THREADS", "3")
    assert cpu_threads() == 3
    monkeypatch.setenv("PADDLE_PDX_CPU_NUM_THREADS", "many")
    with pytest.raises(UsageError, match="PADDLE_PDX_CPU_NUM_THREADS=many"):
        cpu_threads()
    assert cpu_threads(2) == 2
    with pytest.raises(UsageError, match="cpu_threads=0"):
        cpu_threads(0)
