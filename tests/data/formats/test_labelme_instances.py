"""From shapes to objects and back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from labelme_samples import SIZE, SQUARE, TRIANGLE, shape, write_labelme_json
from pycocotools import mask as coco_mask

from paddlex.data.formats.findings import Findings
from paddlex.data.formats.labelme import read_labelme, write_labelme
from paddlex.data.formats.labelme_instances import gather_instances, instances_to_masks, instances_to_shapes
from paddlex.data.formats.labelme_shapes import encode_mask
from paddlex.structures.masks import MaskCrops


def gather(tmp_path, shapes):
    findings = Findings("a.json")
    file = read_labelme(write_labelme_json(tmp_path / "a.json", shapes))
    return gather_instances(file.shapes, size=SIZE, findings=findings), findings


def mask_shape(mask, *, y, x, **fields):
    corners = [[x, y], [x + mask.shape[1] - 1, y + mask.shape[0] - 1]]
    return shape(points=corners, shape_type="mask", mask=encode_mask(mask), **fields)


def test_parts_of_one_group_are_one_object(tmp_path):
    shapes = [shape(group_id=1), shape("dog", TRIANGLE), shape(points=TRIANGLE, group_id=1)]
    instances, _ = gather(tmp_path, shapes)
    assert [(i.label, i.numbers) for i in instances] == [("cat", (1, 3)), ("dog", (2,))]
    assert instances[0].segmentation() == [np.ravel(SQUARE).tolist(), np.ravel(TRIANGLE).tolist()]


def test_overlapping_parts_count_their_pixels_once(tmp_path):
    (instance,), _ = gather(tmp_path, [shape(group_id=0), shape(group_id=0)])
    # LabelMe's rule counts the outline: 21 x 21 pixels.
    assert instance.area_and_box() == (441.0, [10.0, 8.0, 21.0, 21.0])
    assert instance.mask().area()[0] == 400


def test_one_group_of_two_labels_is_two_objects_and_a_warning(tmp_path):
    instances, findings = gather(tmp_path, [shape("cat", group_id=1), shape("dog", TRIANGLE, group_id=1)])
    assert [instance.label for instance in instances] == ["cat", "dog"]
    assert findings.warnings[0].startswith("a.json, shape 2: group_id 1 joins 'dog' to 'cat'")


@pytest.mark.parametrize("label", ["__ignore__", "_background_", "__background__"])
def test_special_labels_are_no_objects(tmp_path, label):
    instances, findings = gather(tmp_path, [shape(label), shape()])
    assert [instance.label for instance in instances] == ["cat"]
    assert not findings.warnings


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (shape(points=[[1, 1], [9, 9]], shape_type="line"), "a line has no area"),
        (shape(points=[[1, 1], [9, 9], [9, 1]], shape_type="linestrip"), "a linestrip has no area"),
        (shape(points=[[1, 1]], shape_type="point"), "a point has no area"),
        (shape(points=[]), "fewer than 3 points"),
        (shape(points=[[1, 1], [9, 9]]), "fewer than 3 points"),
        (shape(points=[[1, 1]], shape_type="circle"), "a circle of 1 points"),
        (shape(points=SQUARE[:3], shape_type="rectangle"), "a rectangle of 3 points"),
        (shape(points=[[5, 5], [9, 5], [13, 5]]), "covers no pixel"),
        (shape(points=[[5, 5], [5, 5], [5, 5]]), "covers no pixel"),
        (shape(points=[[5, 5], [5, 9]], shape_type="rectangle"), "covers no pixel"),
        (shape(points=[[5, 5], [5, 5]], shape_type="circle"), "covers no pixel"),
        (shape(points=[[70, 5], [90, 5], [90, 30]]), "covers no pixel"),
        (mask_shape(np.zeros((3, 3), dtype=bool), y=2, x=2), "covers no pixel"),
        (mask_shape(np.ones((3, 3), dtype=bool), y=60, x=2), "covers no pixel"),
    ],
)
def test_slips_of_the_hand_are_left_out_with_a_warning(tmp_path, entry, reason):
    instances, findings = gather(tmp_path, [entry, shape()])
    assert [instance.numbers for instance in instances] == [(2,)]
    (line,) = findings.warnings
    assert line.startswith("a.json, shape 1: ")
    assert reason in line
    assert line.endswith("left out")


def test_what_reaches_outside_is_cut_at_the_border(tmp_path):
    (instance,), findings = gather(tmp_path, [shape(points=[[50, 40], [90, 40], [90, 90], [50, 90]])])
    assert sorted(zip(*[iter(instance.segmentation()[0])] * 2, strict=True)) == [
        (50, 40),
        (50, 48),
        (64, 40),
        (64, 48),
    ]
    assert instance.mask().area()[0] == 14 * 8
    assert "cut at its border" in findings.warnings[0]


def test_a_self_crossing_polygon_is_kept_as_drawn(tmp_path):
    bow_tie = [[10, 10], [30, 30], [30, 10], [10, 30]]
    (instance,), findings = gather(tmp_path, [shape(points=bow_tie)])
    assert instance.segmentation() == [np.ravel(bow_tie).tolist()]
    assert instance.mask().area()[0] == pytest.approx(200, abs=12)
    assert not findings.warnings


def test_a_painted_mask_is_placed_at_its_box_and_traced_exactly(tmp_path):
    mask = np.ones((6, 9), dtype=bool)
    mask[0, 0] = mask[4:, 7:] = False
    (instance,), _ = gather(tmp_path, [mask_shape(mask, y=11, x=20)])
    expected = np.zeros(SIZE, dtype=bool)
    expected[11:17, 20:29] = mask
    traced = MaskCrops.from_polygons([instance.segmentation()], size=SIZE)
    np.testing.assert_array_equal(traced.dense(0), expected)
    assert instance.area_and_box() == (float(mask.sum()), [20.0, 11.0, 9.0, 6.0])


def test_a_painted_mask_with_a_hole_becomes_rle(tmp_path):
    ring = np.ones((12, 12), dtype=bool)
    ring[3:9, 3:9] = False
    (instance,), _ = gather(tmp_path, [mask_shape(ring, y=4, x=4)])
    rle = instance.segmentation()
    assert rle["size"] == list(SIZE)
    assert coco_mask.decode(rle).sum() == ring.sum()


def test_painted_and_drawn_parts_of_one_group_are_united(tmp_path):
    painted = mask_shape(np.ones((5, 5), dtype=bool), y=40, x=50, group_id=4)
    (instance,), _ = gather(tmp_path, [shape(group_id=4), painted])
    assert instance.mask().area()[0] == 400 + 25
    assert len(instance.segmentation()) == 2


# ---------------------------------------------------------------- round trip


def varied_masks():
    """Discs, specks, parts, a ring, a thin line, one pixel, an empty mask."""
    y, x = np.mgrid[:80, :100]
    masks = [(y - 30) ** 2 + (x - 40) ** 2 < r**2 for r in (3, 9, 25)]
    masks += [masks[1] | ((y - 60) ** 2 + (x - 80) ** 2 < 100), masks[2] & ~masks[1]]
    masks += [y == x, (y == 79) & (x == 99), np.zeros((80, 100), dtype=bool)]
    noise = cv2.GaussianBlur(np.random.default_rng(0).random((80, 100)), (0, 0), 2.0)
    return MaskCrops.from_dense(np.stack([*masks, noise > np.median(noise)]))


@pytest.mark.parametrize("tolerance", [0.0, 1.0, 2.0])
def test_masks_survive_the_way_through_a_file(tmp_path, tolerance):
    masks = varied_masks()
    labels = [f"class {index}" for index in range(len(masks))]
    shapes = instances_to_shapes(masks, labels, scores=np.linspace(0, 1, len(masks)), tolerance=tolerance)
    write_labelme(tmp_path / "a.json", image_path="a.jpg", size=masks.size, shapes=shapes)

    findings = Findings("a.json")
    instances = gather_instances(read_labelme(tmp_path / "a.json").shapes, size=masks.size, findings=findings)
    back = instances_to_masks(instances, size=masks.size)
    filled = [index for index, area in enumerate(masks.area()) if area]
    assert [instance.label for instance in instances] == [labels[index] for index in filled]
    assert not findings.warnings
    ious = np.diag(coco_mask.iou(back.to_rles(), masks[filled].to_rles(), [0] * len(filled)))
    assert (ious >= 0.98).all()
    painted = [bool(len(instance.painted)) for instance in instances]
    assert painted == [False] * 4 + [True] + [False] * 2 + [painted[-1]]
    assert (ious[painted] == 1.0).all()


def test_scores_stand_in_the_description():
    shapes = instances_to_shapes(varied_masks()[[0]], ["cat"], scores=[0.87314])
    assert shapes[0].description == "score 0.8731"


def test_only_objects_of_several_parts_get_a_group():
    shapes = instances_to_shapes(varied_masks()[[0, 3]], ["cat", "dog"])
    assert [(s.label, s.group_id) for s in shapes] == [("cat", None), ("dog", 2), ("dog", 2)]
