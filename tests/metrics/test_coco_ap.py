"""AP equals pycocotools to the last digit, and stays defined where a data set is odd."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from coco_reference import NAMES, annotated_instances, disturb, pycocotools_scores

from paddlex.metrics.coco_ap import CocoAveragePrecision
from paddlex.metrics.instances import AnnotatedInstances, PredictedInstances
from paddlex.structures.masks import MaskCrops
from paddlex.utils.errors import ShapeError

CATEGORY_IDS = (7, 3, 12)


def ellipses(*, images: int = 6, seed: int = 0) -> dict:
    """COCO content with objects of all three sizes, a crowd region, and a photo without objects."""
    rng = np.random.default_rng(seed)
    content = {
        "images": [],
        "annotations": [],
        "categories": [{"id": i, "name": str(i)} for i in CATEGORY_IDS],
    }
    for image_id in range(11, 11 + images):
        height, width = 190 + image_id, 260
        content["images"].append(
            {"id": image_id, "height": height, "width": width, "file_name": f"{image_id}"}
        )
        ys, xs = np.mgrid[:height, :width]
        for k in range(0 if image_id == 12 else 9):
            radius = (rng.uniform(4, 12), rng.uniform(18, 40), rng.uniform(60, 90))[k % 3]
            cy, cx = rng.uniform(0, height), rng.uniform(0, width)
            dense = ((ys - cy) ** 2 + (xs - cx) ** 2 <= radius**2)[None]
            masks = MaskCrops.from_dense(dense)
            x0, y0, x1, y1 = masks.boxes()[0].tolist()
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": image_id,
                    "category_id": CATEGORY_IDS[int(rng.integers(3))],
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "segmentation": masks.to_rles()[0],
                    "area": float(dense.sum()),
                    "iscrowd": int(k == 5),
                }
            )
    return content


def evaluate(content: dict, predict) -> CocoAveragePrecision:
    metric = CocoAveragePrecision(category_ids=[category["id"] for category in content["categories"]])
    for image in content["images"]:
        annotated = annotated_instances(content, image)
        metric.update(image_id=image["id"], predicted=predict(annotated, image["id"]), annotated=annotated)
    return metric


def nothing(annotated: AnnotatedInstances, _: int) -> PredictedInstances:
    return PredictedInstances(
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.float32),
        np.zeros(0, np.int64),
        MaskCrops.empty(annotated.masks.size),
    )


def perfect(annotated: AnnotatedInstances, _: int) -> PredictedInstances:
    return PredictedInstances(annotated.boxes, np.ones(len(annotated)), annotated.class_ids, annotated.masks)


def assert_equals_pycocotools(content: dict, metric: CocoAveragePrecision) -> None:
    scores = metric.compute()
    for iou_type, prefix in (("segm", ""), ("bbox", "bbox_")):
        expected = pycocotools_scores(content, metric.results(iou_type), iou_type)
        assert {name: scores[prefix + name] for name in NAMES} == pytest.approx(
            expected, abs=0, rel=1e-12, nan_ok=True
        )


@pytest.mark.parametrize("seed", range(4))
def test_ap_equals_pycocotools_on_generated_photos(seed: int) -> None:
    content = ellipses(seed=seed)
    metric = evaluate(
        content, lambda annotated, image_id: disturb(annotated, num_classes=3, seed=image_id + 100 * seed)
    )
    assert_equals_pycocotools(content, metric)
    assert 0.05 < metric.compute()["AP"] < 0.95


@pytest.mark.parametrize("name", ["nuts_ins", "coco_mini_ins"])
def test_ap_equals_pycocotools_on_photo_annotations(shared_data: Path, name: str) -> None:
    content = json.loads(
        (shared_data / name / "annotations" / "instance_val.json").read_text(encoding="utf-8")
    )
    metric = evaluate(
        content,
        lambda annotated, image_id: disturb(annotated, num_classes=len(content["categories"]), seed=image_id),
    )
    assert_equals_pycocotools(content, metric)


def test_more_than_a_hundred_detections_keep_the_best_hundred() -> None:
    content = ellipses(images=1)

    def many(annotated: AnnotatedInstances, _: int) -> PredictedInstances:
        parts = [disturb(annotated, num_classes=3, seed=seed) for seed in range(12)]
        return PredictedInstances(
            np.concatenate([p.boxes for p in parts]),
            np.concatenate([p.scores for p in parts]),
            np.zeros(sum(map(len, parts)), np.int64),
            MaskCrops.from_rles([r for p in parts for r in p.masks.to_rles()], size=annotated.masks.size),
        )

    metric = evaluate(content, many)
    assert len(metric.results("segm")) > 100
    assert_equals_pycocotools(content, metric)


def test_perfect_predictions_score_one() -> None:
    content = ellipses()
    scores = evaluate(content, lambda annotated, i: perfect(annotated, i)).compute()
    assert scores["AP"] == scores["bbox_AP"] == pytest.approx(1.0)


def test_empty_dt_scores_zero() -> None:
    scores = evaluate(ellipses(), nothing).compute()
    assert scores["AP"] == scores["bbox_AP"] == scores["AR100"] == 0.0


def test_no_area_is_nan_where_no_object_has_that_size() -> None:
    content = ellipses()
    content["annotations"] = [row for row in content["annotations"] if row["area"] >= 96**2]
    scores = evaluate(content, perfect).compute()
    assert np.isnan(scores["AP_small"]) and np.isnan(scores["AR_medium"])
    assert scores["AP_large"] == pytest.approx(1.0)


def test_no_ground_truth_at_all_is_nan() -> None:
    content = {**ellipses(), "annotations": []}
    assert np.isnan(evaluate(content, nothing).compute()["AP"])


def test_detections_on_an_empty_photo_lower_the_score() -> None:
    content = ellipses(images=2)  # the second has no objects

    def strays(annotated: AnnotatedInstances, image_id: int) -> PredictedInstances:
        if len(annotated):
            return perfect(annotated, image_id)
        masks = MaskCrops.from_crops([np.ones((20, 20))] * 3, [(5, 5)] * 3, size=annotated.masks.size)
        return PredictedInstances(masks.boxes(), np.full(3, 2.0), np.arange(3), masks)

    assert evaluate(content, strays).compute()["AP"] < 0.9
    assert_equals_pycocotools(content, evaluate(content, strays))


def test_predictions_in_a_crowd_are_neither_right_nor_wrong() -> None:
    size = (60, 80)
    masks = MaskCrops.from_crops([np.ones((10, 10)), np.ones((30, 30))], [(2, 2), (20, 40)], size=size)
    annotated = AnnotatedInstances(
        masks.boxes().astype(np.float64),
        np.zeros(2, np.int64),
        masks,
        np.array([False, True]),
        np.array([100.0, 900.0]),
    )
    found = MaskCrops.from_crops([np.ones((10, 10)), np.ones((8, 8))], [(2, 2), (25, 45)], size=size)
    metric = CocoAveragePrecision(category_ids=[1])
    predicted = PredictedInstances(found.boxes(), np.array([0.5, 0.9]), np.zeros(2, np.int64), found)
    metric.update(image_id=1, predicted=predicted, annotated=annotated)
    assert metric.compute()["AP"] == pytest.approx(1.0)


def test_per_class_ap_follows_the_order_of_the_classes() -> None:
    content = ellipses()
    metric = evaluate(content, lambda annotated, i: _only_class(perfect(annotated, i), 1))
    metric.compute()
    assert metric.tables["segm"].per_class().tolist() == pytest.approx([0.0, 1.0, 0.0])
    recall, precision = metric.tables["segm"].curves(iou=0.75)
    assert recall.shape == (101,) and precision.shape == (101, 3)
    assert precision[:, 1].min() == 1.0 and precision[:, 0].max() == 0.0


def _only_class(predicted: PredictedInstances, class_id: int) -> PredictedInstances:
    keep = np.flatnonzero(predicted.class_ids == class_id)
    return PredictedInstances(
        predicted.boxes[keep], predicted.scores[keep], predicted.class_ids[keep], predicted.masks[keep]
    )


def test_reset_forgets_all_photos() -> None:
    metric = evaluate(ellipses(), perfect)
    metric.reset()
    assert np.isnan(metric.compute()["AP"])


def test_compute_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    evaluate(ellipses(), perfect).compute()
    assert capfd.readouterr() == ("", "")


def test_results_in_the_saved_form_give_the_same_scores() -> None:
    content = ellipses()
    metric = evaluate(content, lambda annotated, i: disturb(annotated, num_classes=3, seed=i))
    saved = json.loads(json.dumps(metric.results("segm")))
    assert pycocotools_scores(content, saved, "segm")["AP"] == metric.compute()["AP"]


def test_instances_of_different_counts_are_refused() -> None:
    masks = MaskCrops.empty((4, 4))
    with pytest.raises(ShapeError, match=r"scores \(2,\) for 0 masks; expected \(0,\)"):
        PredictedInstances(np.zeros((0, 4)), np.zeros(2), np.zeros(0, np.int64), masks)
