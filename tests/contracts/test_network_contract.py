"""What every instance segmentation network promises to training, evaluation and export."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import paddle
import pytest
from paddle import Tensor, nn

from paddlex.nn.conv_bn import ConvBN
from paddlex.repo_apis.paddle_detection.heads.rcnn_postprocess import DetectionLimits
from paddlex.repo_apis.paddle_detection.heads.rpn_proposals import ProposalLimits
from paddlex.repo_apis.paddle_detection.mask_rcnn import CASCADE_STAGES
from paddlex.repo_apis.paddle_detection.matching.roi_sampling import RoISampler
from paddlex.repo_apis.paddle_detection.suite import MODELS
from paddlex.structures.shapes import InstanceShapes

NUM_CLASSES = 3
EVAL_SIZE = (96, 96)
_FEW_BOXES = {
    "roi_sampler": RoISampler(samples_per_image=16),
    "test_proposals": ProposalLimits(pre_nms=100, post_nms=20),
    "detection_limits": DetectionLimits(keep_top_k=10),
}
# By model the builder's arguments that keep it quick: what they change is not what is tested.
MEMBERS: dict[str, dict[str, Any]] = {
    # The smallest; and one whose neck attends on another level and has wider fusion blocks.
    "Mask-RT-DETR-S": {},
    "Mask-RT-DETR-L": {},
    # With a pyramid, without one, and with three stages (few boxes overlap what an untrained stage refines).
    "MaskRCNN-ResNet50-FPN": {"fpn_width": 32, **_FEW_BOXES},
    "MaskRCNN-ResNet50": _FEW_BOXES,
    "Cascade-MaskRCNN-ResNet50-FPN": {
        "fpn_width": 32,
        "stages": [replace(stage, match_iou=0.01) for stage in CASCADE_STAGES],
        **_FEW_BOXES,
    },
    # Every cell inside an object learns, those of the coarsest level too.
    "PP-YOLOE_seg-S": {"assigned_cells": 200, "num_detections": 10},
    "SOLOv2": {
        "width": 32,
        "head_width": 32,
        "num_head_convs": 1,
        "kernel_channels": 32,
        "mask_width": 32,
        "score_threshold": 0.001,
        "keep_threshold": 0.0005,
        "cell_strides": (1,) * 5,
    },
}
NAMES = list(MEMBERS)


def build(name: str) -> nn.Layer:
    """A network with generic weights: the zeros it starts from would hide broken gradients."""
    paddle.seed(0)
    network = MODELS[name].build(num_classes=NUM_CLASSES, eval_size=EVAL_SIZE, **MEMBERS[name])
    for parameter in network.parameters():
        parameter.set_value(parameter + 0.02 * paddle.randn(parameter.shape))
    network.eval()
    _measure_statistics(network)
    return network


@paddle.no_grad()
def _measure_statistics(network: nn.Layer) -> None:
    """Give every normalisation the statistics of some images, as training has: features keep their scale."""
    hooks = []
    for unit in network.sublayers():
        if isinstance(unit, ConvBN):

            def measure(layer: nn.Layer, inputs: Any, output: Tensor, norm: Any = unit.normalization) -> None:
                norm._mean.set_value(output.mean(axis=[0, 2, 3]))
                norm._variance.set_value(output.var(axis=[0, 2, 3]) + 0.1)

            hooks.append(unit.convolution.register_forward_post_hook(measure))
    detect(network, make_images(2, seed=1))
    for hook in hooks:
        hook.remove()


@pytest.fixture(scope="module", params=NAMES)
def built(request: pytest.FixtureRequest) -> tuple[str, nn.Layer]:
    """A model's name and its network, built once for all its tests."""
    return request.param, build(request.param)


@pytest.fixture
def network(built: tuple[str, nn.Layer]) -> nn.Layer:
    """The network in evaluation mode, without gradients of the test before."""
    _, network = built
    network.eval()
    network.clear_gradients()
    return network


@pytest.fixture
def masks(built: tuple[str, nn.Layer]) -> str:
    """The form of the masks that the network learns from."""
    name, _ = built
    return MODELS[name].recipe.masks


def make_images(count: int, *, size: tuple[int, int] = EVAL_SIZE, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return paddle.to_tensor(rng.random((count, 3, *size), dtype=np.float32))


def detect(network: nn.Layer, images: Tensor) -> dict[str, Tensor]:
    """Detections on images without padding."""
    im_shape = paddle.to_tensor([[float(side) for side in images.shape[2:]]] * len(images))
    return network.detect(images, im_shape)


def make_batch(
    objects_per_image: list[int], *, masks: str, size: tuple[int, int] = EVAL_SIZE
) -> dict[str, Any]:
    """Return photos with rectangles, as the training loop hands them over to a recipe with these `masks`."""
    height, width = size
    batch: dict[str, Any] = {
        "image": make_images(len(objects_per_image), size=size),
        "im_shape": paddle.to_tensor([[float(height), float(width)]] * len(objects_per_image)),
        "gt_boxes": [],
        "gt_class_ids": [],
        "gt_masks": [],
    }
    for count in objects_per_image:
        boxes = np.array([[8 * k, 4 * k, 8 * k + 40, 4 * k + 30] for k in range(count)], np.float32)
        outlines = [[[x0, y0, x1, y0, x1, y1, x0, y1]] for x0, y0, x1, y1 in boxes]
        shapes = InstanceShapes.from_polygons(outlines, size=size)
        dense = paddle.to_tensor(shapes.to_dense().astype(np.uint8))
        batch["gt_boxes"].append(paddle.to_tensor(boxes.reshape(-1, 4)))
        batch["gt_class_ids"].append(paddle.to_tensor(np.arange(count, dtype=np.int64) % NUM_CLASSES))
        batch["gt_masks"].append(shapes if masks == "shapes" else dense)
    return batch


def trainable(network: nn.Layer) -> dict[str, Tensor]:
    return {name: p for name, p in network.named_parameters() if not p.stop_gradient}


@pytest.mark.parametrize("size", [EVAL_SIZE, (64, 128)], ids=["square", "oblong"])
def test_training_gives_finite_losses_and_a_gradient_to_every_parameter(
    network: nn.Layer, masks: str, size: tuple[int, int]
) -> None:
    network.train()
    losses = network(make_batch([2, 1], masks=masks, size=size))
    losses["loss"].backward()

    terms = [float(value) for name, value in losses.items() if name != "loss"]
    assert np.isfinite(terms).all()
    assert float(losses["loss"]) == pytest.approx(sum(terms), rel=1e-4)
    without = [name for name, p in trainable(network).items() if p.grad is None or not p.grad.numpy().any()]
    assert not without


@pytest.mark.parametrize("objects", [[2, 0], [0, 0]], ids=["one_empty_photo", "all_photos_empty"])
def test_photos_without_objects_train_and_leave_no_parameter_out(
    network: nn.Layer, masks: str, objects: list[int]
) -> None:
    network.train()
    losses = network(make_batch(objects, masks=masks))
    losses["loss"].backward()

    assert all(np.isfinite(float(value)) for value in losses.values())
    # Data-parallel training waits for a gradient of every parameter, be it zero.
    assert [name for name, p in trainable(network).items() if p.grad is None] == []
    assert all(bool(paddle.isfinite(p.grad).all()) for p in trainable(network).values())


def test_frozen_parameters_get_no_gradient(network: nn.Layer, masks: str) -> None:
    network.train()
    network(make_batch([1], masks=masks))["loss"].backward()

    frozen = [p for p in network.parameters() if p.stop_gradient]
    assert frozen
    assert all(p.grad is None for p in frozen)


def test_detections_have_their_documented_form(network: nn.Layer) -> None:
    with paddle.no_grad():
        found = detect(network, make_images(2))

    assert list(found) == ["boxes", "scores", "class_ids", "masks"]
    batch, count = found["scores"].shape
    assert batch == 2
    assert list(found["boxes"].shape) == [2, count, 4]
    assert list(found["class_ids"].shape) == [2, count]
    assert list(found["masks"].shape[:2]) == [2, count]
    scores, class_ids = found["scores"].numpy(), found["class_ids"].numpy()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (np.diff(scores, axis=1) <= 0).all()
    assert class_ids.max() >= 0
    assert class_ids.max() < NUM_CLASSES
    # Rows that only fill up are the last ones.
    assert (np.diff((class_ids >= 0).astype(int), axis=1) <= 0).all()


def test_masks_have_the_values_that_the_networks_form_says(network: nn.Layer) -> None:
    with paddle.no_grad():
        masks = detect(network, make_images(1))["masks"].numpy()

    assert np.isfinite(masks).all()
    is_probability = (masks >= 0).all() and (masks <= 1).all()
    assert is_probability == (network.mask_form.values == "probabilities")


def test_detections_do_not_depend_on_the_rest_of_the_batch(network: nn.Layer) -> None:
    images = make_images(2)
    with paddle.no_grad():
        together, alone = detect(network, images), detect(network, images[1:])

    scores, expected = (_scores(found["scores"][-1], found["class_ids"][-1]) for found in (together, alone))
    assert len(expected)
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def _scores(scores: Tensor, class_ids: Tensor) -> np.ndarray:
    """Scores of the rows that are detections."""
    return scores.numpy()[class_ids.numpy() >= 0]


@pytest.mark.parametrize("size", [(64, 64), (128, 96)], ids=["smaller", "oblong"])
def test_evaluation_works_at_another_size_than_the_built_one(
    network: nn.Layer, size: tuple[int, int]
) -> None:
    im_shape = paddle.to_tensor([[float(side) for side in size]])
    with paddle.no_grad():
        raw = network({"image": make_images(1, size=size), "im_shape": im_shape})

    assert all(np.isfinite(value.numpy()).all() for value in raw.values())


def test_official_outputs_are_the_detections_in_photo_pixels(network: nn.Layer) -> None:
    height, width = 50, 120
    im_shape = paddle.to_tensor([[float(side) for side in EVAL_SIZE]])
    scale = paddle.to_tensor(np.float32([[EVAL_SIZE[0] / height, EVAL_SIZE[1] / width]]))
    with paddle.no_grad():
        images = make_images(1)
        rows, masks = official_rows(network.forward_official(im_shape, images, scale))
        found = detect(network, images)

    is_detection = found["class_ids"][0].numpy() >= 0
    assert len(rows) == len(masks) == is_detection.sum()
    assert masks.shape[1:] == (height, width)
    assert set(np.unique(masks)) <= {0, 1}
    # Families order them in ways of their own, and some clip the boxes to the photo.
    pixels = found["boxes"][0].numpy() * [width, height, width, height]
    expected = np.column_stack([found["class_ids"][0].numpy(), found["scores"][0].numpy(), pixels])
    rows, expected = np.sort(rows, axis=0), np.sort(expected[is_detection], axis=0)
    np.testing.assert_allclose(rows[:, :2], expected[:, :2], rtol=1e-5)
    if rows.shape[1] == 6:
        limits = np.array([width, height, width, height])
        boxes, expected = rows[:, 2:].clip(0, limits), expected[:, 2:].clip(0, limits)
        np.testing.assert_allclose(boxes, expected, rtol=1e-4, atol=1e-2)


def official_rows(outputs: tuple[Tensor, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of class, score and, from families with boxes, four coordinates; and the masks of these rows."""
    if len(outputs) == 3:
        rows, count, masks = (output.numpy() for output in outputs)
        assert count.tolist() == [len(rows)]
        return rows, masks
    count, class_ids, scores, masks = (output.numpy() for output in outputs)
    assert int(count) == len(scores)
    # A last row of score 0 only fills up: it is there when nothing is found.
    end = len(scores) - (scores[-1] == 0)
    return np.column_stack([class_ids, scores])[:end], masks[:end]


def test_weights_of_one_size_serve_every_size(network: nn.Layer) -> None:
    assert not [name for name in network.state_dict() if "table" in name or "anchor" in name]


@pytest.mark.parametrize("name", NAMES)
def test_fusing_for_deployment_keeps_the_detections(name: str) -> None:
    network, images = build(name), make_images(1, seed=2)
    entries = len(network.state_dict())
    with paddle.no_grad():
        before = detect(network, images)
        network.fuse_for_deploy()
        after = detect(network, images)

    assert len(network.state_dict()) < entries
    # Rounding may change which of two boxes suppresses the other, but hardly a score.
    best, expected = (np.sort(found["scores"].numpy())[:, -5:] for found in (after, before))
    np.testing.assert_allclose(best, expected, atol=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_training_from_scratch_unfreezes_the_whole_network(name: str) -> None:
    network = build(name)
    names = list(network.state_dict())
    network.unfreeze_for_scratch()
    network.train()
    statistics = [name for name in names if name.endswith(("._mean", "._variance"))]
    before = {name: network.state_dict()[name].numpy() for name in statistics}
    network(make_batch([1, 1], masks=MODELS[name].recipe.masks))["loss"].backward()

    assert list(network.state_dict()) == names
    # The one weight that never learns: the whole numbers that bins of distances stand for.
    constants = {name for name in names if name.endswith(".proj_conv.weight")}
    assert {name for name, p in network.named_parameters() if p.stop_gradient} <= {*statistics, *constants}
    assert {p.optimize_attr["learning_rate"] for p in trainable(network).values()} == {1.0}
    assert [name for name, p in trainable(network).items() if p.grad is None] == []
    after = network.state_dict()
    assert [name for name in statistics if np.array_equal(after[name].numpy(), before[name])] == []
