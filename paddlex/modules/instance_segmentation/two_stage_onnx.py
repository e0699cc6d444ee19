"""R-CNN as one ONNX graph of plain operators, for photos of any size.

What has weights is converted from Paddle; what lies between - proposals, RoIAlign on the level of each box,
refinement, suppression of duplicates - consists of operators that paddle2onnx cannot convert, and is written
here. It computes what those compute (`generate_proposals`, `distribute_fpn_proposals`, `roi_align`,
`multiclass_nms3`), for one photo.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto

from paddlex.modules.instance_segmentation.fast_outputs import finish_fast_graph
from paddlex.modules.onnx_builder import GraphBuilder, Value
from paddlex.modules.onnx_suppression import best_by_class, suppress

if TYPE_CHECKING:
    from paddlex.repo_apis.paddle_detection.heads.roi_align import RoIAlign
    from paddlex.repo_apis.paddle_detection.mask_rcnn_network import MaskRCNN

__all__ = ["TwoStageParts", "assemble_two_stage"]

# As in nn/box_coding.py and heads/roi_align.py.
_MAX_LOG_SCALE = math.log(1000.0 / 16.0)
_CANONICAL_SIDE, _CANONICAL_LEVEL = 224, 4
# Less than any score: it marks boxes that the suppression of duplicates shall not see.
_NEVER, _ALWAYS = -3e38, -1e38


@dataclass(frozen=True, kw_only=True)
class TwoStageParts:
    """The parts with weights, converted.

    Attributes:
        trunk: image (1, 3, H, W) -> RoI features fine to coarse, objectness logits and deltas per level.
        box_stages: per stage RoI features (R, C, S, S) -> class logits (R, num_classes + 1) and deltas.
        mask_branch: RoI features (R, C, S, S) -> probabilities (R, num_classes, M, M).
    """

    trunk: ModelProto
    box_stages: Sequence[ModelProto]
    mask_branch: ModelProto


def assemble_two_stage(network: MaskRCNN, parts: TwoStageParts) -> ModelProto:
    """Join the parts of a network to its fast graph.

    Args:
        network: holds the settings of what lies between the parts.
        parts: its converted layers.

    Returns:
        image (1, 3, height, width), im_shape (1, 2), score_threshold (1,) -> boxes (1, K, 4) in fractions of
        the photo, scores (1, K) descending, class_ids (1, K) int32, masks (1, K, M, M) over each box.
    """
    graph = GraphBuilder()
    image = graph.input("image", [1, 3, "height", "width"])
    im_shape = graph.input("im_shape", [1, 2])
    threshold = graph.input("score_threshold", [1])
    frame = graph.op("Gather", im_shape.reshape(2), [1, 0, 1, 0])  # the far corner of the photo, twice
    outputs = graph.insert(parts.trunk, image)
    levels = len(network.anchors.strides)
    features, scores, deltas = outputs[: -2 * levels], outputs[-2 * levels : -levels], outputs[-levels:]
    rois = _proposals(network, scores, deltas, frame=frame)
    rois, probabilities, deltas_of_classes = _box_stages(
        network, parts.box_stages, features, rois, frame=frame
    )
    boxes, best, class_ids = _detections(
        network, rois, probabilities, deltas_of_classes, frame=frame, threshold=threshold
    )
    masks = _masks(network, parts.mask_branch, features, boxes, class_ids)
    return finish_fast_graph(
        graph, boxes=boxes / frame, scores=best, class_ids=class_ids, masks=masks, mask_size=("side", "side")
    )


# ---------------------------------------------------------------- boxes


def _decode(deltas: Value, boxes: Value, *, weights: Sequence[float], frame: Value) -> Value:
    """Boxes (..., 4) xyxy moved by their deltas (..., 4) and clipped to the photo."""
    graph = deltas.graph
    size = boxes[2:4] - boxes[0:2]
    centre = boxes[0:2] + size * 0.5
    scaled = deltas / list(weights)
    moved = centre + scaled[0:2] * size
    half = graph.op("Exp", graph.op("Min", scaled[2:4], _MAX_LOG_SCALE)) * size * 0.5
    corners = graph.concat([moved - half, moved + half], axis=-1)
    return graph.op("Min", graph.op("Max", corners, 0.0), frame)


# ---------------------------------------------------------------- proposals


def _proposals(network: MaskRCNN, scores: Sequence[Value], deltas: Sequence[Value], *, frame: Value) -> Value:
    """The proposals (R, 4), xyxy in pixels of the network input."""
    graph = frame.graph
    levels = [
        _level_proposals(network, level, *maps, frame=frame)
        for level, maps in enumerate(zip(scores, deltas, strict=True))
    ]
    boxes = graph.concat([boxes for boxes, _ in levels])
    if len(levels) == 1:
        return boxes
    logits = graph.concat([logits for _, logits in levels])
    _, index = graph.top_k(logits, graph.constant([network.test_proposals.post_nms]))
    return boxes.rows(index)


def _level_proposals(
    network: MaskRCNN, level: int, scores: Value, deltas: Value, *, frame: Value
) -> tuple[Value, Value]:
    """Boxes (n, 4) and logits (n,) of a level with scores (1, A, h, w) and deltas (1, 4 A, h, w)."""
    graph, limits = frame.graph, network.test_proposals
    anchors = network.anchors.cell_anchors[level]
    height, width = (graph.op("Shape", scores, start=axis, end=axis + 1) for axis in (2, 3))
    best, index = graph.top_k(scores.transpose(0, 2, 3, 1).reshape(-1), graph.constant([limits.pre_nms]))
    anchor, cell = index % len(anchors), index / len(anchors)
    x, y = cell % width, cell / width
    # Only the anchors that are needed are made, and only their deltas read: channel 4 anchor + coordinate.
    corner = graph.concat([(side * network.anchors.strides[level]).reshape(-1, 1) for side in (x, y)], axis=1)
    origin = graph.concat([corner, corner], axis=1).cast(np.float32)
    channel = (anchor * 4).reshape(-1, 1) + np.arange(4)
    place = (channel * height + y.reshape(-1, 1)) * width + x.reshape(-1, 1)
    boxes = _decode(
        deltas.reshape(-1).rows(place),
        graph.constant(anchors).rows(anchor) + origin,
        weights=[1.0] * 4,
        frame=frame,
    )
    side = graph.op("ReduceMin", boxes[2:4] - boxes[0:2], axes=[1], keepdims=0)
    large = graph.op("GreaterOrEqual", side, max(limits.min_size, 1.0))
    kept = suppress(
        boxes.reshape(1, -1, 4),
        graph.op("Where", large, best, _NEVER).reshape(1, 1, -1),
        iou=limits.nms_iou,
        most=limits.pre_nms if limits.collect_top_k else limits.post_nms,
        above=_ALWAYS,
    )[2:3].reshape(-1)
    return _at_least_one(boxes.rows(kept), np.zeros((1, 4), np.float32)), _at_least_one(
        best.rows(kept), np.zeros(1, np.float32)
    )


def _at_least_one(values: Value, filler: np.ndarray) -> Value:
    """`values`, or the filler if there are none."""
    graph = values.graph
    count = graph.op("Max", values.length(), [1])
    return graph.concat([values, graph.constant(filler)]).first(count)


# ---------------------------------------------------------------- RoIs


def _pool(pooler: RoIAlign, features: Sequence[Value], boxes: Value) -> tuple[Value, Value | None]:
    """RoI features (R, C, S, S), and the index (R,) of the box that each belongs to; None: in order."""
    graph = boxes.graph
    if len(pooler.strides) == 1:
        return _roi_align(pooler, 0, features[0], boxes), None
    size = graph.op("Max", boxes[2:4] - boxes[0:2], 0.0)
    side = graph.op("Sqrt", (size[0:1] * size[1:2]).reshape(-1))
    # Of the levels 2 to 5, a box reaches level l when its side reaches 224 * 2^(l - 4).
    finest = int(math.log2(pooler.strides[0]))
    limits = [
        _CANONICAL_SIDE * 2.0 ** (finest + 1 + i - _CANONICAL_LEVEL) for i in range(len(pooler.strides) - 1)
    ]
    reached = graph.op("GreaterOrEqual", side.reshape(-1, 1), limits).cast(np.int64)
    level = graph.op("ReduceSum", reached, [1], keepdims=0)
    members = [
        graph.op("NonZero", graph.op("Equal", level, i)).reshape(-1) for i in range(len(pooler.strides))
    ]
    pooled = [_roi_align(pooler, i, features[i], boxes.rows(rows)) for i, rows in enumerate(members)]
    return graph.concat(pooled), graph.concat(members)


def _roi_align(pooler: RoIAlign, level: int, feature: Value, boxes: Value) -> Value:
    graph = boxes.graph
    return graph.op(
        "RoiAlign",
        feature,
        boxes,
        graph.op("Expand", 0, boxes.length()),  # all of photo 0
        output_height=pooler.resolution,
        output_width=pooler.resolution,
        sampling_ratio=max(pooler.sampling_ratio, 0),
        spatial_scale=1.0 / pooler.strides[level],
        coordinate_transformation_mode="half_pixel" if pooler.aligned else "output_half_pixel",
    )


def _box_stages(
    network: MaskRCNN, stages: Sequence[ModelProto], features: Sequence[Value], rois: Value, *, frame: Value
) -> tuple[Value, Value, Value]:
    """RoIs (R, 4) of the last stage, probabilities (R, num_classes) over all stages, the last deltas."""
    graph = rois.graph
    total: Value | None = None
    for index, model in enumerate(stages):
        pooled, order = _pool(network.roi_pooler, features, rois)
        if order is not None:
            rois = rois.rows(order)
            total = total.rows(order) if total is not None else None
        logits, deltas = graph.insert(model, pooled)
        probabilities = graph.op("Softmax", logits, axis=-1)
        total = probabilities if total is None else total + probabilities
        if index < len(stages) - 1:
            weights = network.box_stages[index].coding_weights
            rois = _decode(deltas, rois, weights=weights, frame=frame)
    assert total is not None
    mean = total if len(stages) == 1 else total / float(len(stages))
    return rois, mean[0:-1], deltas  # the last column is the background


def _detections(
    network: MaskRCNN, rois: Value, probabilities: Value, deltas: Value, *, frame: Value, threshold: Value
) -> tuple[Value, Value, Value]:
    """Boxes (K, 4), scores (K,) descending and class ids (K,) int64 of the detections."""
    graph, limits = rois.graph, network.detection_limits
    scores = probabilities.transpose(1, 0)
    boxes = _decode(
        graph.op("Reshape", deltas, [0, -1, 4]),  # for each class, or one for all of them
        rois.reshape(-1, 1, 4),
        weights=network.box_stages[-1].coding_weights,
        frame=frame,
    ).transpose(1, 0, 2)
    boxes = graph.op("Expand", boxes, graph.concat([scores.length(), graph.constant([1, 1])]))
    place, best = best_by_class(
        boxes,
        scores,
        iou=limits.nms_iou,
        most=limits.keep_top_k,
        above=graph.op("Max", threshold, [limits.score_threshold]),
    )
    return graph.op("GatherND", boxes, place), best, place[0:1].reshape(-1)


# ---------------------------------------------------------------- masks


def _masks(
    network: MaskRCNN, mask_branch: ModelProto, features: Sequence[Value], boxes: Value, class_ids: Value
) -> Value:
    """Probabilities (K, M, M) of each box's class."""
    graph = boxes.graph
    # Runtimes differ about convolutions of nothing, so that a photo without objects has one box here.
    pooled, order = _pool(network.mask_pooler, features, _at_least_one(boxes, np.zeros((1, 4), np.float32)))
    class_ids = _at_least_one(class_ids, np.zeros(1, np.int64))
    if order is not None:
        class_ids = class_ids.rows(order)
    (masks,) = graph.insert(mask_branch, pooled)
    masks = graph.op("GatherND", masks, class_ids.reshape(-1, 1), batch_dims=1)
    if order is not None:
        # The index that sorts an order leads back from it.
        count = order.length()
        _, back = graph.ops("TopK", order, count, count=2, axis=0, largest=0)
        masks = masks.rows(back)
    return masks.first(boxes.length())
