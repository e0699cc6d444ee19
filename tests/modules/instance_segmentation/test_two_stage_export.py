"""R-CNN exports: any input size in both graphs, and masks only of what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import paddle
import pytest
import yaml
from tiny_mask_rcnn import CLASS_NAMES, INPUT_SIZE, build_fpn, filled, photos, tiny_spec

from paddlex.modules.export_onnx import write_onnx
from paddlex.modules.instance_segmentation.exporter import export_network
from paddlex.modules.instance_segmentation.fast_graph import make_fast_graph
from paddlex.modules.instance_segmentation.predictor import InstancePredictor
from paddlex.repo_apis.paddle_detection.heads.rcnn_postprocess import DetectionLimits
from paddlex.repo_apis.paddle_detection.heads.rpn_proposals import ProposalLimits

pytestmark = pytest.mark.onnx_export


@pytest.fixture(scope="module", params=["fpn", "cascade", "c4"])
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], paddle.nn.Layer]:
    folder = tmp_path_factory.mktemp(request.param)
    spec = tiny_spec(request.param)
    network = filled(spec.build(num_classes=len(CLASS_NAMES)))
    report = export_network(
        network,
        spec=spec,
        class_names=CLASS_NAMES,
        input_size=INPUT_SIZE,
        folder=folder,
        sample_images=photos(),
    )
    return folder, report, network


def test_both_graphs_find_what_the_network_finds(exported: Any) -> None:
    _, report, _ = exported
    assert report["sample_photos"] == 2 and report["onnx_skipped"] is None
    assert set(report["differences"]) == {"paddle", "onnx"}
    for differences in report["differences"].values():
        assert differences["compared"] > 20
        assert differences["missing"] == differences["extra"] == 0
        assert differences["max_score_difference"] < 1e-4
        assert differences["max_box_difference"] < 0.05
        assert differences["mean_mask_iou"] > 0.999


def test_the_settings_keep_the_aspect_within_the_limits(exported: Any) -> None:
    folder, report, _ = exported
    resize = yaml.safe_load((folder / "inference.yml").read_text())["Preprocess"][0]
    assert (resize["target_size"], resize["keep_ratio"]) == (list(INPUT_SIZE), True)
    assert report["input_size"] == list(INPUT_SIZE)


def test_the_onnx_graph_takes_any_size_and_says_what_its_masks_are(exported: Any) -> None:
    model = onnx.load(exported[0] / "inference.onnx")

    def shape(value: onnx.ValueInfoProto) -> list[int | str]:
        return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]

    assert {value.name: shape(value) for value in model.graph.input} == {
        "image": [1, 3, "height", "width"],
        "im_shape": [1, 2],
        "score_threshold": [1],
    }
    assert [value.name for value in model.graph.output] == ["boxes", "scores", "class_ids", "masks"]
    assert {node.domain for node in model.graph.node} == {""}
    properties = {p.key: p.value for p in model.metadata_props}
    assert properties["mask_form"] == '{"frame": "box", "values": "probabilities", "boxes": "free"}'


def test_no_weight_is_stored_twice(exported: Any) -> None:
    folder, _, network = exported
    weights = sum(int(np.prod(value.shape)) for value in network.state_dict().values())
    assert (folder / "inference.onnx").stat().st_size < 4 * weights * 1.02 + 300_000


def test_prediction_is_the_same_through_every_backend(exported: Any) -> None:
    folder, _, _ = exported
    results = []
    for backend in ("onnx", "paddle", "openvino"):
        if backend == "openvino":
            pytest.importorskip("openvino")
        predictor = InstancePredictor(folder, device="cpu", backend=backend, threshold=0.1)
        results.append(
            list(predictor.predict([photo[:, :, ::-1].copy() for photo in photos()], batch_size=2))
        )
    for photo in zip(*results, strict=True):
        assert len(photo[0]) > 10
        for other in photo[1:]:
            assert sorted(photo[0].scores.tolist()) == pytest.approx(sorted(other.scores.tolist()), abs=1e-4)
            assert sum(photo[0].masks.area()) == pytest.approx(sum(other.masks.area()), rel=1e-3)


# ---------------------------------------------------------------- the graph beyond the usual


def _both(folder: Path, network: paddle.nn.Layer, *, size: tuple[int, int], threshold: float = 0.0) -> Any:
    """What network and graph find on an image whose right quarter is padding."""
    write_onnx(make_fast_graph(network, input_size=None), folder / "fast.onnx", metadata={})
    session = onnxruntime.InferenceSession(str(folder / "fast.onnx"), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).normal(size=(1, 3, *size)).astype(np.float32)
    content = size[1] * 3 // 4
    image[..., content:] = 0
    im_shape = np.array([[size[0], content]], np.float32)
    with paddle.no_grad():
        found = network.detect(paddle.to_tensor(image), paddle.to_tensor(im_shape))
    feed = {"image": image, "im_shape": im_shape, "score_threshold": np.array([threshold], np.float32)}
    names = [value.name for value in session.get_outputs()]
    return {name: value.numpy() for name, value in found.items()}, dict(
        zip(names, session.run(None, feed), strict=True)
    )


def _assert_equal(network: dict[str, np.ndarray], graph: dict[str, np.ndarray]) -> None:
    assert network["scores"].shape == graph["scores"].shape
    np.testing.assert_allclose(graph["scores"], network["scores"], atol=1e-5)
    np.testing.assert_allclose(graph["boxes"], network["boxes"], atol=1e-4)
    np.testing.assert_array_equal(graph["class_ids"], network["class_ids"])
    np.testing.assert_allclose(graph["masks"], network["masks"], atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"aligned": True, "sampling_ratio": 2},
        # No box of the finest level is a pixel wide: that level yields a box of zeros.
        {"anchor_sizes": [[0.25], [8.0], [16.0], [32.0], [64.0]]},
        {"test_proposals": ProposalLimits(pre_nms=40, post_nms=10, min_size=5.0, collect_top_k=True)},
        {"detection_limits": DetectionLimits(score_threshold=0.3, nms_iou=0.2, keep_top_k=5)},
    ],
    ids=["aligned", "level_without_boxes", "few_proposals", "own_limits"],
)
def test_settings_of_the_builder_arrive_in_the_graph(tmp_path: Path, options: dict[str, Any]) -> None:
    network = filled(build_fpn(num_classes=3, **options))
    found, computed = _both(tmp_path, network, size=(96, 128))
    assert found["scores"].shape[1] >= 5
    _assert_equal(found, computed)


def test_boxes_of_all_sizes_meet_their_levels(tmp_path: Path) -> None:
    network = filled(build_fpn(num_classes=3))
    found, computed = _both(tmp_path, network, size=(480, 640))
    sides = np.sqrt(np.prod(found["boxes"][0, :, 2:] - found["boxes"][0, :, :2], axis=1) * 480 * 480)
    # Levels change at 112, 224 and 448 pixels.
    assert len(np.unique(np.searchsorted([112, 224, 448], sides))) >= 3
    _assert_equal(found, computed)


def test_detections_below_the_threshold_are_left_out(tmp_path: Path) -> None:
    network = filled(build_fpn(num_classes=3))
    everything, _ = _both(tmp_path, network, size=(96, 128))
    threshold = float(np.median(everything["scores"]))
    _, kept = _both(tmp_path, network, size=(96, 128), threshold=threshold)
    expected = everything["scores"][everything["scores"] > threshold]
    np.testing.assert_allclose(kept["scores"][0], expected, atol=1e-5)
    assert kept["masks"].shape[1] == len(expected)


def test_an_image_without_detections_gives_empty_outputs(tmp_path: Path) -> None:
    _, nothing = _both(tmp_path, filled(build_fpn(num_classes=3)), size=(96, 128), threshold=1.0)
    assert {name: value.shape for name, value in nothing.items()} == {
        "boxes": (1, 0, 4),
        "scores": (1, 0),
        "class_ids": (1, 0),
        "masks": (1, 0, 28, 28),
    }
