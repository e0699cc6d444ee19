"""Anchors of query selection."""

import numpy as np
import paddle.nn.functional as F

from paddlex.repo_apis.paddle_detection.heads.anchors import anchor_tables


def test_anchors_sit_on_their_cells_also_of_an_oblong_image() -> None:
    logits, valid = anchor_tables([(2, 4), (1, 2)])
    boxes = F.sigmoid(logits).numpy()[0]

    assert bool((valid == 1.0).all())
    np.testing.assert_allclose(boxes[1], [1.5 / 4, 0.5 / 2, 0.05, 0.05], rtol=1e-5)
    np.testing.assert_allclose(boxes[4], [0.5 / 4, 1.5 / 2, 0.05, 0.05], rtol=1e-5)
    np.testing.assert_allclose(boxes[8], [0.5 / 2, 0.5, 0.1, 0.1], rtol=1e-5)


def test_cells_at_the_border_of_a_large_map_are_invalid() -> None:
    # Centres of the outermost cells lie at 0.5 / 80 = 0.00625, below the margin of 0.01.
    logits, valid = anchor_tables([(80, 80)])
    grid = valid.numpy().reshape(80, 80)

    assert grid.sum() == 78 * 78
    assert not grid[0].any()
    assert not grid[:, -1].any()
    assert np.isposinf(logits.numpy()[0][grid.reshape(-1) == 0]).all()
