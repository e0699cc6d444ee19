"""Task-aligned assignment on four cells whose alignments are worked out by hand."""

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.matching.cells import CellAssignment, PaddedObjects
from paddlex.repo_apis.paddle_detection.matching.task_aligned import TaskAlignedAssigner

# One object of class 1 in the box (0, 0, 10, 10); the last cell's centre lies outside.
POINTS = [[2.0, 2.0], [5.0, 5.0], [8.0, 8.0], [15.0, 5.0]]
# IoU with the object's box: 1, 0.5, 0.8, 1.
BOXES = [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0], [0.0, 0.0, 10.0, 8.0], [0.0, 0.0, 10.0, 10.0]]
SCORES = [[0.9, 0.2], [0.1, 0.8], [0.1, 0.5], [0.0, 1.0]]
OBJECT = [0.0, 0.0, 10.0, 10.0]


def assign(
    objects: list[list[list[float]]],
    class_ids: list[list[int]],
    *,
    scores: list[list[float]] = SCORES,
    boxes: list[list[float]] = BOXES,
    top_k: int = 13,
) -> CellAssignment:
    """Assign with alignment score * IoU, every image with the same predictions."""
    images = len(objects)
    padded = PaddedObjects.pad(
        [paddle.to_tensor(np.float32(rows).reshape(-1, 4)) for rows in objects],
        [paddle.to_tensor(np.array(ids, np.int64)) for ids in class_ids],
    )
    return TaskAlignedAssigner(top_k=top_k, iou_power=1.0)(
        paddle.to_tensor(np.float32([scores] * images)),
        paddle.to_tensor(np.float32([boxes] * images)),
        points=paddle.to_tensor(POINTS),
        objects=padded,
    )


def test_cells_inside_the_box_are_positive_and_the_best_aligned_reaches_the_best_iou() -> None:
    found = assign([[OBJECT]], [[1]])

    assert found.positive.tolist() == [[True, True, True, False]]
    # Alignments 0.2, 0.4 and 0.4; the best IoU among them is 1.
    assert found.quality.tolist()[0] == pytest.approx([0.5, 1.0, 1.0, 0.0], rel=1e-6)


def test_only_the_best_aligned_cells_are_taken() -> None:
    scores = [[0.9, 0.2], [0.1, 0.8], [0.1, 0.4], [0.0, 1.0]]
    found = assign([[OBJECT]], [[1]], scores=scores, top_k=1)

    assert found.positive.tolist() == [[False, True, False, False]]
    # Its own IoU is the best among the cells that were taken.
    assert found.quality.tolist()[0] == pytest.approx([0.0, 0.5, 0.0, 0.0], rel=1e-6)


def test_cells_inside_are_taken_even_without_alignment_when_there_are_few() -> None:
    nowhere = [[20.0, 20.0, 30.0, 30.0]] * 4
    found = assign([[OBJECT]], [[1]], boxes=nowhere)

    assert found.positive.tolist() == [[True, True, True, False]]
    assert found.quality.tolist() == [[0.0, 0.0, 0.0, 0.0]]


def test_the_class_of_the_object_decides_which_score_counts() -> None:
    found = assign([[OBJECT]], [[0]])

    # Alignments 0.9, 0.05 and 0.08.
    assert found.quality.tolist()[0] == pytest.approx([1.0, 0.05 / 0.9, 0.08 / 0.9, 0.0], rel=1e-5)


def test_a_contested_cell_goes_to_the_object_that_its_box_overlaps_most() -> None:
    # The second object, (0, 0, 10, 5.5), is overlapped best by cell 1 alone: 50 / 55 against 0.5.
    found = assign([[OBJECT, [0.0, 0.0, 10.0, 5.5]]], [[1, 1]])

    assert found.positive.tolist() == [[True, True, True, False]]
    assert found.objects.tolist() == [[0, 1, 0, 0]]


def test_padding_claims_no_cell_and_images_are_apart() -> None:
    found = assign([[OBJECT], [], [[0.0, 0.0, 3.0, 3.0], OBJECT]], [[1], [], [1, 1]])
    alone = assign([[OBJECT]], [[1]])

    assert found.positive[0].tolist() == alone.positive[0].tolist()
    assert found.quality[0].tolist() == alone.quality[0].tolist()
    assert not found.positive[1].any()
    assert found.quality[1].tolist() == [0.0] * 4
    # Cell 0 lies in both boxes; its own box is that of the second object.
    assert found.objects[2].tolist()[:3] == [1, 1, 1]


def test_more_cells_wanted_than_there_are() -> None:
    assert assign([[OBJECT]], [[1]], top_k=100).positive.tolist() == [[True, True, True, False]]


def test_edges_of_the_box_are_outside() -> None:
    found = assign([[[2.0, 0.0, 10.0, 10.0]]], [[1]])

    assert found.positive.tolist() == [[False, True, True, False]]
