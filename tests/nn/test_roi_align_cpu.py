"""RoIAlign as a sparse product, against Paddle's operator."""

from typing import Any

import numpy as np
import paddle
import pytest
from paddle import Tensor
from paddle.vision.ops import roi_align

from paddlex.nn.roi_align_cpu import roi_align_cpu

# 40 boxes are more than a portion.
COUNTS = pytest.mark.parametrize("counts", [[3, 4], [0, 5], [40, 0], [0, 0]])
SETTINGS = pytest.mark.parametrize(
    "settings",
    [{"sampling_ratio": ratio, "aligned": aligned} for ratio in (0, 2) for aligned in (False, True)],
    ids=lambda settings: f"ratio{settings['sampling_ratio']}-aligned{settings['aligned']}",
)


def _inputs(counts: list[int], *, channels: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Maps of 9 x 13 pixels at a quarter of the photo's size, and boxes within, across and beyond them."""
    rng = np.random.default_rng(0)
    total = sum(counts)
    centres, sides = rng.uniform(-0.2, 1.2, (total, 2)), rng.uniform(0, 0.8, (total, 2))
    corners = np.concatenate([centres - sides / 2, centres + sides / 2], 1) * [52, 36, 52, 36]
    feature = paddle.to_tensor(rng.normal(size=(2, channels, 9, 13)).astype(np.float32), stop_gradient=False)
    return feature, paddle.to_tensor(corners.astype(np.float32)), paddle.to_tensor(np.array(counts, np.int32))


def _pool(compute: Any, inputs: tuple[Tensor, Tensor, Tensor], settings: dict[str, Any]) -> Tensor:
    return compute(*inputs, 7, spatial_scale=0.25, **settings)


@SETTINGS
@COUNTS
def test_cells_equal_those_of_the_operator(counts: list[int], settings: dict[str, Any]) -> None:
    inputs = _inputs(counts)
    pooled = _pool(roi_align_cpu, inputs, settings)

    assert pooled.shape == [sum(counts), 3, 7, 7]
    if sum(counts):  # the operator refuses a batch without boxes
        np.testing.assert_allclose(pooled.numpy(), _pool(roi_align, inputs, settings).numpy(), atol=2e-5)


@pytest.mark.parametrize("sampling_ratio", [0, 2])
@pytest.mark.parametrize("counts", [[3, 4], [0, 5]])
def test_gradient_equals_that_of_the_operator(counts: list[int], sampling_ratio: int) -> None:
    settings = {"sampling_ratio": sampling_ratio, "aligned": False}
    received = paddle.to_tensor(
        np.random.default_rng(1).normal(size=(sum(counts), 3, 7, 7)).astype(np.float32)
    )
    gradients = []
    for compute in (roi_align_cpu, roi_align):
        inputs = _inputs(counts)
        _pool(compute, inputs, settings).backward(received)
        gradients.append(inputs[0].grad.numpy())

    np.testing.assert_allclose(*gradients, atol=5e-5)


@SETTINGS
@COUNTS
def test_gradient_is_the_transpose_of_pooling(counts: list[int], settings: dict[str, Any]) -> None:
    """Holds for aligned samples too, where the operator's own gradient does not fit its forward pass."""
    inputs = _inputs(counts)
    pooled = _pool(roi_align_cpu, inputs, settings)
    received = np.random.default_rng(1).normal(size=pooled.shape).astype(np.float32)
    pooled.backward(paddle.to_tensor(received))
    feature, gradient = inputs[0].numpy().astype(np.float64), inputs[0].grad.numpy().astype(np.float64)

    assert (feature * gradient).sum() == pytest.approx((pooled.numpy() * received).sum(), rel=1e-4, abs=1e-4)


def test_channels_are_pooled_alike_whichever_thread_has_them() -> None:
    inputs = _inputs([3, 4], channels=150)
    settings = {"sampling_ratio": 0, "aligned": False}
    together = _pool(roi_align_cpu, inputs, settings).numpy()
    feature, boxes, counts = inputs
    alone = [
        _pool(roi_align_cpu, (feature[:, i : i + 1], boxes, counts), settings).numpy()
        for i in (0, 63, 64, 149)
    ]

    np.testing.assert_allclose(together[:, [0, 63, 64, 149]], np.concatenate(alone, 1), atol=1e-6)
