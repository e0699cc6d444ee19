"""Graphs written value by value compute what NumPy computes, and keep equal constants once."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from paddlex.modules.onnx_builder import OPSET, GraphBuilder, Value
from paddlex.modules.onnx_suppression import best_by_class


def _run(graph: GraphBuilder, value: Value, *, whole: bool = False, **inputs: np.ndarray) -> np.ndarray:
    kind = TensorProto.INT64 if whole else TensorProto.FLOAT
    rank = len(np.shape(next(iter(inputs.values()))))
    model = graph.finish({"y": (value, kind, [f"d{i}" for i in range(rank)])})
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)[0]


X = np.arange(12, dtype=np.float32).reshape(3, 4) - 4


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda x: (x + 1.5) * x - 2.0, (X + 1.5) * X - 2),
        (lambda x: x / [1.0, 2.0, 4.0, 8.0], X / [1, 2, 4, 8]),
        (lambda x: x[1:3], X[:, 1:3]),
        (lambda x: x[0:-1], X[:, :-1]),
        (lambda x: x[2:], X[:, 2:]),
        (lambda x: x.reshape(4, -1).transpose(1, 0), X.reshape(4, 3).T),
        (lambda x: x.rows(x.graph.constant([2, 0])), X[[2, 0]]),
        (lambda x: x.first(x.graph.constant([2])), X[:2]),
        (lambda x: x.first(x.length()), X),
    ],
    ids=["arithmetic", "array", "columns", "but_last", "from", "shape", "rows", "first", "length"],
)
def test_values_compute_as_in_numpy(write, expected: np.ndarray) -> None:
    graph = GraphBuilder()
    x = graph.input("x", ["n", "m"])
    np.testing.assert_allclose(_run(graph, write(x), x=X), expected)


def test_whole_numbers_divide_without_remainder() -> None:
    graph = GraphBuilder()
    index = graph.input("x", ["n", "m"]).cast(np.int64) + 4
    np.testing.assert_array_equal(
        _run(graph, index / 5 * 10 + index % 5, whole=True, x=X), (X + 4) // 5 * 10 + (X + 4) % 5
    )


@pytest.mark.parametrize("count", [2, 9])
def test_top_k_is_content_with_fewer(count: int) -> None:
    graph = GraphBuilder()
    best, _ = graph.top_k(graph.input("x", ["n"]), graph.constant([count]))
    x = np.array([3, 9, 1, 5], np.float32)
    assert _run(graph, best, x=x).tolist() == [9, 5, 3, 1][:count]


def _scaling(factor: np.ndarray, *, name: str) -> onnx.ModelProto:
    """x -> x * factor, as converters write it: a constant node, and names that others use too."""
    value = numpy_helper.from_array(factor, "value")
    nodes = [
        helper.make_node("Constant", [], ["weight"], value=value, name="Constant.0"),
        helper.make_node("Identity", ["weight"], ["same"], name="Identity.0"),
        helper.make_node("Mul", [name, "same"], ["out"], name="Mul.0"),
    ]
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, [None, 3]) for end in (name, "out")]
    graph = helper.make_graph(nodes, "scaling", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])


def test_models_are_inserted_as_often_as_wanted_with_their_weights_once() -> None:
    factor = np.array([2, 3, 4], np.float32)
    graph = GraphBuilder()
    x = graph.input("x", ["n", 3])
    (once,) = graph.insert(_scaling(factor, name="a"), x)
    (twice,) = graph.insert(_scaling(factor, name="out_of_b"), once)
    assert _run(graph, twice, x=np.ones((1, 3), np.float32)).tolist() == [[4, 9, 16]]
    model = graph.finish({"y": (twice, TensorProto.FLOAT, ["n", 3])})
    assert [list(tensor.dims) for tensor in model.graph.initializer] == [[3]]
    assert len({node.name for node in model.graph.node if node.name}) == 0


def test_constants_that_nothing_uses_are_left_out() -> None:
    graph = GraphBuilder()
    graph.constant([1.0, 2.0])
    model = graph.finish({"y": (graph.input("x", [2]) + 1.0, TensorProto.FLOAT, [2])})
    assert len(model.graph.initializer) == 1


def test_suppression_keeps_the_best_of_each_class_in_order_of_score() -> None:
    # Class 0: boxes 0 and 1 overlap by IoU 0.6. Class 1 has boxes of its own, far apart; one scores too low.
    boxes = np.array([[[0, 0, 10, 10], [0, 0, 10, 6], [20, 0, 30, 10]]] * 2, np.float32)
    boxes[1] += np.arange(3, dtype=np.float32)[:, None] * 100
    graph = GraphBuilder()
    scores = graph.input("x", [2, 3])
    place, _ = best_by_class(graph.constant(boxes), scores, iou=0.5, most=4, above=graph.constant([0.1]))
    found = _run(graph, place, whole=True, x=np.array([[0.9, 0.8, 0.3], [0.5, 0.1, 0.95]], np.float32))
    assert found.tolist() == [[1, 2], [0, 0], [1, 0], [0, 2]]
