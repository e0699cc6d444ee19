"""Average precision of PASCAL VOC 2007, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from paddlex.metrics.voc_ap import voc_average_precision


def truth(*objects: dict[str, Any]) -> dict[str, Any]:
    return {
        "categories": [{"id": 1, "name": "nut"}],
        "annotations": [{"image_id": 0, "category_id": 1, **entry} for entry in objects],
    }


def box(x: float, score: float, **changes: Any) -> dict[str, Any]:
    return {"image_id": 0, "category_id": 1, "bbox": [x, 0, 9, 9], "score": score, **changes}


def an_object(x: float, **changes: Any) -> dict[str, Any]:
    return {"bbox": [x, 0, 9, 9], **changes}


def test_everything_found_and_nothing_else_is_one() -> None:
    assert voc_average_precision(truth(an_object(0), an_object(50)), [box(0, 0.9), box(50, 0.8)]) == {1: 1.0}


def test_half_found_reaches_the_first_six_of_eleven_recalls() -> None:
    found = voc_average_precision(truth(an_object(0), an_object(50)), [box(0, 0.9)])
    assert found[1] == pytest.approx(6 / 11)


def test_a_second_box_on_an_object_is_wrong() -> None:
    found = voc_average_precision(
        truth(an_object(0), an_object(50)), [box(0, 0.9), box(1, 0.8), box(50, 0.7)]
    )
    # Precision 1 up to recall 0.5, then 2 / 3.
    assert found[1] == pytest.approx((6 + 5 * 2 / 3) / 11)


def test_overlap_counts_whole_pixels() -> None:
    # 10 pixels wide each, 6 and 7 of them shared: 6 / 14 and 7 / 13.
    assert voc_average_precision(truth(an_object(0)), [box(4, 0.9)]) == {1: 0.0}
    assert voc_average_precision(truth(an_object(0)), [box(3, 0.9)]) == {1: 1.0}


def test_difficult_objects_neither_count_nor_harm() -> None:
    data = truth(an_object(0), an_object(50, difficult=1))
    assert voc_average_precision(data, [box(50, 0.9), box(0, 0.8)]) == {1: 1.0}
    assert voc_average_precision(truth(an_object(0, difficult=1)), [box(0, 0.9)]) == {}, "nothing to find"


def test_a_box_on_another_photo_or_of_another_class_finds_nothing() -> None:
    assert voc_average_precision(truth(an_object(0)), [box(0, 0.9, image_id=1)]) == {1: 0.0}
    assert voc_average_precision(truth(an_object(0)), [box(0, 0.9, category_id=2)]) == {1: 0.0}
