"""A LabelMe folder becomes photos and masks of class indices, or stays exactly as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from labelme_samples import SQUARE, TRIANGLE, listing, make_dataset, shape, write_labelme_json, write_photo
from PIL import Image

from paddlex.data.formats.index_mask import read_mask
from paddlex.data.formats.labelme_shapes import encode_mask
from paddlex.data.formats.labelme_to_masks import convert_labelme_to_masks
from paddlex.data.semantic_dataset import SemanticDataset
from paddlex.utils.errors import ConvertFailedError, DatasetFileNotFoundError

LARGE = [[5, 5], [45, 5], [45, 40], [5, 40]]


def mask_of(root: Path, name: str = "a") -> np.ndarray:
    return read_mask(root / "annotations" / f"{name}.png")


def converted(root: Path, shapes: list, **options) -> np.ndarray:
    """The mask of one photo of 48 x 64 pixels."""
    make_dataset(root, {"a": shapes}, train=["a"], val=[])
    convert_labelme_to_masks(root, **options)
    return mask_of(root)


def test_the_whole_layout_is_written(tmp_path: Path) -> None:
    photos = {"a": [shape("cat"), shape("dog", TRIANGLE)], "b": [shape("bird"), shape("cat", TRIANGLE)]}
    root = make_dataset(tmp_path, photos, train=["a"], val=["b"])
    before = listing(root)
    summary = convert_labelme_to_masks(root)
    after = listing(root)
    assert {path: after[path] for path in before} == before
    assert set(after) - set(before) == {
        "annotations/a.png",
        "annotations/b.png",
        "class_name.txt",
        "class_name_to_id.txt",
        "train.txt",
        "val.txt",
    }
    assert (root / "train.txt").read_text() == "images/a.jpg annotations/a.png\n"
    assert (root / "val.txt").read_text() == "images/b.jpg annotations/b.png\n"
    assert (root / "class_name.txt").read_text() == "_background_\ncat\ndog\nbird\n"
    assert (root / "class_name_to_id.txt").read_text() == "0: _background_\n1: cat\n2: dog\n3: bird\n"
    assert summary.class_names == ("_background_", "cat", "dog", "bird")
    assert (summary.train_images, summary.val_images, summary.is_split) == (1, 1, False)
    assert summary.added_photos == summary.warnings == ()


def test_pixels_are_numbered_from_one_as_labels_appear(tmp_path: Path) -> None:
    mask = converted(tmp_path, [shape("cat"), shape("dog", TRIANGLE)])
    assert mask.shape == (48, 64)
    assert (mask[15, 20], mask[20, 55], mask[0, 0]) == (1, 2, 0)
    # 20 x 20 pixels and their outline.
    assert (mask == 1).sum() == 21 * 21
    with Image.open(tmp_path / "annotations" / "a.png") as image:
        assert image.mode == "P" and image.convert("RGB").getpixel((0, 0)) == (128, 0, 0)


def test_what_is_drawn_later_covers_what_was_before(tmp_path: Path) -> None:
    over = converted(tmp_path / "over", [shape("cat", LARGE), shape("dog", SQUARE)])
    under = converted(tmp_path / "under", [shape("cat", SQUARE), shape("dog", LARGE)])
    assert (over == 2).sum() == 21 * 21
    assert not (under == 1).any() and (under == 2).sum() == 41 * 36


def test_special_labels_are_background_and_ignored(tmp_path: Path) -> None:
    shapes = [shape("cat", LARGE), shape("_background_", SQUARE), shape("__ignore__", TRIANGLE)]
    mask = converted(tmp_path, shapes)
    assert (mask[15, 20], mask[20, 7], mask[20, 55]) == (0, 1, 255)
    assert (tmp_path / "class_name.txt").read_text() == "_background_\ncat\n"


def test_rectangles_circles_and_masks_are_filled(tmp_path: Path) -> None:
    ring = np.ones((12, 12), dtype=bool)
    ring[3:9, 3:9] = False
    shapes = [
        shape("box", [[20, 20], [10, 10]], shape_type="rectangle"),
        shape("disc", [[40, 20], [46, 20]], shape_type="circle"),
        shape("ring", [[20, 30], [31, 41]], shape_type="mask", mask=encode_mask(ring)),
    ]
    mask = converted(tmp_path, shapes)
    assert (mask == 1).sum() == 11 * 11
    assert (mask == 2).sum() == pytest.approx(np.pi * 6.5**2, rel=0.1)
    assert (mask == 3).sum() == ring.sum() and mask[35, 25] == 0


def test_lines_and_slips_are_left_out_with_a_warning(tmp_path: Path) -> None:
    line = shape("cat", [[1, 1], [5, 5]], shape_type="line")
    outside = shape("cat", [[100, 100], [120, 100], [120, 120]])
    root = make_dataset(tmp_path, {"a": [shape(), line, outside]}, train=["a"], val=[])
    warnings = convert_labelme_to_masks(root).warnings
    assert warnings[0].startswith("val_anno_list.txt names no file")
    assert warnings[1:] == (
        "annotations/a.json, shape 2: a line has no area; left out",
        "annotations/a.json, shape 3: covers no pixel of the photo; left out",
    )


def test_two_files_of_one_photo_share_its_mask(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, {"a": [shape("cat")]}, train=["a", "more"], val=[])
    write_labelme_json(
        root / "annotations" / "more.json", [shape("dog", TRIANGLE)], image_path="../images/a.jpg"
    )
    summary = convert_labelme_to_masks(root)
    assert summary.train_images == 1
    assert (mask_of(root)[15, 20], mask_of(root)[20, 55]) == (1, 2)


def test_photos_of_one_stem_get_two_masks(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, {"a": [shape("cat")]}, train=["a", "other"], val=[])
    write_photo(root / "images" / "a.png")
    write_labelme_json(root / "annotations" / "other.json", [shape("dog")], image_path="../images/a.png")
    convert_labelme_to_masks(root)
    assert (mask_of(root, "a")[15, 20], mask_of(root, "a_1")[15, 20]) == (1, 2)


def test_a_photo_beside_its_json_is_not_replaced_by_its_mask(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "annotations" / "a.png")
    write_labelme_json(tmp_path / "annotations" / "a.json", [shape()], image_path="a.png")
    write_photo(tmp_path / "annotations" / "b.png", seed=1)
    write_labelme_json(tmp_path / "annotations" / "b.json", [shape()], image_path="b.png")
    content = photo.read_bytes()
    for _ in range(2):
        convert_labelme_to_masks(tmp_path)
        assert photo.read_bytes() == content == (tmp_path / "images" / "a.png").read_bytes()
        assert mask_of(tmp_path, "a_1").max() == 1


def test_names_with_blanks_are_listed_so_that_they_are_read(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, {"a b": [shape()]}, train=["a b"], val=[])
    convert_labelme_to_masks(root)
    assert len(SemanticDataset(root, num_classes=2)) == 1


def test_without_lists_photos_are_split_and_the_split_is_kept(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, {name: [shape()] for name in "abcde"})
    first = convert_labelme_to_masks(root, seed=1)
    written = listing(root)
    assert (first.train_images, first.val_images, first.is_split) == (4, 1, True)
    assert not convert_labelme_to_masks(root, seed=2).is_split
    assert listing(root) == written


def test_faults_are_told_together_and_change_nothing(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, {"a": [shape("")], "b": [shape(points=[[0, None]])]}, train=["a", "b"])
    before = listing(root)
    with pytest.raises(ConvertFailedError) as error:
        convert_labelme_to_masks(root)
    assert len(error.value.problems) == 2
    assert listing(root) == before


def test_too_many_classes_are_refused(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, {"a": [shape(f"class {i}") for i in range(255)]}, train=["a"], val=[])
    before = listing(root)
    with pytest.raises(ConvertFailedError, match="255 different labels; a mask of 8 bits holds at most 254"):
        convert_labelme_to_masks(root)
    assert listing(root) == before


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetFileNotFoundError, match="no such folder"):
        convert_labelme_to_masks(tmp_path / "nowhere")


def test_photos_of_nuts_convert_wholly(nuts_labelme: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(nuts_labelme, tmp_path / "nuts"))
    summary = convert_labelme_to_masks(root)
    assert summary.class_names == ("_background_", "date", "fig", "hazelnut")
    dataset = SemanticDataset(root, "val.txt", num_classes=4)
    assert (len(dataset), dataset.class_names) == (summary.val_images, summary.class_names)
    assert all(set(np.unique(dataset[i].label_map)) <= {0, 1, 2, 3} for i in range(len(dataset)))


def test_the_committed_masks_are_the_polygons_at_half_size(
    nuts_labelme: Path, nuts_masks: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(nuts_labelme, tmp_path / "nuts"))
    convert_labelme_to_masks(root)
    for name in ("train.txt", "val.txt", "class_name.txt"):
        assert (nuts_masks / name).read_text() == (root / name).read_text()
    masks = sorted((nuts_masks / "annotations").iterdir())
    assert len(masks) == 18
    for mask in masks:
        whole = read_mask(root / "annotations" / mask.name)
        np.testing.assert_array_equal(read_mask(mask), whole[::2, ::2], err_msg=mask.name)
