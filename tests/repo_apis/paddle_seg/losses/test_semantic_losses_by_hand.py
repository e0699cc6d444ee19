"""Losses of semantic segmentation: values computed by hand, and what ignored pixels must never do."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_seg.losses.cross_entropy import CrossEntropyLoss
from paddlex.repo_apis.paddle_seg.losses.dice import DiceLoss
from paddlex.repo_apis.paddle_seg.losses.lovasz_softmax import LovaszSoftmaxLoss, _jaccard_gradient
from paddlex.repo_apis.paddle_seg.losses.mixed import choose_loss
from paddlex.utils.errors import ConfigError

LOSSES = {
    "cross entropy": CrossEntropyLoss(),
    "hardest half": CrossEntropyLoss(top_k_percent_pixels=0.5),
    "dice": DiceLoss(),
    "dice of the batch": DiceLoss(per_image=False, smooth=0.0, epsilon=1e-5),
    "lovasz": LovaszSoftmaxLoss(),
    "mixed": choose_loss(True),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def two_classes(*probabilities: float) -> paddle.Tensor:
    """(1, 2, 1, N) logits that give class 1 these probabilities."""
    logits = [math.log(p / (1 - p)) for p in probabilities]
    return paddle.to_tensor([[[[0.0] * len(logits)], [logits]]], stop_gradient=False)


def row(*labels: int) -> paddle.Tensor:
    return paddle.to_tensor([[list(labels)]], dtype="int64")


def noise(*, num_classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(2, num_classes, 6, 5)).astype(np.float32)
    return logits, rng.integers(0, num_classes, (2, 6, 5))


def test_cross_entropy_is_the_mean_log_of_the_right_class() -> None:
    loss = CrossEntropyLoss()(two_classes(0.5, 0.8, 0.9), row(0, 1, 255))
    assert float(loss) == pytest.approx(-(math.log(0.5) + math.log(0.8)) / 2)


def test_weights_make_it_the_weighted_mean() -> None:
    loss = CrossEntropyLoss(class_weights=(3.0, 1.0))(two_classes(0.5, 0.8, 0.9), row(0, 1, 255))
    assert float(loss) == pytest.approx(-(3 * math.log(0.5) + math.log(0.8)) / 4)


def test_the_hardest_pixels_alone_count() -> None:
    loss = CrossEntropyLoss(top_k_percent_pixels=0.5)(two_classes(0.9, 0.2, 0.8, 0.3), row(1, 1, 1, 1))
    assert float(loss) == pytest.approx(-(math.log(0.2) + math.log(0.3)) / 2)


def test_the_hardest_pixels_are_weighted_too() -> None:
    weighted = CrossEntropyLoss(class_weights=(1.0, 5.0), top_k_percent_pixels=0.5)
    # 5 * -ln 0.5 = 3.47 and -ln 0.1 = 2.30 are the largest of four.
    loss = weighted(two_classes(0.5, 0.9, 0.9, 0.2), row(1, 0, 1, 0))
    assert float(loss) == pytest.approx(-(5 * math.log(0.5) + math.log(0.1)) / 6)


def test_dice_counts_the_overlap_of_each_class() -> None:
    loss = DiceLoss(smooth=0.0)(two_classes(0.5, 0.8), row(0, 1))
    background, foreground = 2 * 0.5 / (0.5 + 0.2 + 1), 2 * 0.8 / (0.5 + 0.8 + 1)
    assert float(loss) == pytest.approx(1 - (background + foreground) / 2)


def test_a_class_that_is_nowhere_costs_little_once_smoothed() -> None:
    logits = paddle.to_tensor([[[[20.0]], [[-20.0]]]])
    assert float(DiceLoss()(logits, row(0))) == pytest.approx(0, abs=1e-6)


def test_lovasz_of_certain_answers_is_the_jaccard_loss() -> None:
    # Class 1: one right, one missed, one false alarm: 1 - 1/3. Class 0: one right, one each way: 1 - 1/3.
    certain = two_classes(1 - 1e-6, 1e-6, 1 - 1e-6, 1e-6)
    assert float(LovaszSoftmaxLoss()(certain, row(1, 1, 0, 0))) == pytest.approx(2 / 3, abs=1e-4)


def test_lovasz_skips_classes_that_are_absent() -> None:
    logits = paddle.to_tensor([[[[2.0, 1.0]], [[0.0, 3.0]], [[9.0, 9.0]]]])
    # Both pixels are of class 0, with errors 1 - p; sorted from large to small each adds half.
    probs = paddle.nn.functional.softmax(logits, axis=1).numpy()[0, 0, 0]
    assert float(LovaszSoftmaxLoss()(logits, row(0, 0))) == pytest.approx((2 - probs.sum()) / 2, rel=1e-5)


def test_jaccard_gradient_is_one_formula_for_host_and_device() -> None:
    # Pixels of the class: 3. Wrong one by one: J is 1/3, 2/4, 3/4, 4/5, 5/5.
    truth = np.array([True, False, True, False, True])
    expected = np.diff([0, 1 / 3, 2 / 4, 3 / 4, 4 / 5, 1])
    np.testing.assert_allclose(_jaccard_gradient(truth, 3, arrays=np), expected, rtol=1e-6)
    on_device = _jaccard_gradient(paddle.to_tensor(truth), 3, arrays=paddle)
    np.testing.assert_allclose(on_device.numpy(), expected, rtol=1e-6)


def test_lovasz_gradient_is_that_of_finite_differences() -> None:
    logits, labels = noise()
    tensor = paddle.to_tensor(logits, stop_gradient=False)
    LovaszSoftmaxLoss()(tensor, paddle.to_tensor(labels)).backward()

    def value(change: float) -> float:
        moved = logits.copy()
        moved[0, 1, 2, 3] += change
        return float(LovaszSoftmaxLoss()(paddle.to_tensor(moved), paddle.to_tensor(labels)))

    assert tensor.grad.numpy()[0, 1, 2, 3] == pytest.approx((value(2e-3) - value(-2e-3)) / 4e-3, rel=0.02)


@every_loss
def test_ignored_pixels_change_nothing(loss) -> None:
    logits, labels = noise()
    labels[:, 2:4] = 255
    other = logits.copy()
    other[:, :, 2:4] = -other[:, :, 2:4] * 3
    targets = paddle.to_tensor(labels)
    one, two = (float(loss(paddle.to_tensor(values), targets)) for values in (logits, other))
    assert one == pytest.approx(two, rel=1e-5)


@every_loss
def test_labels_stay_as_they_were(loss) -> None:
    logits, labels = noise()
    labels[0, 0, 0] = 255
    targets = paddle.to_tensor(labels)
    loss(paddle.to_tensor(logits), targets)
    np.testing.assert_array_equal(targets.numpy(), labels)


@every_loss
def test_bytes_serve_as_labels(loss) -> None:
    logits, labels = noise()
    tensor = paddle.to_tensor(logits)
    one, two = (float(loss(tensor, paddle.to_tensor(labels.astype(kind)))) for kind in ("uint8", "int64"))
    assert one == two


@every_loss
def test_photos_without_a_label_train(loss) -> None:
    logits, labels = noise()
    tensor = paddle.to_tensor(logits, stop_gradient=False)
    value = loss(tensor, paddle.to_tensor(np.full_like(labels, 255)))
    value.backward()
    assert math.isfinite(float(value)) and np.isfinite(tensor.grad.numpy()).all()


def test_a_list_of_terms_is_their_weighted_sum() -> None:
    logits, labels = (paddle.to_tensor(array) for array in noise())
    loss = choose_loss([("DiceLoss", 2.0), ("CrossEntropyLoss", 0.5)])
    expected = 2 * float(DiceLoss()(logits, labels)) + 0.5 * float(CrossEntropyLoss()(logits, labels))
    assert float(loss(logits, labels)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "found", ["CrossEntropyLoss", [], [("OhemLoss", 1.0)], [("DiceLoss", "1")], [("DiceLoss",)], 1], ids=str
)
def test_any_other_mixture_is_refused_with_the_choices(found: object) -> None:
    with pytest.raises(ConfigError, match=r"use_mixed_loss: .*expected .*DiceLoss, LovaszSoftmaxLoss"):
        choose_loss(found)


@pytest.mark.parametrize("kind", [CrossEntropyLoss, DiceLoss])
def test_one_weight_a_class_is_needed(kind) -> None:
    logits, labels = (paddle.to_tensor(array) for array in noise(num_classes=3))
    with pytest.raises(ConfigError, match="2 weights for 3 classes"):
        kind(class_weights=(1.0, 2.0))(logits, labels)
