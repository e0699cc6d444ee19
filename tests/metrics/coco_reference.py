"""pycocotools as the judge, and predictions made by disturbing annotations."""

from __future__ import annotations

import contextlib
import copy
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from paddlex.metrics.instances import AnnotatedInstances, PredictedInstances
from paddlex.structures.masks import MaskCrops

NAMES = "AP AP50 AP75 AP_small AP_medium AP_large AR1 AR10 AR100 AR_small AR_medium AR_large".split()


def pycocotools_scores(content: dict, results: list[dict], iou_type: str) -> dict[str, float]:
    """The twelve numbers as pycocotools computes them; its -1 as NaN."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(content)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(results)), iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {
        name: np.nan if value == -1 else value for name, value in zip(NAMES, evaluation.stats, strict=True)
    }


def annotated_instances(content: dict, image: dict) -> AnnotatedInstances:
    """One photo's annotations, straight from the COCO content."""
    classes = {category["id"]: i for i, category in enumerate(content["categories"])}
    rows = [row for row in content["annotations"] if row["image_id"] == image["id"]]
    size = (image["height"], image["width"])
    boxes = np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    rles = [
        row["segmentation"]
        if isinstance(row["segmentation"], dict)
        else MaskCrops.from_polygons([row["segmentation"]], size=size).to_rles()[0]
        for row in rows
    ]
    return AnnotatedInstances(
        boxes=boxes,
        class_ids=np.array([classes[row["category_id"]] for row in rows], np.int64),
        masks=MaskCrops.from_rles(rles, size=size),
        crowd=np.array([row["iscrowd"] == 1 for row in rows], bool),
        areas=np.array([row["area"] for row in rows], np.float64),
    )


def disturb(annotated: AnnotatedInstances, *, num_classes: int, seed: int) -> PredictedInstances:
    """Predictions with every kind of fault: moved, twice, missing, of another class, in the background."""
    rng = np.random.default_rng(seed)
    count, (height, width) = len(annotated), annotated.masks.size
    chosen = rng.permutation(np.repeat(np.arange(count), 2))[: int(1.6 * count)]
    moved = [annotated.masks[[i]].place(size=(height, width), y=y, x=x)
             for i, (y, x) in zip(chosen, rng.integers(-6, 7, (len(chosen), 2)), strict=True)]  # fmt: skip
    stray = np.zeros((3, height, width), bool)
    for mask in stray:
        y, x = rng.integers(0, height - 8), rng.integers(0, width - 8)
        mask[y : y + rng.integers(4, 40), x : x + rng.integers(4, 40)] = True
    masks = MaskCrops.from_rles(
        [rle for part in moved for rle in part.to_rles()] + MaskCrops.from_dense(stray).to_rles(),
        size=(height, width),
    )
    class_ids = np.concatenate([annotated.class_ids[chosen], rng.integers(0, num_classes, 3)])
    wrong = rng.random(len(masks)) < 0.15
    return PredictedInstances(
        boxes=masks.boxes() + rng.uniform(-2, 2, (len(masks), 4)).astype(np.float32),
        scores=np.round(rng.random(len(masks)), 2).astype(np.float32),  # rounded: equal scores occur
        class_ids=np.where(wrong, rng.integers(0, num_classes, len(masks)), class_ids),
        masks=masks,
    )
