"""Static assignment on grids of a few cells, worked out by hand, and against loops over every object."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.heads.ppyoloe_seg import cell_tables
from paddlex.repo_apis.paddle_detection.matching.atss import ATSSAssigner
from paddlex.repo_apis.paddle_detection.matching.cells import CellAssignment, PaddedObjects

Boxes = list[list[float]]
# Side of the pictures, and the strides of the levels' cells.
PICTURE, COARSE, FINE = 32, 16, 8


def assign(
    images: list[Boxes],
    *,
    strides: tuple[int, ...] = (COARSE,),
    side: int = PICTURE,
    predicted: Boxes | None = None,
    **options: float,
) -> CellAssignment:
    """Assign with anchors of the size of their cells, unless `options` say otherwise."""
    points, cell_strides = cell_tables(tuple((side // s, side // s) for s in strides), strides=strides)
    boxes = np.float32(predicted or [[0, 0, side, side]] * len(points))
    return ATSSAssigner(**{"anchor_scale": 1.0, **options})(  # type: ignore[arg-type]
        paddle.to_tensor(np.stack([boxes] * len(images))),
        points=points * cell_strides,
        strides=cell_strides,
        objects=PaddedObjects.pad(
            [paddle.to_tensor(np.float32(rows).reshape(-1, 4)) for rows in images],
            [paddle.to_tensor(np.arange(len(rows))) for rows in images],
        ),
    )


def positive_cells(found: CellAssignment, *, image: int = 0) -> list[int]:
    return np.flatnonzero(found.positive[image].numpy()).tolist()


def test_closest_cells_of_every_level_compete_together() -> None:
    # Centre (9, 6). Closest are the coarse cells 0 and 1, IoU 192 / 280 and 24 / 448, and the fine ones 1 and
    # 0 (4 and 5 of all), both 64 / 216. Mean 0.333 plus deviation 0.262: only the first has as much.
    found = assign([[[0, 0, 18, 12]]], strides=(COARSE, FINE), top_k=2)

    assert positive_cells(found) == [0]


def test_the_better_half_of_the_candidates_is_not_enough() -> None:
    # IoU 64 / 112, 48 / 128, 0 and 0: mean 0.237, plus deviation 0.285. The second is only above the mean.
    found = assign([[[0, 0, 14, 8]]], strides=(FINE,), side=16, top_k=4)

    assert positive_cells(found) == [0]


def test_deviation_is_that_of_a_sample() -> None:
    # IoU 64 / 112, 48 / 128 and 0: mean 0.315, plus 0.290 by a divisor of two. By one of three it were 0.237,
    # and cell 0 with its 0.571 positive.
    found = assign([[[0, 0, 14, 8]]], strides=(FINE,), side=16, top_k=3)

    assert positive_cells(found) == []


@pytest.mark.parametrize(("left", "cells"), [(7, [0]), (9, [])], ids=["inside", "outside"])
def test_the_cells_centre_has_to_lie_in_the_box(left: float, cells: list[int]) -> None:
    # The only candidate is the cell around (8, 8), whatever its overlap.
    assert positive_cells(assign([[[left, 0, 15, 15]]], top_k=1)) == cells


def test_equal_overlaps_all_reach_their_mean() -> None:
    # The object covers 25 cells, each 1 / 25 of it; in float32 the mean of these comes out larger.
    assert positive_cells(assign([[[0, 0, 80, 80]]], side=80, top_k=25)) == list(range(25))


@pytest.mark.parametrize(
    ("objects", "owner"),
    [
        ([[0, 0, 16, 10], [0, 0, 16, 14]], 1),
        ([[0, 0, 16, 14], [0, 0, 16, 10]], 0),
        ([[0, 0, 16, 14], [0, 0, 16, 14]], 0),
    ],
    ids=["second", "first", "equal"],
)
def test_a_contested_cell_goes_to_the_object_that_its_anchor_overlaps_most(
    objects: Boxes, owner: int
) -> None:
    # IoU 160 / 256 and 224 / 256.
    found = assign([objects], top_k=1)

    assert positive_cells(found) == [0]
    assert found.objects.tolist() == [[owner, 0, 0, 0]]


def test_quality_is_the_iou_of_the_predicted_box_which_decides_nothing_else() -> None:
    predicted = [[0, 0, 16, 7], [0, 0, 16, 14], [0, 0, 16, 14], [0, 0, 16, 14]]
    found = assign([[[0, 0, 16, 14]]], top_k=1, predicted=predicted)

    assert found.quality.tolist() == [pytest.approx([0.5, 0.0, 0.0, 0.0])]


def test_the_size_of_the_anchors_chooses_the_level() -> None:
    # With anchors of one cell the coarse cell 0 overlaps most, 144 / 368; with anchors of two, 16 pixels at
    # the fine level, cell 5 there (9 of all) is the object itself.
    levels = {"strides": (COARSE, FINE), "top_k": 2}
    box = [[4, 4, 20, 20]]

    assert positive_cells(assign([box], **levels, anchor_scale=1.0)) == [0]
    assert positive_cells(assign([box], **levels, anchor_scale=2.0)) == [9]


def test_photos_without_objects_have_no_positive_cell_and_photos_are_apart() -> None:
    first, second = [[0, 0, 16, 14]], [[0, 0, 16, 10], [14, 14, 32, 32]]
    found = assign([first, [], second], top_k=1)

    assert positive_cells(found, image=1) == []
    assert found.quality[1].tolist() == [0.0] * 4
    for image, objects in ((0, first), (2, second)):
        alone = assign([objects], top_k=1)
        assert found.positive[image].tolist() == alone.positive[0].tolist()
        assert found.objects[image].tolist() == alone.objects[0].tolist()
        assert found.quality[image].tolist() == alone.quality[0].tolist()


# --------------------------------------------------------------------------- loops over every object


def iou(one: np.ndarray, two: np.ndarray) -> float:
    width, height = np.minimum(one[2:], two[2:]) - np.maximum(one[:2], two[:2])
    shared = max(width, 0.0) * max(height, 0.0)
    return float(shared / (np.prod(one[2:] - one[:2]) + np.prod(two[2:] - two[:2]) - shared))


def claims_one_by_one(objects: np.ndarray, points: np.ndarray, strides: np.ndarray) -> dict[int, list]:
    """The paper's algorithm 1, 9 candidates and anchors of 8 strides: (IoU, object) of each positive cell."""
    claims: dict[int, list[tuple[float, int]]] = {}
    for index, box in enumerate(objects):
        candidates: list[int] = []
        for stride in np.unique(strides):
            level = np.flatnonzero(strides == stride)
            away = np.linalg.norm(points[level] - (box[:2] + box[2:]) / 2, axis=1)
            candidates += level[np.argsort(away)[:9]].tolist()
        halves = 4 * strides[candidates, None]
        anchors = np.concatenate([points[candidates] - halves, points[candidates] + halves], axis=1)
        ious = [iou(anchor, box) for anchor in anchors]
        threshold = np.mean(ious) + np.std(ious, ddof=1)
        for cell, overlap in zip(candidates, ious, strict=True):
            inside = (points[cell] > box[:2]).all() and (points[cell] < box[2:]).all()
            if overlap >= threshold and inside:
                claims.setdefault(cell, []).append((overlap, index))
    return claims


@pytest.mark.parametrize("seed", range(3))
def test_a_batch_is_assigned_as_object_by_object(seed: int) -> None:
    rng = np.random.default_rng(seed)
    side, counts = 128, (12, 1, 0, 7)
    points, strides = cell_tables(((4, 4), (8, 8), (16, 16)), strides=(32, 16, 8))
    photos = []
    for count in counts:
        centres, halves = rng.uniform(10, side - 10, (count, 2)), rng.uniform(4, 50, (count, 2))
        photos.append(np.float32(np.concatenate([centres - halves, centres + halves], axis=1)))
    corners = np.sort(rng.uniform(0, side, (len(counts), len(points), 2, 2)), axis=2)
    predicted = np.float32(corners.reshape(len(counts), len(points), 4))
    found = ATSSAssigner()(
        paddle.to_tensor(predicted),
        points=points * strides,
        strides=strides,
        objects=PaddedObjects.pad(
            [paddle.to_tensor(boxes) for boxes in photos],
            [paddle.to_tensor(np.zeros(count, np.int64)) for count in counts],
        ),
    )

    places, sides = (points * strides).numpy().astype(np.float64), strides.flatten().numpy()
    contested = 0
    for image, boxes in enumerate(photos):
        claims = claims_one_by_one(boxes.astype(np.float64), places, sides)
        contested += sum(len(wanted) > 1 for wanted in claims.values())
        assert positive_cells(found, image=image) == sorted(claims)
        for cell, wanted in claims.items():
            index = max(wanted)[1]
            assert found.objects[image, cell].item() == index
            expected = iou(predicted[image, cell].astype(np.float64), boxes[index].astype(np.float64))
            assert found.quality[image, cell].item() == pytest.approx(expected, abs=1e-5)
    assert contested
