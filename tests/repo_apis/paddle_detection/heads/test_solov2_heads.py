"""Heads of SOLOv2."""

import paddle
import pytest

from paddlex.repo_apis.paddle_detection.heads.solov2 import (
    SOLOv2Head,
    SOLOv2MaskHead,
    keep_local_maxima,
    list_cells,
)


@pytest.fixture
def levels() -> list[paddle.Tensor]:
    """A pyramid of an input of 64 x 96: strides 4 to 64."""
    paddle.seed(0)
    sizes = [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]
    return [paddle.randn([2, 32, *size]) for size in sizes]


@pytest.fixture
def head() -> SOLOv2Head:
    paddle.seed(0)
    return SOLOv2Head(32, num_classes=3, grid_sizes=(6, 5, 4, 3, 2), width=32, num_convs=2, kernel_channels=8)


def test_only_neighbours_above_left_and_above_left_outdo_a_cell() -> None:
    scores = paddle.to_tensor([[[[0.1, 0.5, 0.6], [0.7, 0.2, 0.3], [0.1, 0.2, 0.9]]]])

    # 0.1 keeps though 0.5 is to its right; 0.5 keeps though 0.6 is; 0.2 and 0.3 have better ones above.
    expected = [[0.1, 0.5, 0.6], [0.7, 0.0, 0.0], [0.0, 0.0, 0.9]]
    assert keep_local_maxima(scores)[0, 0].numpy().tolist() == pytest.approx(
        [pytest.approx(row) for row in expected]
    )


def test_equal_neighbours_are_both_kept() -> None:
    assert keep_local_maxima(paddle.ones([1, 1, 2, 2])).tolist() == [[[[1.0, 1.0], [1.0, 1.0]]]]


def test_cells_are_listed_level_by_level_row_by_row() -> None:
    first = paddle.arange(8, dtype="float32").reshape([1, 2, 2, 2])
    second = paddle.full([1, 2, 1, 1], 9.0)

    assert list_cells([first, second]).tolist() == [[[0, 4], [1, 5], [2, 6], [3, 7], [9, 9]]]


def test_head_predicts_on_each_levels_grid_whatever_the_shape_of_the_input(
    head: SOLOv2Head, levels: list[paddle.Tensor]
) -> None:
    kernels, logits = head(levels)

    assert [kernel.shape for kernel in kernels] == [[2, 8, g, g] for g in (6, 5, 4, 3, 2)]
    assert [logit.shape for logit in logits] == [[2, 3, g, g] for g in (6, 5, 4, 3, 2)]


def test_an_untrained_head_gives_every_class_one_percent(
    head: SOLOv2Head, levels: list[paddle.Tensor]
) -> None:
    head.solo_cate.weight.set_value(paddle.zeros_like(head.solo_cate.weight))
    scores = paddle.nn.functional.sigmoid(head(levels)[1][0])

    assert scores.flatten().tolist() == pytest.approx([0.01] * scores.size, rel=1e-4)


def test_kernels_know_their_place_and_categories_do_not() -> None:
    paddle.seed(0)
    head = SOLOv2Head(32, num_classes=3, grid_sizes=(16,) * 5, width=32, num_convs=1, kernel_channels=8)
    kernels, logits = head([paddle.ones([1, 32, side, side]) for side in (48, 24, 12, 6, 3)])
    # Columns that the padding of the convolutions does not reach.
    inner = (0, slice(None), 8, slice(6, 10))

    assert float(logits[0][inner].std(axis=1).max()) < 1e-5
    assert float(kernels[0][inner].std(axis=1).max()) > 1e-4


def test_mask_head_fuses_four_levels_at_the_finest_size(levels: list[paddle.Tensor]) -> None:
    mask_head = SOLOv2MaskHead(32, width=32, out_channels=64)
    fused = mask_head(levels)

    assert fused.shape == [2, 64, 16, 24]
    assert float(fused.min()) == 0.0
    for level in levels[:4]:
        level.stop_gradient = False
    mask_head(levels).sum().backward()
    assert all(level.grad is not None for level in levels[:4])
    assert levels[4].grad is None
