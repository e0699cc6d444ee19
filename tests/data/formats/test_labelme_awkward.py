"""LabelMe files of practice: each converts to the objects a person sees in it, or is told in one clear line.

The counts are those of the collection's own description, checked against the files by hand.
"""

from __future__ import annotations

import logging
import shutil

import numpy as np
import pytest
from labelme_samples import listing, read_coco, shape, write_labelme_json, write_photo

from paddlex.data.formats.labelme_to_coco import convert_labelme_to_coco
from paddlex.structures.masks import MaskCrops
from paddlex.utils.errors import ConvertFailedError

# Objects by class; what is left out or mended is in the third column, by what its one line says.
CONVERTS = {
    "v3.16.2_imagedata": ({"hazelnut": 4, "fig": 4, "date": 5}, []),
    "v4.0.0_group_id": ({"person": 4, "chair": 1, "sofa": 1}, []),
    "v4.0.0_rectangles": ({"person": 4}, []),
    "v4.5.13_imagedata": ({"date": 6, "hazelnut": 4, "fig": 2}, []),
    "v5.5.0_mask": ({"date": 3, "hazelnut": 1}, []),
    "v5.7.0_primitives": (
        {"rectangle": 2, "circle": 1, "polygon": 1, "octagon": 1},
        ["shape 5: a line", "shape 6: a point", "shape 7: a linestrip"],
    ),
    "v6.3.1_all_shapes": (
        {"date": 3, "hazelnut": 1},
        ["shape 6: a line", "shape 7: a point", "shape 8: a linestrip"],
    ),
    "v6.3.1_imagedata": ({"date": 6, "hazelnut": 4, "fig": 2}, []),
    "exif_upright_points": ({"date": 6, "hazelnut": 4, "fig": 2}, []),
    "windows_backslash": ({"date": 6, "hazelnut": 4, "fig": 2}, []),
    "windows_absolute": ({"date": 6, "hazelnut": 4, "fig": 2}, []),
    "bare_name": ({"date": 6, "hazelnut": 4, "fig": 2}, []),
    "nonascii": ({"date": 6, "榛子": 4, "fig": 2}, []),
    "no_shapes": ({}, []),
    "two_points": ({"date": 1, "hazelnut": 1}, ["shapes 1, 2, 3: a polygon of fewer than 3 points"]),
    "zero_area": ({"date": 1, "hazelnut": 1}, ["shapes 1, 2: covers no pixel"]),
    "out_of_bounds": (
        {"date": 2, "fig": 1},
        ["shapes 1, 2: reaches outside the photo", "shape 3: covers no pixel"],
    ),
    "self_crossing": ({"date": 2}, []),
    "rectangle_reversed": ({"date": 1, "fig": 1}, []),
    "size_null": ({"date": 6, "hazelnut": 4, "fig": 2}, []),
    "size_wrong": ({"date": 6, "hazelnut": 4, "fig": 2}, ["says 600 x 800 pixels, the photo has 800 x 600"]),
    "no_shape_type": ({"date": 6, "hazelnut": 4, "fig": 2}, []),
    "special_labels": ({"date-1": 1, "date": 1}, []),
    "bom": ({"date": 6, "hazelnut": 4, "fig": 2}, []),
    "gbk": ({"榛子": 1}, []),
}
REFUSED = {
    "missing_image": ": photo '../images/no_such_photo.jpg' is not in the data set; put it into images/",
    "nan": ", shapes 1, 2: a point is NaN or infinite; draw the shape anew or delete it",
    "unknown_shape": ", shape 1: unknown shape_type 'hexagon'",
    "label_empty_number": ", shapes 1, 3: the label is empty or null; name the shape in LabelMe",
    "cut": ": not valid JSON at line 1, column 401",
    "empty": ": the file is empty",
    "not_labelme": ": not a LabelMe file (no list `shapes`)",
}


@pytest.fixture
def awkward(shared_data, tmp_path):
    """A function that lays one case out as a data set, together with a sound photo of class `cat`."""

    def lay_out(case):
        source = shared_data / "awkward"
        for photo in ("nuts_05.jpg", "exif_rotated_6.jpg", "照片 é ü 1.jpg"):
            (tmp_path / "images").mkdir(exist_ok=True)
            shutil.copyfile(source / "images" / photo, tmp_path / "images" / photo)
        write_photo(tmp_path / "images" / "sound.jpg")
        write_labelme_json(tmp_path / "annotations" / "sound.json", [shape()])
        for photo in (source / "labelme").glob("*.jpg"):
            shutil.copyfile(photo, tmp_path / "annotations" / photo.name)
        shutil.copyfile(source / "labelme" / f"{case}.json", tmp_path / "annotations" / f"{case}.json")
        (tmp_path / "train_anno_list.txt").write_text(f"annotations/{case}.json\n")
        (tmp_path / "val_anno_list.txt").write_text("annotations/sound.json\n")
        return tmp_path

    return lay_out


@pytest.mark.parametrize("case", CONVERTS)
def test_case_converts(awkward, case, caplog):
    root = awkward(case)
    before = listing(root)
    objects, told = CONVERTS[case]
    with caplog.at_level(logging.WARNING, logger="paddlex"):
        summary = convert_labelme_to_coco(root)
    train = read_coco(root, "train")
    names = {category["id"]: category["name"] for category in train["categories"]}
    labels = [names[annotation["category_id"]] for annotation in train["annotations"]]
    assert {label: labels.count(label) for label in labels} == objects
    assert len(summary.warnings) == len(told)
    for line, part in zip(summary.warnings, told, strict=True):
        assert line.startswith(f"annotations/{case}.json")
        assert part in line
    assert caplog.messages == list(summary.warnings)

    (image,) = train["images"]
    assert (root / "images" / image["file_name"]).is_file()
    size = image["height"], image["width"]
    segmentations = [annotation["segmentation"] for annotation in train["annotations"]]
    assert (MaskCrops.from_polygons(segmentations, size=size).area() > 0).all()
    after = listing(root)
    assert {path: after[path] for path in before} == before, "no file of the user is touched"


@pytest.mark.parametrize("case", REFUSED)
def test_case_is_refused_in_one_line(awkward, case):
    root = awkward(case)
    before = listing(root)
    with pytest.raises(ConvertFailedError) as error:
        convert_labelme_to_coco(root)
    (problem,) = error.value.problems
    assert problem.startswith(f"annotations/{case}.json{REFUSED[case]}")
    assert "\n" not in problem
    assert listing(root) == before


def test_no_case_is_left_untested(shared_data):
    cases = {path.stem for path in (shared_data / "awkward" / "labelme").glob("*.json")}
    assert cases == CONVERTS.keys() | REFUSED.keys()


def test_all_cases_at_once_tell_exactly_the_refused_ones(awkward, shared_data):
    root = awkward("bom")
    for path in (shared_data / "awkward" / "labelme").glob("*.json"):
        shutil.copyfile(path, root / "annotations" / path.name)
    (root / "train_anno_list.txt").unlink()
    (root / "val_anno_list.txt").unlink()
    before = listing(root)
    with pytest.raises(ConvertFailedError) as error:
        convert_labelme_to_coco(root)
    assert len(error.value.problems) == len(REFUSED)
    assert listing(root) == before


def test_masks_of_labelme_5_and_6_lie_where_the_hand_drew_the_same_object(awkward):
    """Both writers stored the first polygon of the plain file as a mask shape."""
    masks = {}
    for case in ("bare_name", "v5.5.0_mask", "v6.3.1_all_shapes"):
        root = awkward(case)
        convert_labelme_to_coco(root)
        first = read_coco(root, "train")["annotations"][0]["segmentation"]
        masks[case] = MaskCrops.from_polygons([first], size=(600, 800)).dense(0)
    np.testing.assert_array_equal(masks["v5.5.0_mask"], masks["v6.3.1_all_shapes"])
    drawn, painted = masks["bare_name"], masks["v5.5.0_mask"]
    assert (drawn & painted).sum() / (drawn | painted).sum() > 0.97
