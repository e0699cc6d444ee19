"""AP equals pycocotools to the last digit, and stays defined where a data set is odd."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from coco_reference import NAMES, annotated, detections, disturb, pycocotools_scores

from paddlex.metrics.coco_ap import CocoAveragePrecision
from paddlex.structures.masks import MaskCrops
from paddlex.structures.results import Detections

CATEGORY_IDS = (7, 3, 12)
EMPTY_PHOTO = 12


def ellipses(*, images: int = 6, seed: int = 0) -> dict:
    """COCO content with objects of all three sizes, a crowd region a photo, and one photo without objects."""
    rng = np.random.default_rng(seed)
    categories = [{"id": number, "name": f"class {number}"} for number in CATEGORY_IDS]
    content = {"images": [], "annotations": [], "categories": categories}
    for image_id in range(11, 11 + images):
        height, width = 190 + image_id, 260
        content["images"].append(
            {"id": image_id, "height": height, "width": width, "file_name": f"{image_id}"}
        )
        ys, xs = np.mgrid[:height, :width]
        for k in range(0 if image_id == EMPTY_PHOTO else 9):
            radius = (rng.uniform(4, 12), rng.uniform(18, 40), rng.uniform(60, 90))[k % 3]
            cy, cx = rng.uniform(0, height), rng.uniform(0, width)
            masks = MaskCrops.from_dense(((ys - cy) ** 2 + (xs - cx) ** 2 <= radius**2)[None])
            x0, y0, x1, y1 = masks.boxes()[0].tolist()
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": image_id,
                    "category_id": CATEGORY_IDS[int(rng.integers(3))],
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "segmentation": masks.to_rles()[0],
                    "area": float(masks.area()[0]),
                    "iscrowd": int(k == 5),
                }
            )
    return content


def evaluate(content: dict, detect: Callable[[int], Detections]) -> CocoAveragePrecision:
    metric = CocoAveragePrecision(ground_truth=content)
    for image in content["images"]:
        metric.update(image_id=image["id"], detections=detect(image["id"]))
    return metric


def evaluate_disturbed(content: dict, *, seed: int = 0) -> CocoAveragePrecision:
    classes = len(content["categories"])
    return evaluate(
        content, lambda i: disturb(annotated(content, i), num_classes=classes, seed=i + 1000 * seed)
    )


def assert_equals_pycocotools(content: dict, metric: CocoAveragePrecision) -> None:
    scores = metric.compute()
    for iou_type, prefix in (("segm", ""), ("bbox", "bbox_")):
        expected = pycocotools_scores(content, metric.results(iou_type), iou_type)
        found = {name: scores[prefix + name] for name in NAMES}
        # The tables are equal bit for bit; summing them up in another order costs a last digit.
        assert found == pytest.approx(expected, abs=0, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("seed", range(4))
def test_ap_equals_pycocotools_on_generated_photos(seed: int) -> None:
    content = ellipses(seed=seed)
    metric = evaluate_disturbed(content, seed=seed)
    assert_equals_pycocotools(content, metric)
    assert 0.05 < metric.compute()["AP"] < 0.95


@pytest.mark.parametrize("name", ["nuts_ins", "coco_mini_ins"])
def test_ap_equals_pycocotools_on_photo_annotations(shared_data: Path, name: str) -> None:
    content = json.loads(
        (shared_data / name / "annotations" / "instance_val.json").read_text(encoding="utf-8")
    )
    assert_equals_pycocotools(content, evaluate_disturbed(content))


def test_more_than_a_hundred_detections_keep_the_best_hundred() -> None:
    content = ellipses(images=1)
    parts = [disturb(annotated(content, 11), num_classes=3, seed=seed) for seed in range(12)]
    size = parts[0].masks.size
    many = detections(
        MaskCrops.from_rles([rle for part in parts for rle in part.masks.to_rles()], size=size),
        np.zeros(sum(map(len, parts))),
        np.concatenate([part.scores for part in parts]),
    )
    assert len(many) > 100
    assert_equals_pycocotools(content, evaluate(content, lambda _: many))


def test_perfect_detections_score_one() -> None:
    content = ellipses()
    scores = evaluate(content, lambda i: annotated(content, i)).compute()
    assert scores["AP"] == scores["bbox_AP"] == pytest.approx(1.0)


def test_empty_dt_scores_zero() -> None:
    content = ellipses()
    scores = evaluate(content, lambda i: Detections.empty(annotated(content, i).masks.size)).compute()
    assert scores["AP"] == scores["bbox_AP"] == scores["AR100"] == 0.0


def test_photos_never_taken_in_count_as_missed() -> None:
    assert CocoAveragePrecision(ground_truth=ellipses()).compute()["AP"] == 0.0


def test_no_area_is_nan_where_no_object_has_that_size() -> None:
    content = ellipses()
    content["annotations"] = [row for row in content["annotations"] if row["area"] >= 96**2]
    scores = evaluate(content, lambda i: annotated(content, i)).compute()
    assert np.isnan(scores["AP_small"]) and np.isnan(scores["AR_medium"])
    assert scores["AP_large"] == pytest.approx(1.0)


def test_no_ground_truth_at_all_is_nan() -> None:
    content = {**ellipses(), "annotations": []}
    assert np.isnan(CocoAveragePrecision(ground_truth=content).compute()["AP"])


def test_detections_on_an_empty_photo_lower_the_score() -> None:
    content = ellipses(images=2)

    def detect(image_id: int) -> Detections:
        truth = annotated(content, image_id)
        if image_id != EMPTY_PHOTO:
            return truth
        strays = MaskCrops.from_crops([np.ones((20, 20))] * 3, [(5, 5)] * 3, size=truth.masks.size)
        return detections(strays, [0, 1, 2], np.full(3, 2.0))

    metric = evaluate(content, detect)
    assert metric.compute()["AP"] < 0.9
    assert_equals_pycocotools(content, metric)


def test_detections_in_a_crowd_are_neither_right_nor_wrong() -> None:
    content = ellipses()
    strays = {}
    for row in content["annotations"]:
        if row["iscrowd"]:
            height, width = row["segmentation"]["size"]
            x, y, w, h = row["bbox"]
            offset = (int(y + h / 2), int(x + w / 2))
            inside = MaskCrops.from_crops([np.ones((2, 2))], [offset], size=(height, width))
            class_id = CATEGORY_IDS.index(row["category_id"])
            strays[row["image_id"]] = detections(inside, [class_id], [2.0])

    def detect(image_id: int) -> Detections:
        truth = annotated(content, image_id, crowd=False)
        if image_id not in strays:
            return truth
        stray = strays[image_id]
        return detections(
            MaskCrops.from_rles(truth.masks.to_rles() + stray.masks.to_rles(), size=truth.masks.size),
            np.concatenate([truth.class_ids, stray.class_ids]),
            np.concatenate([truth.scores, stray.scores]),
        )

    assert len(strays) == 5
    assert evaluate(content, detect).compute()["AP"] == pytest.approx(1.0)


def test_per_class_ap_follows_the_order_of_the_classes() -> None:
    content = ellipses()

    def only_second_class(image_id: int) -> Detections:
        truth = annotated(content, image_id)
        keep = np.flatnonzero(truth.class_ids == 1)
        return detections(truth.masks[keep], truth.class_ids[keep], truth.scores[keep], truth.boxes[keep])

    metric = evaluate(content, only_second_class)
    metric.compute()
    assert metric.tables["segm"].per_class().tolist() == pytest.approx([0.0, 1.0, 0.0])
    recall, precision = metric.tables["segm"].curves(iou=0.75)
    assert recall.shape == (101,) and precision.shape == (101, 3)
    assert precision[:, 1].min() == 1.0 and precision[:, 0].max() == 0.0


def test_a_class_without_ground_truth_has_no_ap_and_no_curve() -> None:
    content = ellipses()
    content["annotations"] = [row for row in content["annotations"] if row["category_id"] != 3]
    metric = evaluate(content, lambda i: annotated(content, i))
    assert metric.compute()["AP"] == pytest.approx(1.0)
    assert np.isnan(metric.tables["segm"].per_class()).tolist() == [False, True, False]
    assert np.isnan(metric.tables["segm"].curves(iou=0.5)[1][:, 1]).all()


def test_reset_forgets_all_detections() -> None:
    metric = evaluate_disturbed(ellipses())
    metric.reset()
    assert metric.compute()["AP"] == 0.0 and metric.results("segm") == []


def test_computing_twice_gives_the_same_and_leaves_the_ground_truth_alone() -> None:
    content = ellipses()
    before = copy.deepcopy(content)
    metric = evaluate_disturbed(content)
    assert metric.compute() == metric.compute()
    assert content == before


def test_compute_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    evaluate_disturbed(ellipses()).compute()
    assert capfd.readouterr() == ("", "")


def test_results_survive_json() -> None:
    content = ellipses()
    metric = evaluate_disturbed(content)
    saved = json.loads(json.dumps(metric.results("segm")))
    assert pycocotools_scores(content, saved, "segm")["AP"] == pytest.approx(
        metric.compute()["AP"], rel=1e-12
    )
