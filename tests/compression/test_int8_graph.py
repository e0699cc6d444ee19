"""Float graphs become graphs of integers: by hand, and as ONNX Runtime sees them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from paddlex.compression.int8_graph import make_int8_graph
from paddlex.compression.int8_plan import QuantizedLayer
from paddlex.utils.errors import ExportError

RNG = np.random.default_rng(0)


def model(nodes: list[NodeProto], constants: dict[str, np.ndarray], *, channels: int = 3) -> ModelProto:
    """A graph of `image` (1, channels, 8, 8) -> `out`."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, channels, 8, 8])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, "c", "h", "w"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return made


def weight(out: int, into: int, size: int = 3) -> np.ndarray:
    return RNG.normal(size=(out, into, size, size)).astype(np.float32)


def conv(x: str, w: str, y: str, *, bias: str | None = None, pad: int = 1) -> NodeProto:
    return helper.make_node("Conv", [x, w, *([bias] if bias else [])], [y], pads=[pad] * 4)


def residual() -> tuple[ModelProto, dict[str, np.ndarray]]:
    """Two convolutions with a shortcut around the second, and a last one that gives the output."""
    constants = {
        "w1": weight(4, 3),
        "b1": RNG.normal(size=4).astype(np.float32),
        "w2": weight(4, 4),
        "w3": weight(2, 4, 1),
    }
    nodes = [
        conv("image", "w1", "c1", bias="b1"),
        helper.make_node("Relu", ["c1"], ["r1"]),
        conv("r1", "w2", "c2"),
        helper.make_node("Add", ["c2", "r1"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["r2"]),
        conv("r2", "w3", "out", pad=0),
    ]
    return model(nodes, constants), constants


def image() -> dict[str, np.ndarray]:
    return {"image": RNG.normal(size=(1, 3, 8, 8)).astype(np.float32)}


def run(graph: ModelProto, feed: dict[str, np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, feed)[0]
    return found


def values_of(graph: ModelProto, name: str, feed: dict[str, np.ndarray]) -> np.ndarray:
    """What a tensor inside a graph holds."""
    copy = ModelProto.FromString(graph.SerializeToString())
    del copy.graph.output[:]
    copy.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return run(copy, feed)


def kinds_at_runtime(graph: ModelProto, folder: Path) -> Counter[str]:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node)


def layers(graph: ModelProto, constants: dict[str, np.ndarray], feed: dict[str, np.ndarray]) -> list[Any]:
    inputs = {"w1": "image", "w2": "r1", "w3": "r2"}
    return [
        QuantizedLayer(weight=constants[w], scale=float(np.abs(values_of(graph, x, feed)).max()))
        for w, x in inputs.items()
    ]


def test_a_residual_block_computes_in_integers(tmp_path: Path) -> None:
    graph, constants = residual()
    feed = image()
    made = make_int8_graph(graph, layers=layers(graph, constants, feed), feeds=[feed])
    onnx.checker.check_model(made)
    kinds = kinds_at_runtime(made, tmp_path)
    # The last one gives what users see and stays float; activations are part of what is before them.
    assert (kinds["QLinearConv"], kinds["QLinearAdd"], kinds["Relu"]) == (2, 1, 0)
    exact, found = run(graph, feed), run(made, feed)
    assert np.abs(exact - found).max() < 0.03 * np.abs(exact).max()


def test_a_layer_computes_what_its_rounded_operands_say() -> None:
    """weights: 127 levels for each channel; input: levels of s / 127, of what is not negative s / 255."""
    constants = {"w1": weight(4, 3), "w2": weight(2, 4, 1)}
    nodes = [
        conv("image", "w1", "c1"),
        helper.make_node("Relu", ["c1"], ["r1"]),
        conv("r1", "w2", "out", pad=0),
    ]
    graph, feed = model(nodes, constants), image()
    hidden = values_of(graph, "r1", feed)
    scales = float(np.abs(feed["image"]).max()), float(hidden.max()) / 2  # the second one clips
    quantized = [
        QuantizedLayer(weight=constants["w1"], scale=scales[0]),
        QuantizedLayer(weight=constants["w2"], scale=scales[1]),
    ]
    found = run(make_int8_graph(graph, layers=quantized, feeds=[feed]), feed)
    step = np.abs(constants["w1"]).max(axis=(1, 2, 3), keepdims=True) / 127
    rounded = {
        "w1": (np.rint(constants["w1"] / step) * step).astype(np.float32),
        "w2": constants["w2"],
    }
    pixels = {"image": np.rint(feed["image"] / scales[0] * 127) * np.float32(scales[0] / 127)}
    between = values_of(model(nodes, rounded), "r1", pixels)
    between = np.clip(np.rint(between / scales[1] * 255), 0, 255) * scales[1] / 255
    expected = np.einsum("oi,bihw->bohw", constants["w2"][:, :, 0, 0], between)
    # Sums of integers may round to another level than sums of floats where both are between two.
    slack = np.abs(constants["w2"]).sum(axis=1).max() * scales[1] / 255
    assert np.abs(found - expected).max() <= slack
    assert np.median(np.abs(found - expected)) < 1e-4


def test_fewer_bits_keep_their_levels_and_their_limits() -> None:
    constants = {"w1": weight(4, 3), "w2": weight(2, 4, 1)}
    nodes = [
        conv("image", "w1", "c1"),
        helper.make_node("Relu", ["c1"], ["r1"]),
        conv("r1", "w2", "out", pad=0),
    ]
    graph, feed = model(nodes, constants), image()
    scale = float(values_of(graph, "r1", feed).max()) / 2
    quantized = [
        QuantizedLayer(weight=constants["w1"], scale=float(np.abs(feed["image"]).max())),
        QuantizedLayer(weight=constants["w2"], scale=scale, bits=3),
    ]
    made = make_int8_graph(graph, layers=quantized, feeds=[feed])
    levels = np.unique(values_of(made, "r1.rounded", feed))
    np.testing.assert_allclose(levels, np.arange(4) * scale / 3, rtol=1e-5, atol=1e-7)


def test_layers_that_were_not_quantised_stay_float(tmp_path: Path) -> None:
    graph, constants = residual()
    feed = image()
    made = make_int8_graph(graph, layers=layers(graph, constants, feed)[1:], feeds=[feed])
    kinds = kinds_at_runtime(made, tmp_path)
    assert kinds["QLinearConv"] == 1
    assert kinds["Conv"] + kinds["FusedConv"] == 2
    names = {tensor.name for tensor in made.graph.initializer}
    assert {"w1", "b1", "w3", "w2.integers"} <= names and "w2" not in names


def test_pooling_shares_the_scale_of_what_it_pools(tmp_path: Path) -> None:
    constants = {"w1": weight(4, 3), "w2": weight(4, 4), "w3": weight(2, 4, 1)}
    nodes = [
        conv("image", "w1", "c1"),
        helper.make_node("MaxPool", ["c1"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        conv("pooled", "w2", "c2"),
        conv("c2", "w3", "out", pad=0),
    ]
    graph, feed = model(nodes, constants), image()
    quantized = [
        QuantizedLayer(weight=constants[w], scale=float(np.abs(values_of(graph, x, feed)).max()))
        for w, x in {"w1": "image", "w2": "pooled", "w3": "c2"}.items()
    ]
    made = make_int8_graph(graph, layers=quantized, feeds=[feed])
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    assert stored["c1.scale"] == stored["pooled.scale"] == pytest.approx(quantized[1].scale / 127)
    kinds = kinds_at_runtime(made, tmp_path)
    assert kinds["QLinearConv"] == 2
    exact, found = run(graph, feed), run(made, feed)
    assert np.abs(exact - found).max() < 0.03 * np.abs(exact).max()


def test_a_graph_without_quantised_layers_is_an_error() -> None:
    graph, constants = residual()
    with pytest.raises(ExportError, match="no layer of the graph can compute in integers"):
        make_int8_graph(
            graph, layers=[QuantizedLayer(weight=constants["w1"] + 1, scale=1.0)], feeds=[image()]
        )


def test_ranges_need_photos() -> None:
    graph, constants = residual()
    with pytest.raises(ExportError, match="no photos to see the range of activations on"):
        make_int8_graph(graph, layers=layers(graph, constants, image()), feeds=[])
