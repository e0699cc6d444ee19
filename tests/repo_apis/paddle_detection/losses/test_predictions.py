"""Checks of what a network hands to its criterion."""

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.losses.predictions import BatchObjects, QueryPredictions, Targets
from paddlex.utils.errors import DatasetError, ShapeError


def _targets(*class_ids: list[int], mask_size: int = 8) -> Targets:
    return Targets(
        boxes=[paddle.full([len(ids), 4], 0.5) for ids in class_ids],
        class_ids=[paddle.to_tensor(np.array(ids, np.int64)) for ids in class_ids],
        masks=[paddle.ones([len(ids), mask_size, mask_size], dtype="uint8") for ids in class_ids],
    )


def test_objects_of_all_images_stand_in_one_row() -> None:
    objects = BatchObjects.from_targets(_targets([2, 0], [], [1]), num_classes=3)

    assert objects.counts == [2, 0, 1]
    assert objects.offsets.tolist() == [0, 2, 2, 3]
    assert objects.class_ids.tolist() == [2, 0, 1]
    assert objects.boxes.shape == [3, 4]
    assert objects.masks.shape == [3, 8, 8]


def test_empty_image_may_have_masks_without_size() -> None:
    targets = _targets([1], [])
    targets.masks[1] = paddle.zeros([0, 0, 0], dtype="uint8")

    assert BatchObjects.from_targets(targets, num_classes=3).masks.shape == [1, 8, 8]


@pytest.mark.parametrize("wrong", [-1, 3])
def test_class_id_outside_the_network_is_told(wrong: int) -> None:
    with pytest.raises(DatasetError, match=rf"class id {wrong} .* 3 classes \(0 to 2\); set num_classes"):
        BatchObjects.from_targets(_targets([0], [wrong]), num_classes=3)


def test_unequal_numbers_of_boxes_and_masks_are_told() -> None:
    targets = _targets([0, 1])
    targets.masks[0] = targets.masks[0][:1]

    with pytest.raises(ShapeError, match="image 0 of the batch: 2 class ids"):
        BatchObjects.from_targets(targets, num_classes=3)


def test_predictions_that_do_not_fit_are_told() -> None:
    with pytest.raises(ShapeError, match="query predictions: expected logits"):
        QueryPredictions(
            logits=paddle.zeros([1, 2, 5, 3]),
            boxes=paddle.zeros([1, 2, 5, 4]),
            mask_embeds=paddle.zeros([1, 2, 5, 6]),
            prototypes=paddle.zeros([2, 7, 4, 4]),
        )
