"""Exported models small enough to be made by a test, run by the real backends.

They find bright red areas: instance 0 ("bright") is where the red channel is above half, its score the mean
of red; instance 1 ("dark") is the rest, its score one minus that. Boxes cover the whole photo.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

SIDE = 32
CELL = 4


def settings(**changes: object) -> dict[str, object]:
    return {
        "mode": "paddle",
        "draw_threshold": 0.5,
        "metric": "COCO",
        "use_dynamic_shape": False,
        "Global": {"model_name": "Mask-RT-DETR-S"},
        "arch": "DETR",
        "min_subgraph_size": 3,
        "mask": True,
        "Preprocess": [
            {"type": "Resize", "target_size": [SIDE, SIDE], "keep_ratio": False, "interp": 2},
            {"type": "NormalizeImage", "mean": [0.0] * 3, "std": [1.0] * 3, "norm_type": "none"},
            {"type": "Permute"},
        ],
        "label_list": ["bright", "dark"],
        **changes,
    }


def write_settings(folder: Path, **changes: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(settings(**changes), allow_unicode=True, sort_keys=False)
    (folder / "inference.yml").write_text(text, encoding="utf-8")
    return folder


def write_onnx_model(
    folder: Path, *, batch: int | str = "N", side: int | str = SIDE, **changes: object
) -> Path:
    """An inference folder with inference.onnx; `batch` and `side` are lengths or names of free axes."""
    write_settings(folder, **changes)

    def constant(name: str, value: np.ndarray) -> onnx.TensorProto:
        return numpy_helper.from_array(value, name)

    constants = [
        constant("red_index", np.array([0], np.int64)),
        constant("half", np.array(0.5, np.float32)),
        constant("one", np.array(1, np.float32)),
        constant("whole", np.tile(np.array([0, 0, 1, 1], np.float32), (1, 2, 1))),
        constant("ids", np.array([[0, 1]], np.int64)),
        constant("first", np.array([0], np.int64)),
        constant("box_tail", np.array([2, 4], np.int64)),
        constant("id_tail", np.array([2], np.int64)),
    ]
    nodes = [
        helper.make_node("Gather", ["image", "red_index"], ["red"], axis=1),
        helper.make_node("AveragePool", ["red"], ["grid"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        helper.make_node("Sub", ["grid", "half"], ["bright"]),
        helper.make_node("Neg", ["bright"], ["dark"]),
        helper.make_node("Concat", ["bright", "dark"], ["masks"], axis=1),
        helper.make_node("ReduceMean", ["red"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Sub", ["one", "mean"], ["rest"]),
        helper.make_node("Concat", ["mean", "rest"], ["scores"], axis=1),
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["count"]),
        helper.make_node("Concat", ["count", "box_tail"], ["box_shape"], axis=0),
        helper.make_node("Concat", ["count", "id_tail"], ["id_shape"], axis=0),
        helper.make_node("Expand", ["whole", "box_shape"], ["boxes"]),
        helper.make_node("Expand", ["ids", "id_shape"], ["class_ids"]),
    ]
    cells = side // CELL if isinstance(side, int) else None
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, side, side])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [batch, 2, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 2]),
            helper.make_tensor_value_info("class_ids", TensorProto.INT64, [batch, 2]),
            helper.make_tensor_value_info("masks", TensorProto.FLOAT, [batch, 2, cells, cells]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / "inference.onnx"))
    return folder


def write_paddle_model(folder: Path, **changes: object) -> Path:
    """An inference folder in the published form: im_shape, image, scale_factor -> rows, count, masks."""
    import paddle
    from paddle import nn

    class Tiny(nn.Layer):
        def __init__(self):
            super().__init__()
            self.gain = self.create_parameter([1], default_initializer=nn.initializer.Constant(1.0))

        def forward(self, im_shape, image, scale_factor):
            size = paddle.floor(im_shape / scale_factor + 0.5).astype("int32")
            height, width = size[0, 0], size[0, 1]
            red = image[:, :1] * self.gain
            grid = nn.functional.avg_pool2d(red, CELL, CELL)
            masks = nn.functional.interpolate(grid, size=[height, width], mode="bilinear") > 0.5
            masks = paddle.concat([masks, paddle.logical_not(masks)], axis=1)[0].astype("int32")
            mean = red.mean()
            corner = paddle.zeros([2], "float32")
            sides = size.astype("float32")
            rows = [
                paddle.stack([corner[0] + i, score, corner[0], corner[0], sides[0, 1], sides[0, 0]])
                for i, score in enumerate((mean, 1 - mean))
            ]
            return paddle.stack(rows), paddle.full([1], 2, "int32"), masks

    write_settings(folder, **changes)
    spec = [
        paddle.static.InputSpec([None, 2], "float32", "im_shape"),
        paddle.static.InputSpec([None, 3, SIDE, SIDE], "float32", "image"),
        paddle.static.InputSpec([None, 2], "float32", "scale_factor"),
    ]
    layer = Tiny()
    layer.eval()
    paddle.jit.save(layer, str(folder / "inference"), input_spec=spec)
    return folder


def photo(height: int = 48, width: int = 80) -> np.ndarray:
    """(H, W, 3) RGB: black, the left three quarters red."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, : width * 3 // 4, 0] = 255
    return rgb
