"""PP-YOLOE_seg as one ONNX graph: suppression first, then masks of what it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import ModelProto

from paddlex.modules.instance_segmentation.fast_outputs import finish_fast_graph
from paddlex.modules.onnx_builder import GraphBuilder
from paddlex.modules.onnx_suppression import best_by_class

if TYPE_CHECKING:
    from paddlex.repo_apis.paddle_detection.ppyoloe_seg_network import PPYOLOESeg

__all__ = ["assemble_one_stage"]

_MASK_STRIDE = 4


def assemble_one_stage(
    network: PPYOLOESeg, candidates: ModelProto, *, input_size: tuple[int, int]
) -> ModelProto:
    """Put suppression and masks behind the converted network.

    Args:
        network: holds the limits of the suppression.
        candidates: image (1, 3, H, W) -> what `PPYOLOESeg.candidates` returns, in its order.
        input_size: (H, W).

    Returns:
        image (1, 3, H, W), score_threshold (1,) -> boxes (1, K, 4) in fractions of the photo, scores (1, K)
        descending, class_ids (1, K) int32, masks (1, K, H / 4, W / 4) probabilities.
    """
    graph, limits = GraphBuilder(), network.nms
    image = graph.input("image", [1, 3, *input_size])
    threshold = graph.input("score_threshold", [1])
    boxes, scores, coefficients, prototypes = (
        graph.op("Squeeze", value, [0]) for value in graph.insert(candidates, image)
    )
    # (C, N) scores and cells that compete.
    count = graph.op("Min", graph.op("Shape", scores, start=1), [limits.pre_nms_count])
    competing, cells = graph.ops("TopK", scores, count, count=2, axis=1)
    place, best = best_by_class(
        boxes.rows(cells),
        competing,
        iou=limits.iou_threshold,
        most=limits.keep_count,
        above=graph.op("Max", threshold, [limits.score_threshold]),
    )
    chosen = graph.op("GatherND", cells, place)
    height, width = (side // _MASK_STRIDE for side in input_size)
    logits = graph.op("MatMul", coefficients.rows(chosen), graph.op("Reshape", prototypes, [0, -1]))
    return finish_fast_graph(
        graph,
        boxes=boxes.rows(chosen),
        scores=best,
        class_ids=place[0:1].reshape(-1),
        masks=graph.op("Sigmoid", logits).reshape(-1, height, width),
        mask_size=(height, width),
    )
