"""Two runs agree when they found the same, in whatever order; anything a user would notice is a problem."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from paddlex.modules.instance_segmentation.agreement import compare_detections, summarise
from paddlex.structures.masks import MaskCrops
from paddlex.structures.results import Detections

SIZE = (100, 200)


def found(count: int = 20) -> Detections:
    """Squares side by side, scores from 0.9 down by 0.02, two classes."""
    offsets = [(10 + 40 * (i // 10), 20 * (i % 10)) for i in range(count)]
    masks = MaskCrops.from_crops([np.ones((16, 16))] * count, offsets, size=SIZE)
    return Detections(
        boxes=masks.boxes(),
        scores=(0.9 - 0.02 * np.arange(count)).astype(np.float32),
        class_ids=np.arange(count) % 2,
        masks=masks,
    )


def take(detections: Detections, order: np.ndarray) -> Detections:
    return Detections(
        boxes=detections.boxes[order],
        scores=detections.scores[order],
        class_ids=detections.class_ids[order],
        masks=detections.masks[order],
    )


def test_equal_detections_agree_exactly() -> None:
    agreement = compare_detections(found(), found())
    assert agreement.problems() == []
    # The last one could have lost its place to another, so it is not asked for.
    assert (agreement.compared, agreement.missing) == (19, 0)
    assert (agreement.max_score_difference, agreement.max_box_difference) == (0.0, 0.0)
    assert agreement.min_mask_iou == 1.0


def test_order_says_nothing() -> None:
    order = np.random.default_rng(0).permutation(20)
    assert compare_detections(found(), take(found(), order)) == compare_detections(found(), found())


def test_a_lost_place_at_the_cut_is_no_problem() -> None:
    other = take(found(), np.arange(19))
    assert compare_detections(found(), other).problems() == []


def test_a_missing_detection_is_a_problem() -> None:
    other = take(found(), np.arange(1, 18))
    assert compare_detections(found(), other).problems()[0].endswith("of 19 detections are missing")


def test_another_class_is_a_missing_detection() -> None:
    other = dataclasses.replace(found(), class_ids=np.zeros(20, np.int64))
    assert compare_detections(found(), other).missing == 9


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"scores": found().scores + np.float32(0.016)}, "scores differ by 0.0160, limit 0.005"),
        ({"boxes": found().boxes + np.float32(2)}, "boxes differ by 1.00% of the photo on average"),
        ({"masks": found().masks.place(size=SIZE, y=1)}, "mean mask IoU 0.882"),
    ],
)
def test_differences_beyond_the_limits_are_problems(change: dict[str, object], problem: str) -> None:
    problems = compare_detections(found(), dataclasses.replace(found(), **change)).problems()
    assert len(problems) == 1 and problems[0].startswith(problem)


def test_rounding_is_no_problem() -> None:
    other = dataclasses.replace(
        found(), scores=found().scores + np.float32(3e-7), boxes=found().boxes + np.float32(1e-3)
    )
    assert compare_detections(found(), other).problems() == []


def test_a_detection_too_many_is_a_problem() -> None:
    problems = compare_detections(take(found(), np.arange(8)), found()).problems()
    assert problems == ["11 detections are not the network's"]


def test_a_photo_without_objects_agrees_with_another() -> None:
    nothing = take(found(), np.arange(0))
    assert compare_detections(nothing, nothing).problems() == []
    assert compare_detections(nothing, found()).problems() == ["19 detections are not the network's"]
    assert compare_detections(found(), nothing).problems() == ["19 of 19 detections are missing"]


def test_the_only_detection_is_asked_for() -> None:
    only = take(found(), np.arange(1))
    assert compare_detections(only, only).compared == 1
    assert compare_detections(only, take(found(), np.arange(0))).problems()


def test_of_many_faint_detections_one_may_be_decided_by_rounding() -> None:
    offsets = [(8 * (i // 20), 10 * (i % 20)) for i in range(120)]
    masks = MaskCrops.from_crops([np.ones((7, 9))] * 120, offsets, size=SIZE)
    scores = np.linspace(0.9, 0.1, 120, dtype=np.float32)
    many = Detections(boxes=masks.boxes(), scores=scores, class_ids=np.zeros(120, np.int64), masks=masks)

    def without(*indices: int) -> list[str]:
        return compare_detections(many, take(many, np.setdiff1d(np.arange(120), indices))).problems()

    assert without(100) == []
    assert without(100, 105, 110) == ["3 of 119 detections are missing"]
    assert without(10) == ["1 of 119 detections are missing"]  # anyone would see that one


def test_low_scores_do_not_count_beside_enough_good_ones() -> None:
    scores = np.array([0.8] * 15 + [0.04, 0.03, 0.02, 0.01, 0.005], np.float32)
    reference = dataclasses.replace(found(), scores=scores)
    boxes = reference.boxes.copy()
    boxes[15:] += 50
    assert compare_detections(reference, dataclasses.replace(reference, boxes=boxes)).problems() == []


def test_of_faint_detections_the_best_ten_count() -> None:
    faint = dataclasses.replace(found(), scores=found().scores / 100)
    assert compare_detections(faint, faint).compared == 10


@pytest.mark.parametrize("scores", [np.full(20, np.nan), np.full(20, 0.5)], ids=["nan", "all equal"])
def test_nothing_to_compare_is_a_problem(scores: np.ndarray) -> None:
    reference = dataclasses.replace(found(), scores=scores.astype(np.float32))
    assert compare_detections(reference, reference).problems()[0].startswith("nothing to compare")


def test_empty_masks_agree_with_each_other_only() -> None:
    empty = dataclasses.replace(
        found(), masks=MaskCrops.from_crops([np.zeros((1, 1))] * 20, [(0, 0)] * 20, size=SIZE)
    )
    assert compare_detections(empty, empty).min_mask_iou == 1.0
    assert compare_detections(empty, found()).mean_mask_iou == 0.0


def test_a_summary_weighs_detections_alike_and_keeps_the_worst() -> None:
    near = compare_detections(found(), found())
    far = compare_detections(found(11), dataclasses.replace(found(11), boxes=found(11).boxes + np.float32(4)))
    both = summarise([near, far])
    assert both.compared == 19 + 10
    assert both.max_box_difference == 4.0
    assert both.mean_box_difference == pytest.approx(10 / 29 * 4 / 200)


@pytest.mark.parametrize(
    ("changed", "problems"),
    [(0, []), (1, []), (2, ["4 of 30 visible detections have no like, limit 10%"])],
)
def test_integer_graphs_must_find_the_like_of_what_users_see(changed: int, problems: list[str]) -> None:
    """15 have a score of 0.61 or more in each run; two of another class are missing here and extra there."""
    reference = dataclasses.replace(found(), scores=found().scores + np.float32(0.005))
    reference = take(reference, np.setdiff1d(np.arange(20), [15]))
    class_ids = reference.class_ids.copy()
    class_ids[:changed] = 1 - class_ids[:changed]
    other = dataclasses.replace(reference, class_ids=class_ids)
    assert compare_detections(reference, other).problems(quantized=True) == problems


def test_scores_of_integer_graphs_may_move() -> None:
    other = dataclasses.replace(found(), scores=found().scores * np.float32(0.9))
    agreement = compare_detections(found(), other)
    assert agreement.problems() and not agreement.problems(quantized=True)
