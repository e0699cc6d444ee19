"""Feature pyramid: shapes, the way down, and the added level."""

import numpy as np
import paddle

from paddlex.repo_apis.paddle_detection.necks.fpn import FPN


def _features(channels: list[int]) -> list[paddle.Tensor]:
    return [paddle.rand([2, c, 16 // 2**i, 24 // 2**i]) for i, c in enumerate(channels)]


def test_levels_have_the_declared_channels_and_strides() -> None:
    neck = FPN([3, 5, 7], width=4, strides=(4, 8, 16))
    levels = neck(_features([3, 5, 7]))

    assert neck.strides == [4, 8, 16, 32]
    assert [tuple(level.shape) for level in levels] == [
        (2, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(neck.out_channels, neck.strides, strict=True)
    ]


def test_added_level_is_every_second_pixel_of_the_coarsest() -> None:
    *_, coarsest, added = FPN([3, 5], width=4, strides=(4, 8))(_features([3, 5]))

    np.testing.assert_array_equal(added.numpy(), coarsest.numpy()[:, :, ::2, ::2])


def test_coarse_features_reach_finer_levels_and_not_the_other_way() -> None:
    neck, features = FPN([3, 5], width=4, strides=(4, 8)), _features([3, 5])
    fine, coarse, _ = neck(features)
    moved_fine, same_coarse, _ = neck([features[0] + 1.0, features[1]])
    assert not np.allclose(fine.numpy(), moved_fine.numpy())
    np.testing.assert_array_equal(coarse.numpy(), same_coarse.numpy())

    changed = features[1].clone()
    changed[:, :, 3, 5] += 10.0
    difference = (neck([features[0], changed])[0] - fine).abs().sum(axis=[0, 1]).numpy()
    # Cell (3, 5) covers rows 6 and 7 and columns 10 and 11, and the last convolution looks one cell further.
    assert {tuple(cell) for cell in np.argwhere(difference > 1e-6)} == {
        (row, column) for row in (5, 6, 7, 8) for column in (9, 10, 11, 12)
    }
