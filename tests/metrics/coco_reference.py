"""pycocotools as the judge, and detections made by disturbing annotations."""

from __future__ import annotations

import contextlib
import copy
import io

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from paddlex.structures.masks import MaskCrops
from paddlex.structures.results import Detections

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


def detections(masks: MaskCrops, class_ids: object, scores: object, boxes: object = None) -> Detections:
    """Detections of masks; their boxes enclose them unless given."""
    return Detections(
        boxes=np.asarray(masks.boxes() if boxes is None else boxes, np.float32),
        scores=np.asarray(scores, np.float32),
        class_ids=np.asarray(class_ids, np.int64),
        masks=masks,
    )


def annotated(content: dict, image_id: int, *, crowd: bool = True) -> Detections:
    """One photo's annotations as detections of score 1."""
    image = next(image for image in content["images"] if image["id"] == image_id)
    classes = {category["id"]: i for i, category in enumerate(content["categories"])}
    rows = [row for row in content["annotations"] if row["image_id"] == image_id]
    rows = [row for row in rows if crowd or not row["iscrowd"]]
    size = (image["height"], image["width"])
    rles = [
        row["segmentation"]
        if isinstance(row["segmentation"], dict)
        else coco_mask.merge(coco_mask.frPyObjects(row["segmentation"], *size))
        for row in rows
    ]
    boxes = np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    class_ids = [classes[row["category_id"]] for row in rows]
    return detections(MaskCrops.from_rles(rles, size=size), class_ids, np.ones(len(rows)), boxes)


def disturb(truth: Detections, *, num_classes: int, seed: int) -> Detections:
    """Detections with every kind of fault: moved, twice, missing, of another class, in the background."""
    rng = np.random.default_rng(seed)
    count, (height, width) = len(truth), truth.masks.size
    chosen = rng.permutation(np.repeat(np.arange(count), 2))[: int(1.6 * count)]
    crops = [truth.masks.crops[i] for i in chosen]
    offsets = truth.masks.offsets[chosen] + rng.integers(-6, 7, (len(chosen), 2))
    for _ in range(3):
        crops.append(np.ones(rng.integers(4, 40, 2)))
        offsets = np.concatenate([offsets, rng.integers(0, (height - 8, width - 8), (1, 2))])
    masks = MaskCrops.from_crops(crops, offsets.tolist(), size=(height, width))
    class_ids = np.concatenate([truth.class_ids[chosen], rng.integers(0, num_classes, 3)])
    wrong = rng.random(len(masks)) < 0.15
    return detections(
        masks,
        np.where(wrong, rng.integers(0, num_classes, len(masks)), class_ids),
        np.round(rng.random(len(masks)), 2),  # rounded: equal scores occur
        masks.boxes() + rng.uniform(-2, 2, (len(masks), 4)),
    )
