"""Predictions through real backends with a graph made here: class 0 is dark, 1 is bright, in cells of 4."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from tiny_models import photo, write_onnx_model

import paddlex
from paddlex.modules.instance_segmentation.predictor import InstancePredictor
from paddlex.modules.semantic_segmentation.predictor import SemanticPredictor, run_predict
from paddlex.utils.errors import FileFormatError, UsageError

pytest.importorskip("onnxruntime")


def write_model(folder: Path, *, transforms: list[dict] | None = None, inputs: int = 1) -> Path:
    """Logits [0.5 - red, red - 0.5] of each cell; the photo is only scaled to 0..1."""
    folder.mkdir(parents=True, exist_ok=True)
    unit = {"type": "Normalize", "mean": [0.0] * 3, "std": [1.0] * 3}
    settings = {
        "Deploy": {"model": "inference.json", "transforms": [*(transforms or []), unit]},
        "Global": {"model_name": "FastSCNN"},
        "label_list": ["dark", "bright"],
    }
    (folder / "inference.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    nodes = [
        helper.make_node("Gather", ["image", "first"], ["red"], axis=1),
        helper.make_node("AveragePool", ["red"], ["cells"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Sub", ["cells", "half"], ["bright"]),
        helper.make_node("Neg", ["bright"], ["dark"]),
        helper.make_node("Concat", ["dark", "bright"], ["logits"], axis=1),
    ]
    names = ["image", "more"][:inputs]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3, "h", "w"]) for name in names],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2, None, None])],
        [
            numpy_helper.from_array(np.array([0], np.int64), "first"),
            numpy_helper.from_array(np.array(0.5, np.float32), "half"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(folder / "inference.onnx"))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


def bgr(height: int, width: int) -> np.ndarray:
    """Red in the left three quarters, else black."""
    return np.ascontiguousarray(photo(height, width)[:, :, ::-1])


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_each_pixel_gets_the_class_of_its_place(folder: Path, backend: str) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino")
    (found,) = SemanticPredictor(folder, device="cpu", backend=backend).predict(bgr(40, 80))
    expected = np.zeros((40, 80), np.int32)
    expected[:, :60] = 1
    assert found.label_map.dtype == np.int32 and np.array_equal(found.label_map, expected)
    assert found.score_map is None and found.class_pixels == {1: 2400, 0: 800}


def test_photos_of_any_size_go_together(folder: Path) -> None:
    predictor = SemanticPredictor(folder, device="cpu", batch_size=4)
    sizes = [(40, 80), (40, 80), (33, 57), (120, 44), (40, 80)]
    together = list(predictor.predict([bgr(*size) for size in sizes]))
    assert [found.size for found in together] == sizes
    for size, found in zip(sizes, together, strict=True):
        (alone,) = predictor.predict(bgr(*size), batch_size=1)
        assert np.array_equal(found.label_map, alone.label_map)


def test_scores_come_on_request_at_the_photos_size(folder: Path) -> None:
    (found,) = SemanticPredictor(folder, device="cpu").predict(bgr(40, 80), score_map=True)
    assert found.score_map is not None and found.score_map.shape == (40, 80, 2)
    np.testing.assert_allclose(found.score_map.sum(axis=2), 1, rtol=1e-5)
    assert np.array_equal(found.score_map.argmax(axis=2), found.label_map)
    # Logits of +-0.5 in the middle of an area.
    assert found.score_map[20, 20, 1] == pytest.approx(np.e / (np.e + 1), rel=1e-5)


def test_resized_photos_get_their_classes_back_at_their_own_size(tmp_path: Path) -> None:
    folder = write_model(tmp_path, transforms=[{"type": "ResizeByShort", "short_size": 64}])
    (found,) = SemanticPredictor(folder, device="cpu").predict(bgr(160, 320))
    assert found.label_map.shape == (160, 320)
    assert (found.label_map[:, :236] == 1).all() and (found.label_map[:, 244:] == 0).all()


def test_create_model_finds_the_task_in_the_folder(folder: Path, tmp_path: Path) -> None:
    assert isinstance(paddlex.create_model(folder, device="cpu"), SemanticPredictor)
    with pytest.raises(UsageError, match="threshold has no meaning for semantic segmentation"):
        paddlex.create_model(folder, device="cpu", threshold=0.5)
    with pytest.raises(UsageError, match="a model for semantic segmentation; expected one for instance"):
        InstancePredictor(folder, device="cpu")
    with pytest.raises(UsageError, match="a model for instance segmentation; expected one for semantic"):
        SemanticPredictor(write_onnx_model(tmp_path), device="cpu")


def test_a_graph_of_another_kind_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path, inputs=2)
    with pytest.raises(FileFormatError, match=r"inputs image, more, 1 outputs; expected one image"):
        SemanticPredictor(folder, device="cpu")


def test_predict_mode_saves_overlay_mask_and_json(folder: Path, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "photos").mkdir()
    Image.fromarray(photo(40, 80)).save(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "broken.png").write_bytes(b"no photo")
    report = run_predict(
        model_name="FastSCNN",
        model_dir=folder,
        input=tmp_path / "photos",
        output_dir=tmp_path / "out",
        device="cpu",
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a_mask.png",
        "a_res.json",
        "a_res.png",
    ]
    (fault,) = report.pop("unreadable")
    assert "broken.png" in fault
    assert report == {
        "model_name": "FastSCNN",
        "backend": "onnx",
        "device": "cpu",
        "images": 1,
        "class_pixels": {"bright": 2400, "dark": 800},
    }
    content = json.loads((tmp_path / "out" / "a_res.json").read_text(encoding="utf-8"))
    assert [entry["label"] for entry in content["classes"]] == ["bright", "dark"]
