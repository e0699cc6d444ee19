"""What every instance segmentation network promises to training, evaluation and export."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.suite import MODELS
from paddlex.utils.errors import ShapeError

NUM_CLASSES = 3
EVAL_SIZE = (96, 96)
# The smallest; and one whose neck attends on another level and has wider fusion blocks.
NAMES = ["Mask-RT-DETR-S", "Mask-RT-DETR-L"]


@pytest.fixture(scope="module", params=NAMES)
def built(request: pytest.FixtureRequest) -> paddle.nn.Layer:
    """A network with generic weights: the zeros it starts from would hide broken gradients."""
    paddle.seed(0)
    network = MODELS[request.param].build(num_classes=NUM_CLASSES, eval_size=EVAL_SIZE)
    for parameter in network.parameters():
        parameter.set_value(parameter + 0.02 * paddle.randn(parameter.shape))
    return network


@pytest.fixture
def network(built: paddle.nn.Layer) -> paddle.nn.Layer:
    """The network in evaluation mode, without gradients of the test before."""
    built.eval()
    built.clear_gradients()
    return built


def make_images(count: int, *, size: tuple[int, int] = EVAL_SIZE, seed: int = 0) -> paddle.Tensor:
    rng = np.random.default_rng(seed)
    return paddle.to_tensor(rng.random((count, 3, *size), dtype=np.float32))


def detect(network: paddle.nn.Layer, images: paddle.Tensor) -> dict[str, paddle.Tensor]:
    """Detections on images without padding."""
    im_shape = paddle.to_tensor([[float(side) for side in images.shape[2:]]] * len(images))
    return network.detect(images, im_shape)


def make_batch(objects_per_image: list[int], *, size: tuple[int, int] = EVAL_SIZE) -> dict[str, Any]:
    """Return photos with rectangles, as the training loop hands them over."""
    height, width = size
    batch: dict[str, Any] = {
        "image": make_images(len(objects_per_image), size=size),
        "gt_boxes": [],
        "gt_class_ids": [],
        "gt_masks": [],
    }
    for count in objects_per_image:
        boxes = np.array([[8 * k, 4 * k, 8 * k + 40, 4 * k + 30] for k in range(count)], np.float32)
        masks = np.zeros((count, height, width), np.uint8)
        for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int), strict=True):
            mask[y0:y1, x0:x1] = 1
        batch["gt_boxes"].append(paddle.to_tensor(boxes.reshape(-1, 4)))
        batch["gt_class_ids"].append(paddle.to_tensor(np.arange(count, dtype=np.int64) % NUM_CLASSES))
        batch["gt_masks"].append(paddle.to_tensor(masks))
    return batch


def trainable(network: paddle.nn.Layer) -> dict[str, paddle.Tensor]:
    return {name: p for name, p in network.named_parameters() if not p.stop_gradient}


@pytest.mark.parametrize("size", [EVAL_SIZE, (64, 128)], ids=["square", "oblong"])
def test_training_gives_finite_losses_and_a_gradient_to_every_parameter(
    network: paddle.nn.Layer, size: tuple[int, int]
) -> None:
    network.train()
    losses = network(make_batch([2, 1], size=size))
    losses["loss"].backward()

    terms = [float(value) for name, value in losses.items() if name != "loss"]
    assert np.isfinite(terms).all()
    assert float(losses["loss"]) == pytest.approx(sum(terms), rel=1e-4)
    without = [name for name, p in trainable(network).items() if p.grad is None or not p.grad.numpy().any()]
    assert not without


@pytest.mark.parametrize("objects", [[2, 0], [0, 0]], ids=["one_empty_photo", "all_photos_empty"])
def test_photos_without_objects_train_and_leave_no_parameter_out(
    network: paddle.nn.Layer, objects: list[int]
) -> None:
    network.train()
    losses = network(make_batch(objects))
    losses["loss"].backward()

    assert all(np.isfinite(float(value)) for value in losses.values())
    # Data-parallel training waits for a gradient of every parameter, be it zero.
    assert [name for name, p in trainable(network).items() if p.grad is None] == []
    assert all(bool(paddle.isfinite(p.grad).all()) for p in trainable(network).values())


def test_frozen_parameters_get_no_gradient(network: paddle.nn.Layer) -> None:
    network.train()
    network(make_batch([1]))["loss"].backward()

    frozen = [p for p in network.parameters() if p.stop_gradient]
    assert frozen
    assert all(p.grad is None for p in frozen)


def test_detections_have_their_documented_form(network: paddle.nn.Layer) -> None:
    with paddle.no_grad():
        found = detect(network, make_images(2))

    assert list(found) == ["boxes", "scores", "class_ids", "masks"]
    batch, count = found["scores"].shape
    assert (batch, count) == (2, network.num_detections)
    assert list(found["boxes"].shape) == [2, count, 4]
    assert list(found["masks"].shape) == [2, count, 24, 24]
    scores, class_ids = found["scores"].numpy(), found["class_ids"].numpy()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (np.diff(scores, axis=1) <= 0).all()
    assert set(np.unique(class_ids)) <= set(range(NUM_CLASSES))


def test_detections_do_not_depend_on_the_rest_of_the_batch(network: paddle.nn.Layer) -> None:
    images = make_images(2)
    with paddle.no_grad():
        together, alone = detect(network, images), detect(network, images[1:])

    np.testing.assert_allclose(together["scores"][1:].numpy(), alone["scores"].numpy(), atol=1e-4)


def test_detections_are_the_best_pairs_of_the_raw_outputs(network: paddle.nn.Layer) -> None:
    with paddle.no_grad():
        images = make_images(1)
        raw, found = network({"image": images}), detect(network, images)

    probabilities = 1 / (1 + np.exp(-raw["logits"].numpy().astype(np.float64)))
    best = np.sort(probabilities.reshape(-1))[::-1][: network.num_detections]
    np.testing.assert_allclose(found["scores"][0].numpy(), best, rtol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (128, 96)], ids=["smaller", "oblong"])
def test_evaluation_works_at_another_size_than_the_built_one(
    network: paddle.nn.Layer, size: tuple[int, int]
) -> None:
    with paddle.no_grad():
        raw = network({"image": make_images(1, size=size)})

    assert list(raw["masks"].shape[2:]) == [size[0] // 4, size[1] // 4]
    assert all(bool(paddle.isfinite(value).all()) for value in raw.values())


def test_a_size_that_the_strides_do_not_divide_is_refused_with_a_proposal(network: paddle.nn.Layer) -> None:
    with pytest.raises(ShapeError, match=r"100 x 96 pixels, expected multiples of 32; resize to 96 x 96"):
        network({"image": make_images(1, size=(100, 96))})


def test_official_outputs_are_the_detections_in_photo_pixels(network: paddle.nn.Layer) -> None:
    height, width = 50, 120
    im_shape = paddle.to_tensor([[float(side) for side in EVAL_SIZE]])
    scale = paddle.to_tensor(np.float32([[EVAL_SIZE[0] / height, EVAL_SIZE[1] / width]]))
    with paddle.no_grad():
        images = make_images(1)
        rows, count, masks = network.forward_official(im_shape, images, scale)
        found = detect(network, images)

    assert rows.shape == [network.num_detections, 6]
    assert int(count[0]) == len(rows)
    assert list(masks.shape) == [len(rows), height, width]
    assert set(np.unique(masks.numpy())) <= {0, 1}
    np.testing.assert_array_equal(rows[:, 0].numpy(), found["class_ids"][0].numpy())
    np.testing.assert_allclose(rows[:, 1].numpy(), found["scores"][0].numpy())
    pixels = found["boxes"][0].numpy() * [width, height, width, height]
    np.testing.assert_allclose(rows[:, 2:].numpy(), pixels, rtol=1e-4, atol=1e-3)


def test_weights_of_one_size_serve_every_size(network: paddle.nn.Layer) -> None:
    assert not [name for name in network.state_dict() if "table" in name or "anchor" in name]


@pytest.mark.parametrize("name", NAMES)
def test_fusing_for_deployment_keeps_the_features(name: str) -> None:
    paddle.seed(1)
    network = MODELS[name].build(num_classes=NUM_CLASSES, eval_size=EVAL_SIZE)
    network.train()
    with paddle.no_grad():
        # One step of training mode gives the normalisations statistics of their own.
        network.neck(network.backbone(make_images(2)))
        network.eval()
        images = make_images(1, seed=2)
        levels, prototypes = network.neck(network.backbone(images))
        entries = len(network.state_dict())
        network.fuse_for_deploy()
        fused_levels, fused_prototypes = network.neck(network.backbone(images))

    assert len(network.state_dict()) < entries
    for before, after in zip([*levels, prototypes], [*fused_levels, fused_prototypes], strict=True):
        largest = max(1.0, float(np.abs(before.numpy()).max()))
        np.testing.assert_allclose(after.numpy(), before.numpy(), rtol=0, atol=1e-5 * largest)


def test_training_from_scratch_unfreezes_the_whole_backbone() -> None:
    network = MODELS[NAMES[0]].build(num_classes=NUM_CLASSES, eval_size=EVAL_SIZE)
    names = list(network.state_dict())
    network.unfreeze_for_scratch()
    network.train()
    before = network.state_dict()["backbone.stem.stem1.bn._mean"].clone()
    network(make_batch([1, 1]))["loss"].backward()

    assert list(network.state_dict()) == names
    statistics = ("._mean", "._variance")
    assert {name for name, p in network.named_parameters() if p.stop_gradient} == {
        name for name in names if name.endswith(statistics)
    }
    assert {p.optimize_attr["learning_rate"] for p in network.parameters()} == {1.0}
    assert network.backbone.stem.stem1.conv.weight.grad is not None
    assert not np.allclose(network.state_dict()["backbone.stem.stem1.bn._mean"].numpy(), before.numpy())
