"""Suppression of duplicates with ONNX's operator."""

from __future__ import annotations

from paddlex.modules.onnx_builder import GraphBuilder, Value

__all__ = ["best_by_class", "suppress"]


def suppress(boxes: Value, scores: Value, *, iou: float, most: int, above: Value | float) -> Value:
    """Keep of overlapping boxes the best.

    Args:
        boxes: (B, N, 4) xyxy.
        scores: (B, C, N).
        iou: a box that overlaps a better one of its class more than this is dropped.
        most: boxes kept of a class.
        above: boxes that do not score above it are dropped; a number, or (1,).

    Returns:
        (n, 3) int64 of batch, class and index of the boxes kept; in each class the best first.
    """
    graph = boxes.graph
    limit = above if isinstance(above, Value) else graph.constant([above])
    return graph.op("NonMaxSuppression", boxes, scores, [most], [iou], limit)


def best_by_class(boxes: Value, scores: Value, *, iou: float, most: int, above: Value) -> tuple[Value, Value]:
    """Suppress duplicates in each class, and keep the best of all classes.

    Args:
        boxes: (C, N, 4) xyxy, candidates of each class.
        scores: (C, N).
        iou: as `suppress` takes it.
        most: boxes kept.
        above: as `suppress` takes it, (1,).

    Returns:
        Class and index (K, 2) int64, and scores (K,), best first.
    """
    graph: GraphBuilder = boxes.graph
    # Every class has boxes of its own: for the operator it is a photo with one class.
    kept = suppress(boxes, graph.op("Unsqueeze", scores, [1]), iou=iou, most=most, above=above)
    place = graph.op("Gather", kept, [0, 2], axis=1)
    best, order = graph.top_k(graph.op("GatherND", scores, place), graph.constant([most]))
    return place.rows(order), best
