"""Doublings of feature maps become the operator that is fast, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import paddle
import pytest
from paddle import nn

from paddlex.modules.export_onnx import convert_graphs
from paddlex.modules.export_paddle import save_static_graph
from paddlex.nn.resize import double_nearest

pytestmark = pytest.mark.onnx_export


class _Doublings(nn.Layer):
    """Two in a row, and repetitions that look alike."""

    def forward(self, x: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        rows_alone = x.unsqueeze(3).expand([-1, -1, -1, 2, -1]).flatten(2, 3)
        tripled = x.unsqueeze(4).expand([-1, -1, -1, -1, 3]).flatten(3)
        tripled = tripled.unsqueeze(3).expand([-1, -1, -1, 3, -1]).flatten(2, 3)
        return double_nearest(double_nearest(x) + 1.0), rows_alone, tripled


@pytest.mark.parametrize("shape", [(-1, 2, 3, 5), (1, 2, -1, -1)], ids=["fixed", "free"])
def test_doubled_maps_keep_their_values(tmp_path: Path, shape: tuple[int, ...]) -> None:
    layer = _Doublings().eval()
    (model,) = convert_graphs([save_static_graph(layer, tmp_path, name="maps", inputs={"x": shape})])
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Resize") == 2
    assert kinds.count("Expand") == 3
    x = np.random.default_rng(0).normal(size=(1, 2, 3, 5)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with paddle.no_grad():
        expected = [value.numpy() for value in layer(paddle.to_tensor(x))]
    for found, value in zip(session.run(None, {"x": x}), expected, strict=True):
        np.testing.assert_array_equal(found, value)
