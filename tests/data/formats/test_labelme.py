"""LabelMe files: reading, the geometry of each kind of shape, and the photo's frame."""

from __future__ import annotations

import base64
import math

import numpy as np
import pytest
from labelme_samples import SIZE, SQUARE, shape, write_labelme_json
from PIL import Image

from paddlex.data.formats.findings import Findings
from paddlex.data.formats.labelme import fit_to_photo, read_labelme, write_labelme
from paddlex.data.formats.labelme_shapes import LabelMeShape, clip_polygon, draw_polygon, encode_mask, outline
from paddlex.utils.errors import FileFormatError
from paddlex.utils.images import ImageHeader, image_header, read_image


def polygon_area(polygon):
    x, y = polygon.T
    return abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
def test_any_usual_encoding_is_read(tmp_path, encoding):
    file = read_labelme(write_labelme_json(tmp_path / "a.json", [shape("榛子")], encoding=encoding))
    assert [s.label for s in file.shapes] == ["榛子"]
    assert file.size == SIZE
    np.testing.assert_array_equal(file.shapes[0].points, SQUARE)


@pytest.mark.parametrize(
    ("written", "read"),
    [("cat", "cat"), (" cat ", "cat"), ("fire engine", "fire engine"), (7, "7"), (7.0, "7"), (7.5, "7.5")],
)
def test_labels_become_text(tmp_path, written, read):
    file = read_labelme(write_labelme_json(tmp_path / "a.json", [shape(written)]))
    assert file.shapes[0].label == read


def test_missing_fields_of_old_versions_take_their_defaults(tmp_path):
    old = {"label": "cat", "points": SQUARE, "line_color": None}
    path = write_labelme_json(tmp_path / "a.json", [old], imageHeight=None, imageWidth=None)
    file = read_labelme(path)
    (only,) = file.shapes
    assert (only.shape_type, only.group_id, only.description, file.size) == ("polygon", None, "", None)


PNG_3X2 = encode_mask(np.ones((2, 3), dtype=bool))


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (shape(""), "label is empty or null"),
        (shape("  "), "label is empty or null"),
        (shape(None), "label is empty or null"),
        (shape("cat\ud800"), "broken characters"),
        (shape(True), "label is bool"),
        (shape(["cat"]), "label is list"),
        (shape(points=[[math.nan, 1], [2, 3], [4, 5]]), "NaN or infinite"),
        (shape(points=[[math.inf, 1], [2, 3], [4, 5]]), "NaN or infinite"),
        (shape(points=[[10**400, 1], [2, 3], [4, 5]]), "NaN or infinite"),
        (shape(points=[[1, 2, 3], [2, 3], [4, 5]]), "not [x, y]"),
        (shape(points=[["a", 1], [2, 3], [4, 5]]), "not [x, y]"),
        (shape(points=[1, 2, 3]), "not [x, y]"),
        (shape(points=None), "no list of points"),
        (shape(shape_type="hexagon"), "unknown shape_type 'hexagon'"),
        ("cat", "the shape is str"),
        (shape(shape_type="mask", points=[[1, 1], [3, 2]]), "without mask data"),
        (shape(shape_type="mask", points=[[1, 1]], mask=PNG_3X2), "1 points, expected 2"),
        (shape(shape_type="mask", points=[[1, 1], [3, 2]], mask="!!"), "no base64 PNG"),
        (shape(shape_type="mask", points=[[1, 1], [3, 2]], mask=PNG_3X2[:40]), "no base64 PNG"),
        (
            shape(shape_type="mask", points=[[1, 1], [30, 20]], mask=PNG_3X2),
            "3 x 2 pixels but its box 30 x 20",
        ),
    ],
)
def test_a_faulty_shape_is_named_and_the_others_are_read(tmp_path, entry, reason):
    path = write_labelme_json(tmp_path / "a.json", [shape(), entry], encoding="ascii")
    findings = Findings("a.json")
    assert len(read_labelme(path, findings=findings).shapes) == 1
    (line,) = findings.errors
    assert line.startswith("a.json, shape 2: ")
    assert reason in line
    with pytest.raises(FileFormatError, match="shape 2"):
        read_labelme(path)


def test_shapes_of_one_fault_share_a_line(tmp_path):
    findings = Findings("a.json")
    read_labelme(
        write_labelme_json(tmp_path / "a.json", [shape(""), shape(), shape(None)]), findings=findings
    )
    assert len(findings.errors) == 1
    assert findings.errors[0].startswith("a.json, shapes 1, 3: ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ('{"shapes": [{"label"', "line 1, column"),
        ("[]", "no list `shapes`"),
        ('{"hello": 1}', "no list `shapes`"),
        ('{"shapes": {}}', "no list `shapes`"),
        ('{"images": [], "annotations": []}', "this is a COCO file"),
        ('{"shapes": [' + "1" * 5000 + "]}", "not valid JSON"),
        ("[" * 100000, "nested too deeply"),
    ],
    ids=["empty", "cut", "list", "other", "shapes object", "coco", "endless number", "deep"],
)
def test_what_is_not_labelme_is_told_in_one_line(tmp_path, text, reason):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=reason) as error:
        read_labelme(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


# ---------------------------------------------------------------- geometry

# Recorded from the reference (Pillow 13.0.0): canvas, points, area, box [x, y, width, height].
REFERENCE_RASTER = {
    "integer rectangle": ((20, 30), [[2, 2], [10, 2], [10, 8], [2, 8]], 63, [2, 2, 9, 7]),
    "fractions": ((20, 30), [[2.5, 2.5], [10.4, 2.6], [10.6, 8.5], [2.49, 8.51]], 63, [2, 2, 9, 7]),
    "whole canvas": ((20, 30), [[0, 0], [29, 0], [29, 19], [0, 19]], 600, [0, 0, 30, 20]),
    "beyond the canvas": ((20, 30), [[-5, -5], [40, 3], [12, 30]], 527, [0, 0, 30, 20]),
    "bow-tie": ((20, 30), [[1, 1], [25, 17], [1, 17], [25, 1]], 225, [1, 1, 25, 17]),
    "line": ((20, 30), [[5, 5], [9, 5], [13, 5]], 9, [5, 5, 9, 1]),
}


@pytest.mark.parametrize("case", REFERENCE_RASTER)
def test_area_and_box_follow_the_reference(case):
    size, points, area, (x, y, width, height) = REFERENCE_RASTER[case]
    mask = draw_polygon(np.array(points, dtype=float), size=size)
    assert mask.area()[0] == pytest.approx(area, rel=0.01)
    assert mask.boxes()[0].tolist() == [x, y, x + width, y + height]


def test_points_far_out_neither_overflow_nor_hang():
    mask = draw_polygon(
        np.array([[-1e300, -1e300], [1e300, -1e300], [1e300, 1e300], [-1e300, 1e300]]), size=SIZE
    )
    assert mask.area()[0] == SIZE[0] * SIZE[1]
    far = np.array([[1e9, 1e9], [2e9, 1e9], [2e9, 2e9]])
    assert draw_polygon(far, size=SIZE).area()[0] == 0
    assert len(clip_polygon(far, size=SIZE)) == 0


def test_clip_keeps_what_is_on_the_canvas():
    square = np.array([[-10.0, -10], [10, -10], [10, 10], [-10, 10]])
    assert polygon_area(clip_polygon(square, size=SIZE)) == 100
    inside = np.array(SQUARE, dtype=float)
    assert clip_polygon(inside, size=SIZE) is inside


@pytest.mark.parametrize(
    "points",
    [[[10, 8], [30, 28]], [[30, 28], [10, 8]], [[30, 8], [10, 28]], SQUARE],
    ids=["as drawn", "reversed", "other diagonal", "four corners"],
)
def test_a_rectangle_is_its_corners_however_drawn(points):
    corners = outline(LabelMeShape("cat", np.array(points, dtype=float), shape_type="rectangle"))
    assert sorted(map(tuple, corners.tolist())) == sorted(map(tuple, SQUARE))
    assert polygon_area(corners) == 400


@pytest.mark.parametrize("shape_type", ["oriented_rectangle", "rotation"])
def test_a_turned_rectangle_keeps_its_corners(shape_type):
    diamond = np.array([[20.0, 10], [30, 20], [20, 30], [10, 20]])
    assert polygon_area(outline(LabelMeShape("cat", diamond, shape_type=shape_type))) == 200


@pytest.mark.parametrize("radius", [0.5, 5.0, 41.0, 2000.0])
def test_a_circle_has_the_area_of_a_circle(radius):
    circle = outline(LabelMeShape("cat", np.array([[20.0, 20], [20 + radius, 20]]), shape_type="circle"))
    np.testing.assert_allclose(np.hypot(*(circle - 20.0).T), radius)
    # A polygon within 0.05 px of the rim lacks at most that band.
    assert polygon_area(circle) == pytest.approx(
        math.pi * radius**2, abs=max(2 * math.pi * radius * 0.05, 0.04)
    )


# ---------------------------------------------------------------- the photo's frame


def header(height, width):
    return ImageHeader(size=(height, width), stored_size=(height, width), orientation=1, format="JPEG")


def read_with_size(tmp_path, shapes, *, size):
    return read_labelme(write_labelme_json(tmp_path / "a.json", shapes, size=size))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("kind", ["polygon", "mask"])
def test_points_of_the_stored_frame_are_turned_with_the_photo(tmp_path, orientation, kind):
    stored = np.zeros((30, 50, 3), dtype=np.uint8)
    stored[4:10, 8:27] = 255  # one white corner, so that no two orientations look alike
    stored[4:7, 8:12] = 0
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "photo.png", exif=exif)
    white = [[12, 4], [27, 4], [27, 10], [8, 10], [8, 7], [12, 7]]
    crop = stored[4:10, 8:27, 0] > 0
    entry = (
        shape(points=white)
        if kind == "polygon"
        else shape(points=[[8, 4], [26, 9]], shape_type="mask", mask=encode_mask(crop))
    )
    findings = Findings("a.json")
    file = read_with_size(tmp_path, [entry], size=(30, 50))
    photo = image_header(tmp_path / "photo.png")
    (turned,) = fit_to_photo(file, header=photo, findings=findings).shapes

    expected = read_image(tmp_path / "photo.png")[:, :, 0] > 0
    canvas = np.zeros_like(expected)
    if turned.mask is None:
        x, y = np.meshgrid(*(np.arange(side) + 0.5 for side in expected.shape[::-1]))
        canvas = _even_odd(turned.points, x, y)
    else:
        x, y = turned.points[0].astype(int)
        canvas[y : y + turned.mask.shape[0], x : x + turned.mask.shape[1]] = turned.mask
    np.testing.assert_array_equal(canvas, expected)
    assert f"EXIF orientation {orientation}" in findings.warnings[0]


def _even_odd(polygon, x, y):
    """Which pixel centres lie inside, by counting crossed edges."""
    inside = np.zeros(x.shape, dtype=bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def test_points_in_the_upright_frame_stay(tmp_path):
    turned_photo = ImageHeader(size=(48, 64), stored_size=(64, 48), orientation=6, format="JPEG")
    findings = Findings("a.json")
    file = fit_to_photo(
        read_with_size(tmp_path, [shape()], size=(48, 64)), header=turned_photo, findings=findings
    )
    np.testing.assert_array_equal(file.shapes[0].points, SQUARE)
    assert not findings.warnings


def test_a_photo_resized_after_drawing_takes_its_points_along(tmp_path):
    findings = Findings("a.json")
    mask = shape(
        points=[[10, 8], [29, 27]], shape_type="mask", mask=encode_mask(np.ones((20, 20), dtype=bool))
    )
    file = read_with_size(tmp_path, [shape(), mask], size=(48, 64))
    polygon, painted = fit_to_photo(file, header=header(24, 32), findings=findings).shapes
    np.testing.assert_array_equal(polygon.points, np.array(SQUARE) / 2)
    assert painted.mask.shape == (10, 10)
    assert painted.points.tolist() == [[5, 4], [14, 13]]
    assert "scaled" in findings.warnings[0]


def test_a_wrong_size_is_mended_when_the_points_fit_the_photo(tmp_path):
    findings = Findings("a.json")
    file = fit_to_photo(
        read_with_size(tmp_path, [shape()], size=(64, 48)), header=header(48, 64), findings=findings
    )
    assert file.size == (48, 64)
    np.testing.assert_array_equal(file.shapes[0].points, SQUARE)
    assert "the photo's size is taken" in findings.warnings[0]


def test_points_beyond_a_cropped_photo_are_an_error(tmp_path):
    findings = Findings("a.json")
    fit_to_photo(read_with_size(tmp_path, [shape()], size=(48, 64)), header=header(20, 64), findings=findings)
    assert "put back the photo" in findings.errors[0]


# ---------------------------------------------------------------- writing


def test_written_files_read_back_the_same(tmp_path):
    mask = np.eye(6, 9, dtype=bool)
    shapes = [
        LabelMeShape("榛子", np.array([[1.25, 2], [3, 4], [5, 0.1]]), group_id=3, description="score 0.5000"),
        LabelMeShape("cat", np.array([[4.0, 2], [12, 7]]), shape_type="mask", mask=mask),
    ]
    write_labelme(tmp_path / "a.json", image_path="..\\images\\a.jpg", size=SIZE, shapes=shapes)
    file = read_labelme(tmp_path / "a.json")
    assert (file.image_path, file.image_data, file.size) == ("../images/a.jpg", None, SIZE)
    for written, read in zip(shapes, file.shapes, strict=True):
        np.testing.assert_array_equal(read.points, written.points)
        assert (read.label, read.group_id, read.description) == (
            written.label,
            written.group_id,
            written.description,
        )
    np.testing.assert_array_equal(file.shapes[1].mask, mask)


def test_masks_are_written_as_one_bit_png():
    content = base64.b64decode(encode_mask(np.ones((4, 4), dtype=bool)))
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert content[24] == 1  # bit depth
