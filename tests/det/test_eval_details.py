"""Evaluation details come from files of strangers: they are read, or refused in one line."""

from __future__ import annotations

import copy
import json
import random

import numpy as np
import pytest

from paddlex.det import coco_error_analysis, draw_pr_curve
from paddlex.det.eval_details import read_eval_details
from paddlex.metrics.coco_errors import error_curves
from paddlex.utils.errors import FileFormatError, InputError, PaddleXError


def left() -> dict:
    """Left half of a 4 x 4 photo: 8 pixels of it, then 8 of background; columns first."""
    return {"size": [4, 4], "counts": [0, 8, 8]}


DETAILS = {
    "gt": {
        "images": [{"id": "a.jpg", "height": 4, "width": 4}, {"id": 12, "height": 4, "width": 4}],
        "categories": [{"id": 5, "name": "螺母"}, {"id": 2, "name": "bolt", "supercategory": "metal"}],
        "annotations": [
            {"id": 0, "image_id": "a.jpg", "category_id": 5, "bbox": [0, 0, 2, 4], "segmentation": left()},
            {
                "id": 0,
                "image_id": 12,
                "category_id": 2,
                "bbox": [0, 0, 4, 4],
                "area": 16,
                "iscrowd": 0,
                "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]],
            },
        ],
    },
    "bbox": [{"image_id": "a.jpg", "category_id": 5, "bbox": [0, 0, 2, 4], "score": 0.5}],
    "mask": [{"image_id": "a.jpg", "category_id": 5, "segmentation": left(), "score": 0.5}],
}


def changed(path: str, value: object) -> dict:
    """The details with one value replaced; `path` as gt/images/0/id."""
    details = copy.deepcopy(DETAILS)
    *parents, last = [int(key) if key.isdigit() else key for key in path.split("/")]
    place = details
    for key in parents:
        place = place[key]
    place[last] = value
    return details


def read(details: dict) -> None:
    read_eval_details(gt=details.get("gt"), pred_bbox=details.get("bbox"), pred_mask=details.get("mask"))


def test_ids_are_numbered_anew_and_outlines_become_run_lengths() -> None:
    details = read_eval_details(gt=DETAILS["gt"], pred_bbox=DETAILS["bbox"], pred_mask=DETAILS["mask"])
    assert details.class_names == ["螺母", "bolt"]
    first, second = details.ground_truth["annotations"]
    assert (first["id"], first["image_id"], first["category_id"], first["area"]) == (1, 1, 1, 8.0)
    assert (second["id"], second["image_id"], second["category_id"]) == (2, 2, 2)
    assert first["segmentation"] == details.results["segm"][0]["segmentation"]
    assert details.results["bbox"] == [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 4], "score": 0.5}]


def test_details_in_memory_may_hold_arrays_and_bytes() -> None:
    given = {"size": np.array([4, 4]), "counts": b"088"}
    mask = [
        {"image_id": np.int64(12), "category_id": np.int32(2), "segmentation": given, "score": np.float32(1)}
    ]
    box = [{"image_id": 12, "category_id": 2, "bbox": np.array([0.0, 0, 2, 4]), "score": 1}]
    details = read_eval_details(gt=DETAILS["gt"], pred_bbox=box, pred_mask=mask)
    assert details.results["segm"][0]["segmentation"]["counts"] == b"088"


def test_boxes_alone_need_neither_outlines_nor_sizes() -> None:
    truth = copy.deepcopy(DETAILS["gt"])
    for entry in (*truth["images"], *truth["annotations"]):
        for key in ("height", "width", "segmentation"):
            entry.pop(key, None)
    assert list(read_eval_details(gt=truth, pred_bbox=DETAILS["bbox"]).results) == ["bbox"]


def test_the_file_wins_over_the_other_arguments(tmp_path) -> None:
    file = tmp_path / "eval_details.json"
    file.write_text(json.dumps(DETAILS))
    assert len(read_eval_details(file, gt={}, pred_bbox=[]).results) == 2


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("gt", None, r"gt: missing instead of a COCO data set"),
        ("gt/images", [], r"gt.images: empty"),
        ("gt/annotations", None, r"gt.annotations: missing"),
        ("bbox", [], r"bbox: empty; there is nothing to compare"),
        ("bbox/0", "x", r"bbox\[0\]: str instead of an object"),
        ("bbox/0/image_id", 99, r"bbox\[0\]: image_id 99 is not among the 2 gt.images"),
        ("bbox/0/category_id", 1, r"bbox\[0\]: category_id 1 is not in gt.categories, which has 5, 2"),
        ("bbox/0/bbox", [0, 0, 1], r"bbox\[0\]: bbox \[0, 0, 1\]; expected \[x, y, width, height\], finite"),
        ("bbox/0/score", float("nan"), r"bbox\[0\]: score nan; expected a finite number"),
        ("gt/images/1/id", "a.jpg", r"gt.images\[1\]: id 'a.jpg' occurs twice"),
        ("gt/images/1/id", float("nan"), r"gt.images\[1\]: id is float; expected a whole number"),
        ("gt/images/0/height", 10**12, r"gt.images\[0\]: height and width \(1000000000000, 4\)"),
        ("mask/0/segmentation/size", [8, 2], r"mask\[0\]: mask of size \[8, 2\] on a photo of \[4, 4\]"),
        ("mask/0/segmentation/counts", [0, 99], r"mask\[0\]: RLE whose runs do not add up to its size"),
        ("gt/annotations/0/segmentation", None, r"gt.annotations\[0\]: no segmentation, although masks"),
    ],
)
def test_the_first_fault_is_named_in_one_line(path, value, message) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(changed(path, value))
    assert "\n" not in str(caught.value)


def test_crowds_alone_give_nothing_to_compare() -> None:
    details = copy.deepcopy(DETAILS)
    for annotation in details["gt"]["annotations"]:
        annotation["iscrowd"] = 1
    with pytest.raises(InputError, match="crowd regions only"):
        read(details)


@pytest.mark.parametrize("draw", [draw_pr_curve, coco_error_analysis])
def test_drawing_without_details_is_refused(draw, tmp_path) -> None:
    with pytest.raises(InputError, match="neither eval_details_file nor gt and pred_bbox given"):
        draw(save_dir=tmp_path)
    with pytest.raises(InputError, match="bbox: missing"):
        draw(gt=DETAILS["gt"], save_dir=tmp_path)
    with pytest.raises(FileFormatError, match=r"none\.json: cannot be read"):
        draw(tmp_path / "none.json", save_dir=tmp_path)
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(InputError, match=r"list\.json: holds a list"):
        draw(tmp_path / "list.json", save_dir=tmp_path)


JUNK = [
    None,
    True,
    -1,
    0,
    1e308,
    10**30,
    "",
    "x",
    [],
    [[]],
    [1, [2]],
    {},
    {"size": [1, [2]]},
    "\ud800",
    "9" * 99,
]


def _places(value: object, path: tuple = ()) -> list[tuple]:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((*path, key), *_places(value[key], (*path, key)))]


def test_any_replaced_value_is_evaluated_or_refused(tmp_path) -> None:
    rng, refused = random.Random(0), 0
    places = _places(DETAILS)
    file = tmp_path / "eval_details.json"
    for _ in range(400):
        details = copy.deepcopy(DETAILS)
        *parents, last = rng.choice(places)
        place = details
        for key in parents:
            place = place[key]
        place[last] = rng.choice(JUNK)
        file.write_text(json.dumps(details))
        try:
            details = read_eval_details(file)
            for kind, results in details.results.items():
                assert error_curves(details.ground_truth, results, iou_type=kind).shape[:2] == (7, 101)
        except PaddleXError as error:
            assert "\n" not in str(error)
            refused += 1
    assert 200 < refused < 400
