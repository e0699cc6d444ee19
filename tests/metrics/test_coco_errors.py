"""What errors cost: one photo with a detection of each kind, curves by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from paddlex.metrics.coco_errors import ERROR_STAGES, error_curves

CATEGORIES = [
    {"id": 3, "name": "apple", "supercategory": "fruit"},
    {"id": 1, "name": "pear", "supercategory": "fruit"},
    {"id": 2, "name": "saw", "supercategory": "tool"},
    {"id": 9, "name": "stone"},
]
# Four apples in a column, one object of each other class in the next.
APPLES = [[0, 0, 10, 10], [0, 20, 10, 10], [0, 40, 10, 10], [0, 60, 10, 10]]
PEAR, SAW, STONE = [40, 0, 10, 10], [40, 20, 10, 10], [40, 40, 10, 10]


def _shape(box: list[float]) -> dict:
    """A box as box and as mask; 100 x 100 pixels."""
    x, y, w, h = box
    canvas = np.zeros((100, 100), np.uint8, order="F")
    canvas[y : y + h, x : x + w] = 1
    return {"bbox": box, "area": w * h, "segmentation": coco_mask.encode(canvas)}


def _truth(*objects: tuple[int, list[float]]) -> dict:
    return {
        "images": [{"id": 7, "height": 100, "width": 100}],
        "categories": CATEGORIES,
        "annotations": [
            {"id": i, "image_id": 7, "category_id": category_id, "iscrowd": 0, **_shape(box)}
            for i, (category_id, box) in enumerate(objects, start=1)
        ],
    }


def _found(kind: str, *detections: tuple[int, list[float]]) -> list[dict]:
    """Detections with falling scores."""
    key = "bbox" if kind == "bbox" else "segmentation"
    return [
        {"image_id": 7, "category_id": category_id, "score": 0.9 - 0.01 * i, key: _shape(box)[key]}
        for i, (category_id, box) in enumerate(detections)
    ]


ALL = _truth(*((3, box) for box in APPLES), (1, PEAR), (2, SAW), (9, STONE))


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_each_stage_forgives_one_kind_more(kind) -> None:
    found = _found(
        kind,
        (3, PEAR),
        (3, SAW),
        (3, [70, 70, 10, 10]),  # background
        (3, [0, 0, 10, 8]),  # IoU 0.8
        (3, [0, 20, 10, 6]),  # IoU 0.6
        (3, [0, 40, 10, 3]),  # IoU 0.3; the fourth apple is not found
    )
    apple = error_curves(ALL, found, iou_type=kind)[:, :, 0]
    # Right ones among all down to the last right one, up to the recall it reaches (of 4 apples).
    expected = {
        "C75": (1 / 4, 0.25),
        "C50": (2 / 5, 0.50),
        "Loc": (3 / 6, 0.75),
        "Sim": (3 / 5, 0.75),
        "Oth": (3 / 4, 0.75),
        "BG": (1.0, 0.75),
        "FN": (1.0, 1.00),
    }
    recall = np.round(np.linspace(0, 1, 101), 2)
    for stage, curve in zip(ERROR_STAGES, apple, strict=True):
        precision, reached = expected[stage]
        np.testing.assert_allclose(curve, np.where(recall <= reached, precision, 0), err_msg=stage)


def test_classes_without_objects_have_no_curve_and_classes_keep_their_order() -> None:
    truth = _truth((2, SAW), (9, STONE))
    curves = error_curves(truth, _found("bbox", (9, STONE)), iou_type="bbox")
    assert np.isnan(curves[:, :, :2]).all()
    assert curves[:, 0, 2].tolist() == [0, 0, 0, 0, 0, 0, 1]  # a saw that is not found
    assert curves[:, 0, 3].tolist() == [1] * 7


def test_several_confusions_with_one_object_are_no_background() -> None:
    found = _found("bbox", (3, PEAR), (3, PEAR), (3, APPLES[0]))
    apple = error_curves(ALL, found, iou_type="bbox")[:, 0, 0]
    assert dict(zip(ERROR_STAGES, apple.tolist(), strict=True)) == pytest.approx(
        {"C75": 1 / 3, "C50": 1 / 3, "Loc": 1 / 3, "Sim": 1, "Oth": 1, "BG": 1, "FN": 1}
    )


def test_a_class_without_supercategory_is_similar_to_none() -> None:
    truth = _truth((9, STONE), (9, APPLES[0]), (3, APPLES[1]))
    truth["categories"] = [{"id": 9, "name": "stone"}, {"id": 3, "name": "apple", "supercategory": None}]
    stone = error_curves(truth, _found("bbox", (9, APPLES[1]), (9, STONE)), iou_type="bbox")[:, 0, 0]
    assert stone.tolist() == [0.5, 0.5, 0.5, 0.5, 1, 1, 1]


def test_repeated_detections_cost_as_background() -> None:
    found = _found("bbox", (3, APPLES[0]), (3, APPLES[0]), (3, APPLES[1]))
    # At recall 0.5: two right of three.
    apple = error_curves(ALL, found, iou_type="bbox")[:, 50, 0]
    assert apple.tolist() == pytest.approx([2 / 3] * 5 + [1, 1])


def test_more_than_100_detections_of_a_class_do_not_count_on_a_photo() -> None:
    found = _found("bbox", *[(3, [70, 70, 10, 10])] * 100, (3, APPLES[0]))
    assert (error_curves(ALL, found, iou_type="bbox")[:6, :, 0] == 0).all()


def test_results_are_not_changed() -> None:
    found = _found("bbox", (3, PEAR), (3, APPLES[0]))
    before = [dict(entry) for entry in found]
    error_curves(ALL, found, iou_type="bbox")
    assert found == before
