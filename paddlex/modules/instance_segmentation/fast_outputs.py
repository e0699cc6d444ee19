"""The outputs of a fast ONNX graph for one photo, in the form `inference/backends/fast_graph.py` reads."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto

from paddlex.modules.onnx_builder import GraphBuilder, Value

__all__ = ["finish_fast_graph"]


def finish_fast_graph(
    graph: GraphBuilder,
    *,
    boxes: Value,
    scores: Value,
    class_ids: Value,
    masks: Value,
    mask_size: tuple[int | str, int | str],
) -> ModelProto:
    """Declare the detections of one photo as the outputs, with a batch axis of 1.

    Args:
        graph: that holds the values.
        boxes: (K, 4) xyxy in fractions of the photo.
        scores: (K,) descending.
        class_ids: (K,) int64.
        masks: (K, h, w).
        mask_size: h and w, or names for free ones.
    """

    def photo(value: Value) -> Value:
        return graph.op("Unsqueeze", value, [0])

    return graph.finish(
        {
            "boxes": (photo(boxes), TensorProto.FLOAT, [1, "count", 4]),
            "scores": (photo(scores), TensorProto.FLOAT, [1, "count"]),
            "class_ids": (photo(class_ids.cast(np.int32)), TensorProto.INT32, [1, "count"]),
            "masks": (photo(masks), TensorProto.FLOAT, [1, "count", *mask_size]),
        }
    )
