"""Targets and losses of region proposals."""

import math

import paddle
import pytest

from paddlex.nn.draws import UniformDraws
from paddlex.repo_apis.paddle_detection.losses.rpn import RPNCriterion

# An object, and anchors with IoU 1, 0.8, 0.5 and 0 with it.
GT_BOXES = paddle.to_tensor([[0.0, 0.0, 10.0, 10.0]])
ANCHORS = paddle.to_tensor(
    [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 8.0], [0.0, 0.0, 10.0, 5.0], [20.0, 20.0, 30.0, 30.0]]
)
NO_BOXES = paddle.zeros([0, 4])


def _losses(
    criterion: RPNCriterion, logits: paddle.Tensor, deltas: paddle.Tensor, *gt_boxes: paddle.Tensor
) -> tuple[paddle.Tensor, paddle.Tensor]:
    losses = criterion(logits, deltas, anchors=ANCHORS, gt_boxes=gt_boxes, draws=UniformDraws(0))
    return losses["rpn_cls"], losses["rpn_reg"]


def test_anchors_between_the_thresholds_are_not_learnt_from() -> None:
    sample = RPNCriterion().sample(ANCHORS, GT_BOXES, draws=UniformDraws(0))

    labels = dict(zip(sample.indices.tolist(), sample.labels.tolist(), strict=True))
    assert labels == {0: 1.0, 1: 1.0, 3: 0.0}
    assert sample.labels.tolist() == [1.0, 1.0, 0.0]
    deltas = dict(zip(sample.indices.tolist(), sample.deltas.tolist(), strict=True))
    assert deltas[1] == pytest.approx([0.0, 0.125, 0.0, math.log(10 / 8)])
    assert deltas[3] == [0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(("min_pos_iou", "label"), [(0.0, 1.0), (0.3, 0.0)])
def test_the_best_anchor_of_an_object_is_positive_if_it_overlaps_enough(
    min_pos_iou: float, label: float
) -> None:
    criterion = RPNCriterion(min_pos_iou=min_pos_iou)
    gt_boxes = paddle.to_tensor([[28.0, 20.0, 38.0, 30.0]])
    sample = criterion.sample(ANCHORS, gt_boxes, draws=UniformDraws(0))

    labels = dict(zip(sample.indices.tolist(), sample.labels.tolist(), strict=True))
    assert labels == {0: 0.0, 1: 0.0, 2: 0.0, 3: label}


def test_losses_are_the_hand_computed_ones() -> None:
    logits = paddle.zeros([2, 4])
    deltas = paddle.full([2, 4, 4], 0.5)
    cls, reg = _losses(RPNCriterion(samples_per_image=10), logits, deltas, GT_BOXES, NO_BOXES)

    # Sums over 3 anchors of the first photo and 4 of the second, by 10 samples in each of 2 photos.
    assert cls.item() == pytest.approx(7 * math.log(2) / 20)
    assert reg.item() == pytest.approx((4 * 0.5 + 2 * 0.5 + 0.375 + 0.5 - math.log(10 / 8)) / 20)


def test_weights_and_smoothing_change_the_losses() -> None:
    logits, deltas = paddle.zeros([1, 4]), paddle.zeros([1, 4, 4])
    deltas[0, 0] = paddle.to_tensor([3.0, 0.5, 0.0, 0.0])
    deltas[0, 1] = paddle.to_tensor([0.0, 0.125, 0.0, math.log(10 / 8)])
    criterion = RPNCriterion(
        samples_per_image=1, positive_fraction=1.0, cls_weight=2.0, reg_weight=3.0, beta=1.0
    )
    wide = RPNCriterion(samples_per_image=4, positive_fraction=1.0, cls_weight=2.0, reg_weight=3.0, beta=1.0)

    cls, reg = _losses(wide, logits, deltas, GT_BOXES)
    # Smooth L1 of 3 is 3 - 1 / 2, of 0.5 it is 0.5^2 / 2.
    assert cls.item() == pytest.approx(2 * 3 * math.log(2) / 4)
    assert reg.item() == pytest.approx(3 * (2.5 + 0.125) / 4)
    assert _losses(criterion, logits, deltas, GT_BOXES)[0].item() == pytest.approx(2 * math.log(2))


def test_photos_without_objects_train_with_finite_gradients() -> None:
    logits, deltas = paddle.rand([2, 4]), paddle.rand([2, 4, 4])
    logits.stop_gradient = deltas.stop_gradient = False
    cls, reg = _losses(RPNCriterion(), logits, deltas, NO_BOXES, NO_BOXES)
    (cls + reg).backward()

    assert reg.item() == 0.0
    assert (logits.grad > 0.0).all()
    assert (deltas.grad == 0.0).all()
