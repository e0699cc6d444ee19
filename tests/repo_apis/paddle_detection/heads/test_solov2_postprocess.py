"""Selection of SOLOv2's instances, with numbers computed by hand."""

import math

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.heads.solov2_postprocess import (
    SelectionLimits,
    matrix_nms,
    paste_probabilities,
    select_segments,
)

# A feature map of 4 x 4 whose channel i is +20 on its own area and -20 elsewhere: kernels choose areas.
AREAS = np.zeros((4, 4, 4), bool)
AREAS[0, :2] = True  # upper half
AREAS[1, :2] = True  # the same
AREAS[2, 2:] = True  # lower half
AREAS[3, 3, 3] = True  # one pixel
FEATURES = paddle.to_tensor(np.where(AREAS, 20.0, -20.0).astype(np.float32))
KERNELS = paddle.eye(4)


def select(scores: list[list[float]], *, strides: float = 2.0, **limits: float) -> tuple[list, ...]:
    found = select_segments(
        paddle.to_tensor(scores),
        KERNELS,
        FEATURES,
        strides=paddle.full([4], strides),
        limits=SelectionLimits(**limits),
    )
    return found.scores.tolist(), found.class_ids.tolist(), (found.masks > 0.5).numpy()


def test_the_filler_ends_every_list() -> None:
    scores, class_ids, masks = select([[0.0, 0.9], [0.0, 0.0], [0.6, 0.0], [0.0, 0.0]])

    assert scores == pytest.approx([0.9, 0.6, 0.0])
    assert class_ids == [1, 0, 0]
    np.testing.assert_array_equal(masks[:2], AREAS[[0, 2]])


def test_nothing_found_leaves_the_filler_alone() -> None:
    scores, class_ids, masks = select([[0.1, 0.1]] * 4)

    assert (scores, class_ids, masks.shape) == ([0.0], [0], (1, 4, 4))


def test_a_mask_must_have_more_pixels_than_its_levels_stride() -> None:
    assert select([[0.0], [0.0], [0.0], [0.9]], strides=1.0)[0] == [0.0]
    assert len(select([[0.0], [0.0], [0.0], [0.9]], strides=0.0)[0]) == 2


def test_scores_are_multiplied_by_the_mean_probability_inside_the_mask() -> None:
    vague = paddle.to_tensor(np.where(AREAS, math.log(3.0), -20.0).astype(np.float32))  # sigmoid: 0.75
    found = select_segments(
        paddle.to_tensor([[0.8], [0.0], [0.0], [0.0]]),
        KERNELS,
        paddle.concat([vague[:1], paddle.zeros([3, 4, 4])]),
        strides=paddle.zeros([4]),
        limits=SelectionLimits(),
    )

    assert found.scores.tolist() == pytest.approx([0.6, 0.0])


def test_a_duplicate_decays_and_is_dropped_below_the_threshold() -> None:
    both = [[0.9], [0.8], [0.0], [0.0]]

    assert select(both)[0] == pytest.approx([0.9, 0.8 * math.exp(-2), 0.0])
    assert select(both, keep_threshold=0.2)[0] == pytest.approx([0.9, 0.0])


def test_a_duplicate_of_another_class_stays() -> None:
    assert select([[0.9, 0.0], [0.0, 0.8], [0.0, 0.0], [0.0, 0.0]])[0] == pytest.approx([0.9, 0.8, 0.0])


@pytest.mark.parametrize("limit", ["max_candidates", "pre_nms"])
def test_limits_keep_the_best_and_the_filler(limit: str) -> None:
    scores, class_ids, _ = select([[0.3, 0.0], [0.0, 0.0], [0.0, 0.7], [0.0, 0.0]], **{limit: 1})

    assert (scores, class_ids) == (pytest.approx([0.7, 0.0]), [1, 0])


def test_rows_are_cut_at_the_number_of_detections_filler_included() -> None:
    scores = [[0.3, 0.0], [0.0, 0.0], [0.0, 0.7], [0.0, 0.0]]

    assert select(scores, num_detections=2)[0] == pytest.approx([0.7, 0.3])


def test_matrix_nms_compensates_for_covers_that_are_covered_themselves() -> None:
    # Pixels 0..3, 1..4 and 2..5: IoU 3/5 between neighbours, 2/6 between the first and the last.
    masks = paddle.to_tensor([[1, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 0], [0, 0, 1, 1, 1, 1.0]])
    near, far = math.exp(-2 * 0.6**2), math.exp(-2 / 9)

    factors = matrix_nms(masks, paddle.to_tensor([0, 0, 0]), sigma=2.0)
    # The middle one, itself covered as much, does not weigh on the last.
    assert factors.tolist() == pytest.approx([1.0, near, min(far, near / near)], rel=1e-5)


def test_matrix_nms_survives_empty_masks() -> None:
    factors = matrix_nms(paddle.zeros([2, 4]), paddle.to_tensor([0, 0]), sigma=2.0)

    assert factors.tolist() == [1.0, 1.0]


def test_masks_are_enlarged_cut_at_the_padding_and_fitted_to_the_photo() -> None:
    masks = paddle.zeros([1, 2, 4])
    masks[0, :, 2:] = 1.0  # right half of an input of 8 x 16
    pasted = paste_probabilities(
        masks, im_shape=paddle.to_tensor([8.0, 12.0]), size=paddle.to_tensor([16.0, 24.0])
    )

    # Without padding the input is 12 wide, its last third is set; twice as large on the photo.
    assert (pasted.dtype, pasted.shape) == (paddle.uint8, [1, 16, 24])
    assert pasted[0, 0].tolist() == [0] * 16 + [1] * 8
