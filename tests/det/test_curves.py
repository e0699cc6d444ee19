"""The charts of a detector's evaluation, from details to files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from data.tiny_coco import TRAIN, edit, write_tiny_coco
from PIL import Image

from paddlex.data.instance_dataset import InstanceDataset
from paddlex.det import coco_error_analysis, draw_pr_curve
from paddlex.det.eval_details import read_eval_details
from paddlex.metrics.coco_ap import CocoAveragePrecision
from paddlex.metrics.coco_errors import error_curves
from paddlex.structures.results import Detections
from paddlex.utils.errors import InputError

BLUE, ORANGE = (0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00)


def _details(*names: str, masks: bool = False) -> dict:
    """One object of each class, found exactly; the last class is not found."""
    square = {"size": [50, 50], "counts": [0, 10] + [40, 10] * 9 + [50 * 50 - 460]}
    places = [{"image_id": 1, "category_id": i, "bbox": [0, 0, 10, 10]} for i in range(len(names))]
    outline = {"segmentation": square}
    found = places[:-1] if len(names) > 1 else places
    details = {
        "gt": {
            "images": [{"id": 1, "height": 50, "width": 50}],
            "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
            "annotations": [{**place, **outline} for place in places],
        },
        "bbox": [{**place, "score": 0.5} for place in found],
    }
    if masks:
        details["mask"] = [{**place, **outline, "score": 0.5} for place in found]
    return details


def _count(path: Path, color: tuple[int, int, int]) -> int:
    with Image.open(path) as image:
        return int((np.asarray(image.convert("RGB")) == color).all(axis=-1).sum())


def test_pr_curves_are_written_for_boxes_and_masks(tmp_path) -> None:
    details = _details("nut", "bolt", masks=True)
    (tmp_path / "eval_details.json").write_text(json.dumps(details))
    assert draw_pr_curve(tmp_path / "eval_details.json", iou_thresh=0.75, save_dir=tmp_path / "out") is None
    names = ["bbox_pr_curve(iou-0.75).png", "segm_pr_curve(iou-0.75).png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    for name in names:
        assert _count(tmp_path / "out" / name, BLUE) > 1000  # nut
        assert _count(tmp_path / "out" / name, ORANGE) > 50  # bolt: along the axis, and no scores


def test_without_masks_there_are_curves_of_boxes_alone(tmp_path) -> None:
    details = _details("nut")
    draw_pr_curve(gt=details["gt"], pred_bbox=details["bbox"], save_dir=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["bbox_pr_curve(iou-0.5).png"]


@pytest.mark.parametrize("iou", [0, 1.1, "0.5", float("nan"), True])
def test_an_overlap_that_is_none_is_refused(iou, tmp_path) -> None:
    details = _details("nut")
    with pytest.raises(InputError, match=r"iou_thresh .*; expected a number in"):
        draw_pr_curve(gt=details["gt"], pred_bbox=details["bbox"], iou_thresh=iou, save_dir=tmp_path)


def test_error_analysis_draws_each_class_the_mean_and_a_comparison(tmp_path) -> None:
    names = ("nut/4", "../螺母", "All", "nut:4")
    details = _details(*names, masks=True)
    coco_error_analysis(
        gt=details["gt"], pred_bbox=details["bbox"], pred_mask=details["mask"], save_dir=tmp_path / "out"
    )
    # Names that a folder cannot hold, or holds already, are told apart by the number of the class.
    files = {"all.png", "classes.png", "nut_4_0.png", "螺母.png", "All_2.png", "nut_4_3.png"}
    assert {path.name for path in (tmp_path / "out" / "bbox").iterdir()} == files
    assert {path.name for path in (tmp_path / "out" / "segm").iterdir()} == files
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    # Found exactly: all of the area is the dark blue of C75. Not found: all of it is the grey of FN.
    dark, grey = (0x08, 0x51, 0x9C), (0xE3, 0xE3, 0xE3)
    found, missed = (tmp_path / "out" / "bbox" / name for name in ("螺母.png", "nut_4_3.png"))
    assert _count(found, dark) > 50 * _count(missed, dark) > 0
    assert _count(missed, grey) > 50 * _count(found, grey) > 0


def test_evaluations_of_data_sets_are_analysed(tmp_path) -> None:
    """What evaluations hand on: ids of the file, polygons, and run lengths of what was found."""
    folder = write_tiny_coco(tmp_path / "tiny")
    edit(folder / TRAIN, lambda content: [one.update(supercategory="shape") for one in content["categories"]])
    dataset = InstanceDataset(folder / "images", folder / TRAIN)
    score = CocoAveragePrecision(ground_truth=dataset.ground_truth())
    for i in range(len(dataset)):
        sample = dataset[i]
        found = Detections(
            boxes=sample.boxes,
            scores=np.full(len(sample.boxes), 0.9, np.float32),
            class_ids=1 - sample.class_ids,  # each taken for the other
            masks=sample.masks,
        )
        score.update(image_id=sample.image_id, detections=found)
    details = read_eval_details(
        gt=dataset.ground_truth(), pred_bbox=score.results("bbox"), pred_mask=score.results("segm")
    )
    for kind in ("bbox", "segm"):
        curves = error_curves(details.ground_truth, details.results[kind], iou_type=kind)
        # Without these confusions nothing is found.
        assert (curves[:6] == 0).all() and (curves[6] == 1).all()
    assert [one["supercategory"] for one in details.ground_truth["categories"]] == ["shape", "shape"]
