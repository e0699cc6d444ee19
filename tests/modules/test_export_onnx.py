"""ONNX files compute what the Paddle layer computes, also where paddle2onnx alone does not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import paddle
import pytest
from paddle import nn

from paddlex.modules.export_onnx import convert_graphs, name_outputs, repair_group_norms, write_onnx
from paddlex.modules.export_paddle import save_static_graph
from paddlex.utils.errors import ExportError, MissingDependencyError

pytestmark = pytest.mark.onnx_export


class _Norms(nn.Layer):
    """Group normalisations whose epsilons matter, shared and out of order, and another kind between."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.GroupNorm(4, 8, epsilon=1e-5)
        self.second = nn.GroupNorm(2, 8, epsilon=0.5)
        self.other = nn.InstanceNorm2D(8, epsilon=0.25)

    def forward(self, x: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        x = self.second(x)
        return self.first(self.other(x)), self.second(x * 0.1)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[_Norms, Path]:
    folder = tmp_path_factory.mktemp("norms")
    paddle.seed(0)
    layer = _Norms()
    for parameter in layer.parameters():
        parameter.set_value(parameter + 0.3 * paddle.randn(parameter.shape))
    layer.eval()
    graph = save_static_graph(layer, folder, name="norms", inputs={"x": (-1, 8, 6, 5)})
    target = folder / "norms.onnx"
    (model,) = convert_graphs([graph])
    name_outputs(model, ["a", "b"])
    write_onnx(model, target, metadata={"name": "é", "list": ["螺母", "b"]})
    return layer, target


def test_group_norms_keep_their_epsilons(converted: tuple[_Norms, Path]) -> None:
    layer, target = converted
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(size=(3, 8, 6, 5)).astype(np.float32)
    with paddle.no_grad():
        expected = [value.numpy() for value in layer(paddle.to_tensor(x))]
    for found, value in zip(session.run(None, {"x": x}), expected, strict=True):
        np.testing.assert_allclose(found, value, atol=2e-6)
    epsilons = [
        attribute.f
        for node in onnx.load(target).graph.node
        if node.op_type == "InstanceNormalization"
        for attribute in node.attribute
        if attribute.name == "epsilon"
    ]
    assert epsilons == pytest.approx([0.5, 0.25, 1e-5, 0.5])


def test_names_free_batch_and_properties_are_as_asked(converted: tuple[_Norms, Path]) -> None:
    model = onnx.load(converted[1])
    assert [value.name for value in model.graph.output] == ["a", "b"]
    for value in [*model.graph.input, *model.graph.output]:
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["name"] == "é" and json.loads(properties["list"]) == ["螺母", "b"]


def test_no_unused_weights_are_left(converted: tuple[_Norms, Path]) -> None:
    model = onnx.load(converted[1])
    used = {name for node in model.graph.node for name in node.input}
    assert all(tensor.name in used for tensor in model.graph.initializer)


def test_a_wrong_count_of_group_norms_is_an_error(converted: tuple[_Norms, Path]) -> None:
    with pytest.raises(ExportError, match="3 group normalisations, the Paddle graph 2"):
        repair_group_norms(onnx.load(converted[1]), epsilons=[1e-5, 1e-5])


def test_a_wrong_count_of_outputs_is_an_error(converted: tuple[_Norms, Path]) -> None:
    with pytest.raises(ExportError, match="2 outputs; expected 1"):
        name_outputs(onnx.load(converted[1]), ["a"])


def test_several_graphs_are_converted_at_once_and_in_order(tmp_path: Path) -> None:
    graphs = []
    for width in (2, 3):
        layer = nn.Linear(5, width).eval()
        graphs.append(save_static_graph(layer, tmp_path, name=f"wide{width}", inputs={"x": (-1, 5)}))
    widths = [
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_value for model in convert_graphs(graphs)
    ]
    assert widths == [2, 3]


def test_a_graph_that_cannot_be_converted_is_an_error_not_the_end(tmp_path: Path) -> None:
    class Unknown(nn.Layer):
        def forward(self, x: paddle.Tensor) -> paddle.Tensor:
            return paddle.lgamma(x)

    graph = save_static_graph(Unknown().eval(), tmp_path, name="unknown", inputs={"x": (-1, 3)})
    with pytest.raises(ExportError, match="paddle2onnx cannot convert the graph"):
        convert_graphs([graph])


def test_an_absent_converter_is_named_with_its_remedy(
    converted: tuple[_Norms, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "paddle2onnx", None)  # as Python marks a module that cannot be had
    with pytest.raises(MissingDependencyError, match=r'pip install "paddlex\[cpu\]"'):
        convert_graphs([converted[1].with_suffix(".json")])
