"""Sampling of proposals, by hand."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from paddlex.nn.draws import UniformDraws
from paddlex.repo_apis.paddle_detection.matching.roi_sampling import RoISampler, SampledBoxes, label_boxes

NUM_CLASSES = 7
OBJECTS = paddle.to_tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]])
CLASS_IDS = paddle.to_tensor([4, 2], dtype="int64")
NONE = paddle.zeros([0, 4]), paddle.zeros([0], dtype="int64")
# Overlaps: 0.5 and 0.4 of the first object, 1.0 of the second, none.
PROPOSALS = paddle.to_tensor(
    [[0.0, 0.0, 10.0, 5.0], [0.0, 0.0, 10.0, 4.0], [20.0, 0.0, 30.0, 10.0], [50.0, 50.0, 60.0, 60.0]]
)


def draw(sampler: RoISampler, objects: tuple[paddle.Tensor, paddle.Tensor], *, seed: int = 0) -> SampledBoxes:
    return sampler(PROPOSALS, *objects, match_iou=0.5, num_classes=NUM_CLASSES, draws=UniformDraws(seed))


def test_boxes_from_the_threshold_on_have_the_class_of_their_object() -> None:
    labelled = label_boxes(PROPOSALS, OBJECTS, CLASS_IDS, match_iou=0.5, num_classes=NUM_CLASSES)

    assert labelled.class_ids.tolist() == [4, 7, 2, 7]
    assert labelled.gt_indices.tolist()[:3] == [0, 0, 1]
    assert labelled.gt_boxes.tolist()[:3] == [OBJECTS[0].tolist(), OBJECTS[0].tolist(), OBJECTS[1].tolist()]


def test_true_boxes_take_part_and_foreground_comes_first() -> None:
    sample = draw(RoISampler(samples_per_image=512, foreground_fraction=0.25), (OBJECTS, CLASS_IDS))

    assert sorted(sample.class_ids.tolist()[:4]) == [2, 2, 4, 4]
    assert sample.class_ids.tolist()[4:] == [7, 7]


def test_foreground_keeps_to_its_share_and_background_fills_up() -> None:
    sample = draw(RoISampler(samples_per_image=4, foreground_fraction=0.25), (OBJECTS, CLASS_IDS))

    assert [int(i) < NUM_CLASSES for i in sample.class_ids] == [True, False, False]


def test_rows_stay_together_when_chosen() -> None:
    sample = draw(RoISampler(samples_per_image=4, foreground_fraction=0.5), (OBJECTS, CLASS_IDS))
    expected = label_boxes(sample.boxes, OBJECTS, CLASS_IDS, match_iou=0.5, num_classes=NUM_CLASSES)

    assert sample.class_ids.tolist() == expected.class_ids.tolist()
    np.testing.assert_array_equal(sample.gt_boxes.numpy(), expected.gt_boxes.numpy())


def test_the_choice_follows_the_seed() -> None:
    sampler = RoISampler(samples_per_image=2, foreground_fraction=0.5)
    chosen = [draw(sampler, (OBJECTS, CLASS_IDS), seed=seed).boxes.tolist() for seed in range(20)]

    assert draw(sampler, (OBJECTS, CLASS_IDS), seed=3).boxes.tolist() == chosen[3]
    assert len({str(boxes) for boxes in chosen}) > 1


@pytest.mark.parametrize("count", [2, 512])
def test_a_photo_without_objects_is_all_background(count: int) -> None:
    sample = draw(RoISampler(samples_per_image=count), NONE)

    assert sample.class_ids.tolist() == [NUM_CLASSES] * min(count, len(PROPOSALS))
    assert sample.gt_indices.tolist() == [0] * len(sample.boxes)
    assert len(sample.gt_boxes) == len(sample.boxes)
