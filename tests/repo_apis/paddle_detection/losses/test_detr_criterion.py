"""The 20 loss terms of a query network."""

from types import ModuleType

import numpy as np
import paddle
import pytest

from paddlex.nn.draws import UniformDraws
from paddlex.repo_apis.paddle_detection.losses.detr_criterion import TERMS, DetrCriterion
from paddlex.repo_apis.paddle_detection.losses.point_mask import PointCounts, PointMaskLoss
from paddlex.repo_apis.paddle_detection.losses.predictions import DenoisingMeta, QueryPredictions, Targets
from paddlex.repo_apis.paddle_detection.matching.hungarian import HungarianMatcher
from paddlex.utils.errors import DatasetError, ShapeError

NUM_CLASSES = 3
SUFFIXES = ("", "_aux", "_dn", "_aux_dn")
META = DenoisingMeta(num_groups=2, group_size=2)


@pytest.fixture
def pred(textbook: ModuleType, rng: np.random.Generator, prototypes: paddle.Tensor) -> QueryPredictions:
    return textbook.make_predictions(rng, layers=3, queries=6, prototypes=prototypes, num_classes=NUM_CLASSES)


@pytest.fixture
def denoising_pred(
    textbook: ModuleType, rng: np.random.Generator, prototypes: paddle.Tensor
) -> QueryPredictions:
    return textbook.make_predictions(rng, layers=2, queries=4, prototypes=prototypes, num_classes=NUM_CLASSES)


@pytest.fixture
def targets(textbook: ModuleType, rng: np.random.Generator) -> Targets:
    return textbook.make_targets(rng, batch=2, count=2, size=32, num_classes=NUM_CLASSES)


def _without(targets: Targets, *images: int) -> Targets:
    """Take the objects of some images away."""
    keep = [slice(0) if image in images else slice(None) for image in range(len(targets.boxes))]
    return Targets(
        boxes=[boxes[rows] for boxes, rows in zip(targets.boxes, keep, strict=True)],
        class_ids=[ids[rows] for ids, rows in zip(targets.class_ids, keep, strict=True)],
        masks=[masks[rows] for masks, rows in zip(targets.masks, keep, strict=True)],
    )


def _criterion(**options: object) -> DetrCriterion:
    """A criterion of few points."""
    return DetrCriterion(
        num_classes=NUM_CLASSES,
        matcher=HungarianMatcher(num_points=128),
        point_loss=PointMaskLoss(PointCounts(candidates=48, uncertain=16, random=8)),
        draws=UniformDraws(0),
        **options,
    )


def _leaves(*parts: QueryPredictions) -> list[paddle.Tensor]:
    return [parts[0].prototypes] + [
        leaf for part in parts for leaf in (part.logits, part.boxes, part.mask_embeds)
    ]


def test_losses_and_gradients_equal_the_textbook(
    textbook: ModuleType, pred: QueryPredictions, denoising_pred: QueryPredictions, targets: Targets
) -> None:
    draws, leaves = textbook.RepeatingDraws(), _leaves(pred, denoising_pred)
    loss = DetrCriterion(num_classes=NUM_CLASSES, draws=draws)(pred, targets, denoising_pred, META)["loss"]
    loss.backward()
    ours = [leaf.grad.numpy() for leaf in leaves]
    for leaf in leaves:
        leaf.clear_gradient()
    expected = textbook.textbook_loss(pred, targets, denoising_pred, META, draws)
    expected.backward()

    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for gradient, leaf in zip(ours, leaves, strict=True):
        # A point at the edge of the uncertain ones may be kept by one side only.
        scale = np.abs(leaf.grad.numpy()).max()
        np.testing.assert_allclose(gradient, leaf.grad.numpy(), atol=1e-3 * scale)


def test_loss_is_the_sum_of_twenty_terms(
    pred: QueryPredictions, denoising_pred: QueryPredictions, targets: Targets
) -> None:
    losses = _criterion()(pred, targets, denoising_pred, META)

    assert set(losses) == {f"loss_{term}{suffix}" for suffix in SUFFIXES for term in TERMS} | {"loss"}
    assert all(losses[name].item() > 0 for name in losses)
    total = losses.pop("loss").item()
    assert total == pytest.approx(sum(loss.item() for loss in losses.values()), rel=1e-5)


def test_denoising_terms_are_zero_without_denoising(pred: QueryPredictions, targets: Targets) -> None:
    losses = _criterion()(pred, targets)

    assert all(losses[f"loss_{term}{suffix}"].item() == 0 for suffix in ("_dn", "_aux_dn") for term in TERMS)


def test_an_empty_image_contributes_only_negatives(pred: QueryPredictions, targets: Targets) -> None:
    losses = _criterion()(pred, _without(targets, 1))
    losses["loss"].backward()

    assert all(np.isfinite(loss.item()) for loss in losses.values())
    assert np.abs(pred.boxes.grad[:, 1].numpy()).max() == 0.0
    assert np.abs(pred.mask_embeds.grad[:, 1].numpy()).max() == 0.0
    assert pred.logits.grad[:, 1].numpy().min() > 0.0
    assert np.abs(pred.boxes.grad[:, 0].numpy()).max() > 0.0


def test_a_batch_without_objects_trains_the_classes_alone(pred: QueryPredictions, targets: Targets) -> None:
    losses = _criterion()(pred, _without(targets, 0, 1))
    losses["loss"].backward()

    p = paddle.nn.functional.sigmoid(pred.logits[-1])
    focal = 0.75 * p.square() * -paddle.log(1 - p)
    assert losses["loss_class"].item() == pytest.approx(4 * focal.sum().item(), rel=1e-4)
    assert all(losses[f"loss_{term}{aux}"].item() == 0 for term in TERMS[1:] for aux in ("", "_aux"))
    # Data-parallel training waits for a gradient of every parameter.
    assert all(leaf.grad is not None for leaf in _leaves(pred))
    assert np.abs(pred.boxes.grad.numpy()).max() == 0.0


def test_matched_queries_are_classified_towards_box_iou_and_main_ones_towards_mask_iou(
    prototypes: paddle.Tensor,
) -> None:
    # Box and target agree, the predicted mask is empty: IoU 1 against about 0.
    side = paddle.to_tensor([[0.5, 0.5, 0.5, 0.5]])
    masks = paddle.zeros([1, 32, 32], dtype="uint8")
    masks[:, 8:24, 8:24] = 1
    logits = paddle.zeros([2, 1, 1, 1])
    logits.stop_gradient = False
    pred = QueryPredictions(
        logits=logits,
        boxes=side.reshape([1, 1, 1, 4]).expand([2, 1, 1, 4]),
        mask_embeds=paddle.full([2, 1, 1, 1], -1.0),
        prototypes=paddle.ones([1, 1, 8, 8]),
    )
    criterion = _criterion()
    criterion.num_classes = 1
    losses = criterion(pred, Targets(boxes=[side], class_ids=[paddle.zeros([1], "int64")], masks=[masks]))

    # Weight q times BCE(0, q) = ln 2; mask IoU is 0.01 / (64 + 0.01) at half resolution.
    assert losses["loss_class_aux"].item() == pytest.approx(4 * np.log(2), rel=1e-4)
    assert losses["loss_class"].item() == pytest.approx(4 * np.log(2) * 0.01 / 64.01, rel=1e-2)


def test_terms_are_divided_by_the_objects_averaged_over_processes(
    pred: QueryPredictions, targets: Targets
) -> None:
    alone = _criterion()(pred, targets)["loss"].item()
    among = _criterion(average=lambda count: count / 2)(pred, targets)["loss"].item()

    assert among == pytest.approx(2 * alone, rel=1e-5)


def test_losses_are_float32_under_mixed_precision(pred: QueryPredictions, targets: Targets) -> None:
    expected = _criterion()(pred, targets)["loss"].item()
    with paddle.amp.auto_cast(dtype="bfloat16"):
        loss = _criterion()(_in_bfloat16(pred), targets)["loss"]

    assert loss.dtype == paddle.float32
    assert loss.item() == pytest.approx(expected, rel=0.02)


def _in_bfloat16(pred: QueryPredictions) -> QueryPredictions:
    parts = (pred.logits, pred.boxes, pred.mask_embeds, pred.prototypes)
    logits, boxes, mask_embeds, prototypes = (part.astype("bfloat16") for part in parts)
    return QueryPredictions(logits=logits, boxes=boxes, mask_embeds=mask_embeds, prototypes=prototypes)


def test_class_id_outside_the_network_is_told(pred: QueryPredictions, targets: Targets) -> None:
    targets.class_ids[1] = paddle.to_tensor([0, NUM_CLASSES])

    with pytest.raises(DatasetError, match="class id 3"):
        _criterion()(pred, targets)


def test_logits_of_another_number_of_classes_are_told(pred: QueryPredictions, targets: Targets) -> None:
    criterion = _criterion()
    criterion.num_classes = NUM_CLASSES + 1

    with pytest.raises(ShapeError, match="logits of 3 classes, expected 4"):
        criterion(pred, targets)
