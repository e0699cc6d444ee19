"""Losses of PP-YOLOE_seg: what they are divided by, what empty photos cost, what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.heads.ppyoloe_seg import CellPredictions, cell_tables
from paddlex.repo_apis.paddle_detection.losses.ppyoloe_seg_criterion import (
    PPYOLOESegCriterion,
    PPYOLOESegTargets,
)
from paddlex.repo_apis.paddle_detection.matching.atss import ATSSAssigner
from paddlex.repo_apis.paddle_detection.matching.cells import PaddedObjects
from paddlex.repo_apis.paddle_detection.matching.task_aligned import TaskAlignedAssigner
from paddlex.utils.errors import DatasetError, ShapeError, TrainingDivergedError

TERMS = ["loss_cls", "loss_iou", "loss_dfl", "loss_mask"]
NUM_CLASSES, NUM_BINS, SIDE = 2, 4, 32


def predictions(*, batch: int = 2, seed: int = 0) -> CellPredictions:
    """Random predictions for images of 32 x 32 pixels: 4 x 4, 2 x 2 cells."""
    rng = np.random.default_rng(seed)
    points, strides = cell_tables(((2, 2), (4, 4)), strides=(16, 8))
    count = len(points)

    def leaf(*shape: int) -> paddle.Tensor:
        return paddle.to_tensor(rng.normal(size=shape).astype(np.float32), stop_gradient=False)

    side_logits = leaf(batch, count, 4, NUM_BINS)
    bins = paddle.arange(NUM_BINS, dtype="float32")
    return CellPredictions(
        logits=leaf(batch, count, NUM_CLASSES),
        side_logits=side_logits,
        distances=paddle.matmul(paddle.nn.functional.softmax(side_logits), bins),
        coefficients=leaf(batch, count, 3),
        prototypes=leaf(batch, 3, SIDE // 4, SIDE // 4),
        points=points,
        strides=strides,
    )


def targets(*boxes_of_images: list[list[float]], class_id: int = 1) -> PPYOLOESegTargets:
    """Objects of one class whose masks fill their boxes."""
    boxes = [np.float32(rows).reshape(-1, 4) for rows in boxes_of_images]
    masks = [np.zeros((len(rows), SIDE // 4, SIDE // 4), np.uint8) for rows in boxes]
    for rows, stack in zip(boxes, masks, strict=True):
        for (x1, y1, x2, y2), mask in zip(rows.astype(int) // 4, stack, strict=True):
            mask[y1:y2, x1:x2] = 1
    return PPYOLOESegTargets(
        boxes=[paddle.to_tensor(rows) for rows in boxes],
        class_ids=[paddle.to_tensor(np.full(len(rows), class_id, np.int64)) for rows in boxes],
        masks=[paddle.to_tensor(stack) for stack in masks],
    )


def leaves(pred: CellPredictions) -> list[paddle.Tensor]:
    return [pred.logits, pred.side_logits, pred.coefficients, pred.prototypes]


OBJECT = [4.0, 4.0, 20.0, 24.0]


def test_total_is_the_sum_of_the_terms_and_every_prediction_learns() -> None:
    pred = predictions()
    losses = PPYOLOESegCriterion(num_classes=NUM_CLASSES)(pred, targets([OBJECT], [OBJECT, [16, 8, 30, 30]]))
    losses["loss"].backward()

    assert list(losses) == [*TERMS, "loss"]
    assert losses["loss"].item() == pytest.approx(sum(losses[term].item() for term in TERMS), rel=1e-6)
    assert all(losses[term].item() > 0 for term in TERMS)
    assert all(leaf.grad.numpy().any() for leaf in leaves(pred))


def test_photos_without_objects_cost_what_their_background_scores() -> None:
    pred = predictions()
    losses = PPYOLOESegCriterion(num_classes=NUM_CLASSES)(pred, targets([], []))
    losses["loss"].backward()

    p = 1 / (1 + np.exp(-pred.logits.numpy().astype(np.float64)))
    assert losses["loss_cls"].item() == pytest.approx((-0.75 * p**2 * np.log(1 - p)).sum(), rel=1e-5)
    assert [losses[term].item() for term in TERMS[1:]] == [0.0, 0.0, 0.0]
    # Data-parallel training waits for a gradient of every parameter, be it zero.
    assert all(leaf.grad is not None and np.isfinite(leaf.grad.numpy()).all() for leaf in leaves(pred))


def test_an_object_between_the_cells_is_left_out() -> None:
    """No cell's centre lies in a box of two pixels around (16, 16), where cells meet."""
    losses = PPYOLOESegCriterion(num_classes=NUM_CLASSES)(predictions(), targets([[15, 15, 17, 17]], []))

    assert losses["loss_mask"].item() == 0.0
    assert math.isfinite(losses["loss"].item())


def test_a_photo_beside_an_empty_one_is_assigned_as_alone() -> None:
    criterion = PPYOLOESegCriterion(num_classes=NUM_CLASSES)
    pred = predictions()
    alone = replace(
        pred, **{name: getattr(pred, name)[1:] for name in ("logits", "side_logits", "distances")}
    )
    both = criterion.assign(pred, targets([], [OBJECT]))
    single = criterion.assign(alone, targets([OBJECT]))

    assert both is not None
    assert single is not None
    assert not both.positive[0].any()
    assert both.quality[1].tolist() == single.quality[0].tolist()


# Anchors of 16 and 32 pixels: those of the paper are larger than these pictures.
STATIC = ATSSAssigner(anchor_scale=2.0)


@pytest.mark.parametrize(
    ("static_fraction", "progress", "static"),
    [(0.0, 0.0, False), (0.5, 0.0, True), (0.5, 0.49, True), (0.5, 0.5, False), (1.0, 0.99, True)],
)
def test_the_static_assigner_has_the_first_part_of_the_run(
    static_fraction: float, progress: float, static: bool
) -> None:
    pred, truth = predictions(), targets([OBJECT], [OBJECT, [8, 8, 31, 31]])
    cells = {"points": pred.points * pred.strides, "objects": PaddedObjects.pad(truth.boxes, truth.class_ids)}
    by_place = STATIC(pred.boxes, strides=pred.strides, **cells)
    by_prediction = TaskAlignedAssigner()(paddle.nn.functional.sigmoid(pred.logits), pred.boxes, **cells)
    criterion = PPYOLOESegCriterion(
        num_classes=NUM_CLASSES, static_assigner=STATIC, static_fraction=static_fraction
    )
    criterion.progress = progress
    found = criterion.assign(pred, truth)

    assert by_place.positive.any()
    assert by_place.quality.tolist() != by_prediction.quality.tolist()
    assert found is not None
    assert found.quality.tolist() == (by_place if static else by_prediction).quality.tolist()


def test_from_static_assignment_every_prediction_learns_and_empty_photos_train() -> None:
    criterion = PPYOLOESegCriterion(num_classes=NUM_CLASSES, static_assigner=STATIC, static_fraction=1.0)
    pred = predictions()
    losses = criterion(pred, targets([OBJECT], []))
    losses["loss"].backward()

    assert all(losses[term].item() > 0 for term in TERMS)
    assert all(leaf.grad.numpy().any() for leaf in leaves(pred))
    assert math.isfinite(criterion(predictions(), targets([], []))["loss"].item())


def test_terms_are_divided_by_the_mean_target_score_of_all_processes() -> None:
    totals = []

    def average(total: float) -> float:
        totals.append(total)
        return 4.0

    pred, truth = predictions(), targets([OBJECT], [OBJECT, [16, 8, 30, 30]])
    ours = PPYOLOESegCriterion(num_classes=NUM_CLASSES)(pred, truth)
    theirs = PPYOLOESegCriterion(num_classes=NUM_CLASSES, average=average)(pred, truth)

    ratio = max(totals[0], 1.0) / 4.0
    for term in TERMS:
        assert theirs[term].item() == pytest.approx(ours[term].item() * ratio, rel=1e-5)


def test_class_ids_that_the_network_does_not_know_are_refused() -> None:
    with pytest.raises(DatasetError, match=r"class id 2 .* 2 classes \(0 to 1\)"):
        PPYOLOESegCriterion(num_classes=NUM_CLASSES)(predictions(), targets([OBJECT], [], class_id=2))


def test_ground_truth_that_does_not_fit_together_is_refused() -> None:
    truth = targets([OBJECT])
    with pytest.raises(ShapeError, match="image 0 of the batch: 1 class ids"):
        replace(truth, masks=[paddle.zeros([2, 8, 8], dtype="uint8")])
    with pytest.raises(ShapeError, match="targets of 1 images for predictions of 2"):
        PPYOLOESegCriterion(num_classes=NUM_CLASSES)(predictions(), truth)


def test_logits_that_are_not_finite_stop_the_training() -> None:
    pred = predictions()
    broken = replace(pred, logits=pred.logits * float("nan"))
    with pytest.raises(TrainingDivergedError, match="not finite"):
        PPYOLOESegCriterion(num_classes=NUM_CLASSES)(broken, targets([OBJECT], []))
