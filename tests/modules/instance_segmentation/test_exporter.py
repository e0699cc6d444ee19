"""An exported folder computes what the network does, and a failed export leaves what was there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import paddle
import pytest
import yaml
from data.tiny_coco import hashes, write_tiny_coco
from modules.instance_segmentation.filled_network import (
    CLASS_NAMES,
    SIZE,
    SPEC,
    filled_network,
    model_info,
    photos,
    write_weights,
)

from paddlex.modules.instance_segmentation.exporter import export, export_network
from paddlex.modules.instance_segmentation.predictor import InstancePredictor
from paddlex.modules.model_info import write_model_info
from paddlex.utils.errors import ExportError, FileFormatError, WeightsError

FILES = ["inference.json", "inference.onnx", "inference.pdiparams", "inference.yml"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a run with classes in two scripts."""
    return write_weights(tmp_path_factory.mktemp("run") / "best_model", class_names=("螺母", "disc"))


@pytest.fixture(scope="module")
def exported(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("export") / "inference"
    dataset = write_tiny_coco(tmp_path_factory.mktemp("data") / "tiny")
    return folder, export(spec=SPEC, weight_path=weights, output_dir=folder, dataset_dir=dataset)


@pytest.mark.onnx_export
def test_the_folder_holds_both_graphs_and_nothing_else(exported: tuple[Path, dict[str, Any]]) -> None:
    folder, report = exported
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert sorted(report["files"]) == FILES and report["onnx_skipped"] is None


def test_classes_and_size_come_from_the_run(exported: tuple[Path, dict[str, Any]]) -> None:
    folder, report = exported
    settings = yaml.safe_load((folder / "inference.yml").read_text(encoding="utf-8"))
    assert settings["label_list"] == report["class_names"] == ["螺母", "disc"]
    assert settings["Preprocess"][0]["target_size"] == report["input_size"] == list(SIZE)


def test_the_paddle_graph_has_the_official_inputs_and_outputs(exported: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = exported
    loaded = paddle.jit.load(str(folder / "inference"))
    assert [spec.name for spec in loaded._input_spec()] == ["im_shape", "image", "scale_factor"]
    rows, count, masks = loaded(
        paddle.to_tensor([[96.0, 96.0]]), paddle.rand([1, 3, *SIZE]), paddle.to_tensor([[96 / 40, 96 / 70]])
    )
    assert (rows.shape, rows.dtype) == ([100, 6], paddle.float32)
    assert (count.tolist(), count.dtype) == ([100], paddle.int32)
    assert (masks.shape, masks.dtype) == ([100, 40, 70], paddle.int32)


@pytest.mark.onnx_export
def test_the_onnx_graph_has_small_masks_and_any_batch(exported: tuple[Path, dict[str, Any]]) -> None:
    graph = onnx.load(exported[0] / "inference.onnx").graph

    def shape(value: onnx.ValueInfoProto) -> list[int | str]:
        return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]

    assert {value.name: shape(value) for value in graph.input} == {"image": ["batch", 3, *SIZE]}
    assert {value.name: shape(value) for value in graph.output} == {
        "boxes": ["batch", 100, 4],
        "scores": ["batch", 100],
        "class_ids": ["batch", 100],
        "masks": ["batch", 100, SIZE[0] // 4, SIZE[1] // 4],
    }


@pytest.mark.onnx_export
def test_the_onnx_file_says_what_it_is(exported: tuple[Path, dict[str, Any]]) -> None:
    properties = {p.key: p.value for p in onnx.load(exported[0] / "inference.onnx").metadata_props}
    assert properties["model_name"] == SPEC.name
    assert json.loads(properties["class_names"]) == ["螺母", "disc"]
    assert json.loads(properties["input_size"]) == list(SIZE)


@pytest.mark.onnx_export
@pytest.mark.parametrize("graph", ["paddle", "onnx", "onnx, batch 2", "onnx, batch 3"])
def test_each_graph_finds_what_the_network_finds(exported: tuple[Path, dict[str, Any]], graph: str) -> None:
    differences = exported[1]["differences"][graph]
    assert differences["compared"] > 100 and differences["missing"] == 0
    assert differences["max_score_difference"] < 1e-5
    assert differences["mean_mask_iou"] > 0.99


@pytest.mark.onnx_export
def test_the_folder_predicts(exported: tuple[Path, dict[str, Any]]) -> None:
    for backend in ("onnx", "paddle"):
        predictor = InstancePredictor(exported[0], device="cpu", backend=backend, threshold=0.0)
        (result,) = predictor.predict(photos(1)[0])
        assert len(result) > 50 and set(result.labels) <= {"螺母", "disc"}


@pytest.fixture(scope="module")
def without_converter(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[paddle.nn.Layer, Path, dict[str, Any]]:
    """A network that trains, exported where paddle2onnx is not installed, over another model's ONNX file."""
    folder = tmp_path_factory.mktemp("without")
    (folder / "inference.onnx").write_text("of another model")
    (folder / "notes.txt").write_text("the user's")
    network = filled_network()
    network.train()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "paddle2onnx", None)  # as Python marks a module that cannot be had
        return network, folder, _export(network, folder)


def test_without_paddle2onnx_the_paddle_graph_is_made_and_no_old_onnx_is_left(without_converter: Any) -> None:
    _, folder, report = without_converter
    assert sorted(p.name for p in folder.iterdir()) == sorted({*FILES, "notes.txt"} - {"inference.onnx"})
    assert "pip install" in report["onnx_skipped"]
    assert list(report["differences"]) == ["paddle"]


def test_the_exported_network_goes_on_training_as_it_was(without_converter: Any) -> None:
    network, _, _ = without_converter
    fresh = {name: value.numpy() for name, value in filled_network().state_dict().items()}
    kept = {name: value.numpy() for name, value in network.state_dict().items()}
    assert network.training and fresh.keys() == kept.keys()
    assert all(np.array_equal(fresh[name], kept[name]) for name in fresh)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (float("nan"), r"score_head\.\w+ holds values that are not finite"),
        (0.0, "do not find what the network finds .*all scores are equal"),
    ],
    ids=["diverged", "without_opinion"],
)
def test_a_failed_export_leaves_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, fault: str
) -> None:
    for name in FILES:
        (tmp_path / name).write_text(f"old {name}")
    before = hashes(tmp_path)
    network = filled_network()
    for name, parameter in network.named_parameters():
        if ".score_head." in name:
            parameter.set_value(paddle.full_like(parameter, value))
    monkeypatch.setitem(sys.modules, "paddle2onnx", None)  # the Paddle graph is enough to fail
    with pytest.raises(ExportError, match=fault):
        _export(network, tmp_path)
    assert hashes(tmp_path) == before


def _export(network: paddle.nn.Layer, folder: Path) -> dict[str, Any]:
    return export_network(
        network, spec=SPEC, class_names=CLASS_NAMES, input_size=SIZE, folder=folder, sample_images=photos(1)
    )


# ---------------------------------------------------------------- weights that cannot be used


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nothing\.pdparams: no such file"):
        export(spec=SPEC, weight_path=tmp_path / "nothing.pdparams", output_dir=tmp_path / "out")


def test_weights_of_another_model_are_refused(tmp_path: Path, weights: Path) -> None:
    copy = tmp_path / "a.pdparams"
    copy.write_bytes(weights.read_bytes())
    write_model_info(copy, model_info(model_name="Mask-RT-DETR-L"))
    with pytest.raises(WeightsError, match="weights of Mask-RT-DETR-L, not of Mask-RT-DETR-S"):
        export(spec=SPEC, weight_path=copy, output_dir=tmp_path / "out")


def test_weights_beside_the_info_of_another_run_are_refused(tmp_path: Path, weights: Path) -> None:
    copy = tmp_path / "a.pdparams"
    copy.write_bytes(weights.read_bytes())
    write_model_info(copy, model_info(class_names=("a", "b", "c")))
    with pytest.raises(WeightsError, match=r"weights for 2 classes beside a model_info\.json of 3"):
        export(spec=SPEC, weight_path=copy, output_dir=tmp_path / "out")


def test_weights_of_unknown_classes_are_refused_with_the_remedy(tmp_path: Path, weights: Path) -> None:
    copy = tmp_path / "a.pdparams"
    copy.write_bytes(weights.read_bytes())
    with pytest.raises(WeightsError, match="2 classes whose names are unknown; keep model_info"):
        export(spec=SPEC, weight_path=copy, output_dir=tmp_path / "out")


def test_a_damaged_info_file_is_told(tmp_path: Path, weights: Path) -> None:
    copy = tmp_path / "a.pdparams"
    copy.write_bytes(weights.read_bytes())
    (tmp_path / "model_info.json").write_text("{")
    with pytest.raises(FileFormatError, match=r"model_info\.json"):
        export(spec=SPEC, weight_path=copy, output_dir=tmp_path / "out")


def test_backbone_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "backbone.pdparams"
    paddle.save(filled_network().backbone.state_dict(), str(path))
    with pytest.raises(WeightsError, match="holds no score_head"):
        export(spec=SPEC, weight_path=path, output_dir=tmp_path / "out")
