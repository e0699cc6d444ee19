"""Targets of the mask head, by hand."""

from __future__ import annotations

import numpy as np
import paddle

from paddlex.repo_apis.paddle_detection.matching.mask_targets import MaskTargets, make_mask_targets
from paddlex.repo_apis.paddle_detection.matching.roi_sampling import SampledBoxes
from paddlex.structures.shapes import InstanceShapes

NUM_CLASSES = 5
# Of a box twice as wide as an object, the left half is the object.
WIDE = [10.0, 10.0, 30.0, 20.0]
SHAPES = InstanceShapes.from_polygons(
    [[[10, 10, 20, 10, 20, 20, 10, 20]], [[40, 40, 50, 40, 50, 50, 40, 50]]], size=(64, 64)
)
EMPTY = InstanceShapes.from_polygons([], size=(64, 64))


def sample_of(boxes: list[list[float]], *, class_ids: list[int], gt_indices: list[int]) -> SampledBoxes:
    tensor = paddle.to_tensor(boxes)
    return SampledBoxes(
        boxes=tensor,
        class_ids=paddle.to_tensor(class_ids, dtype="int64"),
        gt_indices=paddle.to_tensor(gt_indices, dtype="int64"),
        gt_boxes=tensor,
    )


def targets_of(samples: list[SampledBoxes], shapes: list[InstanceShapes]) -> MaskTargets:
    return make_mask_targets(samples, shapes, num_classes=NUM_CLASSES, resolution=4)


def test_foreground_boxes_see_their_own_object() -> None:
    sample = sample_of(
        [[0.0, 0.0, 5.0, 5.0], WIDE, [40.0, 40.0, 50.0, 50.0]], class_ids=[5, 1, 3], gt_indices=[0, 0, 1]
    )
    targets = targets_of([sample], [SHAPES])

    assert targets.rows[0].tolist() == [1, 2]
    assert targets.class_ids.tolist() == [1, 3]
    assert targets.weights.tolist() == [1.0, 1.0]
    np.testing.assert_array_equal(targets.masks[0].numpy(), [[1, 1, 0, 0]] * 4)
    np.testing.assert_array_equal(targets.masks[1].numpy(), np.ones((4, 4)))


def test_boxes_and_masks_stay_together_when_only_some_photos_have_foreground() -> None:
    background = sample_of([[0.0, 0.0, 5.0, 5.0], [5.0, 5.0, 9.0, 9.0]], class_ids=[5, 5], gt_indices=[0, 0])
    foreground = sample_of([WIDE], class_ids=[2], gt_indices=[0])
    targets = targets_of([background, foreground, background], [EMPTY, SHAPES, SHAPES])

    assert [rows.tolist() for rows in targets.rows] == [[1], [0], [1]]
    assert targets.weights.tolist() == [0.0, 1.0, 0.0]
    assert targets.class_ids.tolist() == [0, 2, 0]
    assert targets.masks.sum(axis=[1, 2]).tolist() == [0.0, 8.0, 0.0]


def test_a_photo_with_a_single_box_of_background_stands_in_with_it() -> None:
    lonely = sample_of([[0.0, 0.0, 0.0, 0.0]], class_ids=[5], gt_indices=[0])
    targets = targets_of([lonely], [EMPTY])

    assert targets.rows[0].tolist() == [0]
    assert targets.weights.tolist() == [0.0]
