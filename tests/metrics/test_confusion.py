"""The confusion matrix counts what a person would count by eye."""

from __future__ import annotations

import numpy as np
import pytest
from coco_reference import detections

from paddlex.metrics.confusion import InstanceConfusion
from paddlex.structures.masks import MaskCrops

SIZE = (40, 100)


def squares(*corners: tuple[int, int], side: int = 10) -> MaskCrops:
    return MaskCrops.from_crops([np.ones((side, side))] * len(corners), list(corners), size=SIZE)


def confusion_of(
    masks: MaskCrops | list, class_ids: list[int], *, crowd: bool = False, classes: int = 2
) -> InstanceConfusion:
    """A confusion over one photo, number 5, annotated with masks or polygons."""
    segmentations = masks.to_rles() if isinstance(masks, MaskCrops) else masks
    annotations = [
        {"image_id": 5, "category_id": 10 + class_id, "iscrowd": int(crowd), "segmentation": segmentation}
        for class_id, segmentation in zip(class_ids, segmentations, strict=True)
    ]
    images = [{"id": 5, "height": SIZE[0], "width": SIZE[1]}]
    categories = [{"id": 10 + i, "name": str(i)} for i in range(classes)]
    return InstanceConfusion(
        ground_truth={"images": images, "categories": categories, "annotations": annotations}
    )


def test_right_wrong_missed_and_stray_instances_each_have_their_cell() -> None:
    confusion = confusion_of(squares((0, 0), (0, 20), (0, 40)), [0, 0, 1])
    found = detections(squares((0, 1), (0, 20), (25, 80)), [0, 1, 1], [0.9, 0.8, 0.7])
    confusion.update(image_id=5, detections=found)
    assert confusion.counts.tolist() == [[1, 1, 0], [0, 0, 1], [0, 1, 0]]
    assert confusion.compute() == pytest.approx({"precision": 1 / 3, "recall": 1 / 3, "F1": 1 / 3})


def test_detections_below_the_score_are_ignored() -> None:
    confusion = confusion_of(squares((0, 0)), [0])
    confusion.update(image_id=5, detections=detections(squares((0, 0)), [0], [0.49]))
    assert confusion.counts.tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_each_object_is_matched_once_and_the_closest_detection_wins() -> None:
    confusion = confusion_of(squares((0, 0)), [0])
    confusion.update(image_id=5, detections=detections(squares((0, 2), (0, 0)), [1, 0], [0.99, 0.6]))
    assert confusion.counts.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_at_equal_overlap_the_right_class_is_matched_first() -> None:
    confusion = confusion_of(squares((0, 0)), [1])
    confusion.update(image_id=5, detections=detections(squares((0, 0), (0, 0)), [0, 1], [0.9, 0.6]))
    assert confusion.counts.tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]


def test_overlap_below_the_threshold_is_no_match() -> None:
    confusion = confusion_of(squares((0, 0)), [0], classes=1)
    confusion.update(image_id=5, detections=detections(squares((0, 5)), [0], [0.9]))
    assert confusion.counts.tolist() == [[0, 1], [1, 0]]


def test_detections_inside_a_crowd_are_left_out() -> None:
    crowd = MaskCrops.from_crops([np.ones((40, 50))], [(0, 0)], size=SIZE)
    confusion = confusion_of(crowd, [0], crowd=True, classes=1)
    confusion.update(image_id=5, detections=detections(squares((5, 5)), [0], [0.9]))
    assert confusion.counts.tolist() == [[0, 0], [0, 0]]
    assert np.isnan(confusion.compute()["precision"])


def test_a_photo_without_objects_counts_its_false_alarms() -> None:
    confusion = confusion_of(MaskCrops.empty(SIZE), [])
    confusion.update(image_id=5, detections=detections(squares((0, 0)), [1], [0.9]))
    assert confusion.counts.tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_polygons_are_annotations_too() -> None:
    confusion = confusion_of([[[0, 0, 10, 0, 10, 10, 0, 10]]], [0], classes=1)
    confusion.update(image_id=5, detections=detections(squares((0, 0)), [0], [0.9]))
    assert confusion.counts.tolist() == [[1, 0], [0, 0]]
