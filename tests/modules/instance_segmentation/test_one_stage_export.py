"""Exports of the families without proposals: PP-YOLOE_seg, whose duplicates are suppressed, and SOLOv2."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import paddle
import pytest
from tiny_mask_rcnn import CLASS_NAMES, filled, photos

from paddlex.modules.instance_segmentation.exporter import export_network
from paddlex.modules.instance_segmentation.predictor import InstancePredictor
from paddlex.repo_apis.paddle_detection.suite import MODELS

pytestmark = pytest.mark.onnx_export


def build_tiny_yoloe(*, num_classes: int, **options: Any) -> paddle.nn.Layer:
    from paddlex.repo_apis.paddle_detection.ppyoloe_seg import build_ppyoloe_seg

    return build_ppyoloe_seg(
        num_classes=num_classes,
        depth=0.33,
        width=0.5,
        num_detections=30,
        pre_nms_count=60,
        score_threshold=1e-6,
        **options,
    )


def build_tiny_solov2(*, num_classes: int, **options: Any) -> paddle.nn.Layer:
    from paddlex.repo_apis.paddle_detection.solov2 import build_solov2

    narrow = {"width": 32, "head_width": 32, "num_head_convs": 2, "kernel_channels": 32, "mask_width": 32}
    grids = {"grid_sizes": (12, 10, 8, 6, 4), "num_detections": 30}
    return build_solov2(num_classes=num_classes, **narrow, **grids, **options)


FAMILIES = {
    "PP-YOLOE_seg-S": ("build_tiny_yoloe", (96, 128), ["image", "score_threshold"]),
    "SOLOv2": ("build_tiny_solov2", (96, 160), ["image", "im_shape"]),
}


@pytest.fixture(scope="module", params=list(FAMILIES))
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, dict[str, Any]]:
    builder, size, _ = FAMILIES[request.param]
    folder = tmp_path_factory.mktemp("exported")
    spec = dataclasses.replace(MODELS[request.param], builder=f"test_one_stage_export:{builder}")
    network = filled(spec.build(num_classes=len(CLASS_NAMES), eval_size=size))
    report = export_network(
        network, spec=spec, class_names=CLASS_NAMES, input_size=size, folder=folder, sample_images=photos()
    )
    return request.param, folder, report


def test_both_graphs_find_what_the_network_finds(exported: Any) -> None:
    for differences in exported[2]["differences"].values():
        assert differences["compared"] > 20
        assert differences["missing"] == differences["extra"] == 0
        assert differences["max_score_difference"] < 3e-3  # a cell at the threshold of a small mask
        assert differences["mean_mask_iou"] > 0.97  # official graphs enlarge masks in two steps


def test_the_onnx_graph_asks_for_what_it_needs(exported: Any) -> None:
    name, folder, _ = exported
    graph = onnx.load(folder / "inference.onnx").graph
    assert [value.name for value in graph.input] == FAMILIES[name][2]
    assert [value.name for value in graph.output] == ["boxes", "scores", "class_ids", "masks"]


def test_prediction_is_the_same_through_every_backend(exported: Any) -> None:
    _, folder, report = exported
    scores, areas = [], []
    for backend in ("onnx", "paddle", "openvino"):
        if backend == "openvino":
            pytest.importorskip("openvino")
        predictor = InstancePredictor(folder, device="cpu", backend=backend, threshold=0.0)
        results = list(predictor.predict([photo[:, :, ::-1].copy() for photo in photos()], batch_size=2))
        scores.append(np.concatenate([np.sort(result.scores)[::-1][:20] for result in results]))
        areas.append(sum(result.masks.area().sum() for result in results))
    assert report["class_names"] == list(CLASS_NAMES)
    for other in range(1, len(scores)):
        np.testing.assert_allclose(scores[0], scores[other], atol=3e-3)
        assert areas[0] == pytest.approx(areas[other], rel=0.02)
