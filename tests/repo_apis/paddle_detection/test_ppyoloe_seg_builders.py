"""PP-YOLOE_seg: variants, training, detections, deployment."""

from __future__ import annotations

import inspect

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.matching.atss import ATSSAssigner
from paddlex.repo_apis.paddle_detection.ppyoloe_seg import (
    PPYOLOESeg,
    build_ppyoloe_seg,
    build_ppyoloe_seg_m,
    build_ppyoloe_seg_s,
)
from paddlex.repo_apis.paddle_detection.suite import MODELS
from paddlex.utils.errors import UsageError

SIDE = 64


@pytest.fixture(scope="module")
def tiny() -> PPYOLOESeg:
    """The smallest network, with scores and masks that differ between cells."""
    paddle.seed(0)
    network = build_ppyoloe_seg(num_classes=2, depth=0.1, width=0.125, eval_size=(SIDE, SIDE))
    for prediction in (*network.yolo_head.pred_cls, *network.yolo_head.pred_ins, network.yolo_head.proto):
        for parameter in prediction.parameters():
            parameter.set_value(parameter + 0.3 * paddle.randn(parameter.shape))
    network.eval()
    return network


def images(count: int, *, seed: int = 0) -> paddle.Tensor:
    rng = np.random.default_rng(seed)
    return paddle.to_tensor(rng.random((count, 3, SIDE, SIDE), dtype=np.float32))


def im_shape(count: int, *, size: tuple[float, float] = (SIDE, SIDE)) -> paddle.Tensor:
    return paddle.to_tensor([list(size)] * count, dtype="float32")


@pytest.mark.parametrize(
    ("build", "count"), [(build_ppyoloe_seg_s, 8_995_698), (build_ppyoloe_seg_m, 26_034_472)]
)
def test_learning_weights_are_as_many_as_published(build: object, count: int) -> None:
    network = build(num_classes=80)  # type: ignore[operator]

    assert sum(p.size for p in network.parameters() if not p.stop_gradient) == count


def test_options_stand_above_those_of_the_variant() -> None:
    network = build_ppyoloe_seg_s(num_classes=1, depth=0.1, num_prototypes=8, num_detections=7)

    assert network.nms.keep_count == 7
    assert network.yolo_head.pred_ins[0].weight.shape[0] == 8
    assert len(network.backbone.stages[1].blocks) == 1


def test_recipe_names_options_of_the_builder() -> None:
    known = set(inspect.signature(build_ppyoloe_seg).parameters)
    names = [name for name in MODELS if name.startswith("PP-YOLOE_seg")]

    assert len(names) == 4
    assert all(set(MODELS[name].recipe.network) <= known for name in names)


def test_assignment_is_task_aligned_throughout_unless_a_part_of_the_run_is_to_be_static() -> None:
    published = build_ppyoloe_seg(num_classes=1, depth=0.1, width=0.125)
    changed = build_ppyoloe_seg(
        num_classes=1, depth=0.1, width=0.125, static_fraction=0.3, static_cells=4, static_anchor_scale=5.0
    )

    assert published.criterion.static_fraction == 0.0
    assert changed.criterion.static_fraction == 0.3
    assert changed.criterion.static_assigner == ATSSAssigner(top_k=4, anchor_scale=5.0)
    with pytest.raises(UsageError, match=r"static_fraction 24: a part of the run"):
        build_ppyoloe_seg(num_classes=1, depth=0.1, width=0.125, static_fraction=24)


def test_only_the_smallest_was_published_with_weights() -> None:
    published = {name: MODELS[name].weights_url for name in MODELS if name.startswith("PP-YOLOE_seg")}

    assert [name for name, url in published.items() if url] == ["PP-YOLOE_seg-S"]
    assert published["PP-YOLOE_seg-S"].endswith("/ppyoloe_seg_s_80e_coco.pdparams")


@paddle.no_grad()
def test_detections_are_ranked_and_do_not_depend_on_the_rest_of_the_batch(tiny: PPYOLOESeg) -> None:
    pictures = images(2)
    found = tiny.detect(pictures, im_shape(2))
    count = found["scores"].shape[1]
    alone = tiny.detect(pictures[1:], im_shape(1))
    real = found["class_ids"][1].numpy() >= 0

    assert found["boxes"].shape == [2, count, 4]
    assert found["masks"].shape == [2, count, SIDE // 4, SIDE // 4]
    assert (np.diff(found["scores"].numpy(), axis=1) <= 0).all()
    for name, values in found.items():
        np.testing.assert_allclose(values[1].numpy()[real], alone[name][0].numpy(), atol=1e-5)


@paddle.no_grad()
def test_the_best_detection_is_the_best_candidate(tiny: PPYOLOESeg) -> None:
    picture = images(1)
    offered, found = tiny.candidates(picture, im_shape(1)), tiny.detect(picture, im_shape(1))
    scores = offered["scores"][0].numpy()
    class_id, cell = np.unravel_index(scores.argmax(), scores.shape)
    mask = offered["coefficients"][0, int(cell)].numpy() @ offered["prototypes"][0].flatten(1).numpy()

    assert found["scores"][0, 0].item() == pytest.approx(scores.max())
    assert found["class_ids"][0, 0].item() == class_id
    np.testing.assert_allclose(
        found["boxes"][0, 0].numpy(), offered["boxes"][0, int(cell)].numpy(), rtol=1e-5
    )
    np.testing.assert_allclose(
        found["masks"][0, 0].flatten().numpy(), 1 / (1 + np.exp(-mask)), rtol=1e-4, atol=1e-6
    )


@paddle.no_grad()
def test_boxes_are_fractions_of_the_photo_within_the_input(tiny: PPYOLOESeg) -> None:
    whole = tiny.candidates(images(1), im_shape(1))["boxes"].numpy()
    part = tiny.candidates(images(1), im_shape(1, size=(SIDE / 2, SIDE / 4)))["boxes"].numpy()

    np.testing.assert_allclose(part, whole * [4, 2, 4, 2], rtol=1e-5, atol=1e-5)


@paddle.no_grad()
def test_a_photo_without_detections_is_padding(tiny: PPYOLOESeg) -> None:
    tiny.nms, kept = type(tiny.nms)(**{**vars(tiny.nms), "score_threshold": 1.0}), tiny.nms
    found = tiny.detect(images(2), im_shape(2))
    tiny.nms = kept

    assert found["class_ids"].tolist() == [[-1], [-1]]
    assert found["scores"].tolist() == [[0.0], [0.0]]


@paddle.no_grad()
def test_fusing_for_deployment_keeps_the_candidates() -> None:
    paddle.seed(1)
    network = build_ppyoloe_seg(num_classes=2, depth=0.67, width=0.125)
    network.train()
    network.predict(images(2))
    network.eval()
    before = network.candidates(images(1), im_shape(1))
    entries = len(network.state_dict())
    network.fuse_for_deploy()
    after = network.candidates(images(1), im_shape(1))

    # 10 blocks, each with alpha (in the backbone) and two convolutions of five entries, or kernel and bias.
    assert len(network.state_dict()) < entries
    assert not [name for name in network.state_dict() if "alpha" in name]
    for name, values in before.items():
        largest = max(1.0, float(np.abs(values.numpy()).max()))
        np.testing.assert_allclose(after[name].numpy(), values.numpy(), rtol=0, atol=1e-5 * largest)


def test_training_a_step_lowers_the_loss_and_leaves_normalisation_undecayed(tiny: PPYOLOESeg) -> None:
    paddle.seed(2)
    network = build_ppyoloe_seg(num_classes=2, depth=0.1, width=0.125)
    masks = np.zeros((1, SIDE, SIDE), np.uint8)
    masks[0, 8:40, 16:56] = 1
    batch = {
        "image": images(2),
        "gt_boxes": [paddle.to_tensor([[16.0, 8.0, 56.0, 40.0]]), paddle.zeros([0, 4])],
        "gt_class_ids": [paddle.to_tensor([1]), paddle.zeros([0], dtype="int64")],
        "gt_masks": [paddle.to_tensor(masks), paddle.zeros([0, SIDE, SIDE], dtype="uint8")],
    }
    learning = [p for p in network.parameters() if not p.stop_gradient]
    optimizer = paddle.optimizer.Momentum(learning_rate=0.001, parameters=learning, weight_decay=0.0005)
    network.train()
    totals = []
    for _ in range(8):
        losses = network(batch)
        losses["loss"].backward()
        assert all(p.grad is not None for p in learning)
        optimizer.step()
        optimizer.clear_grad()
        totals.append(losses["loss"].item())

    assert totals[-1] < totals[0]
    norms = [name for name, p in network.named_parameters() if ".bn." in name and not p.stop_gradient]
    parameters = dict(network.named_parameters())
    assert norms
    assert all(parameters[name].regularizer._coeff == 0.0 for name in norms)
    assert parameters["backbone.stem.conv1.conv.weight"].regularizer is None
