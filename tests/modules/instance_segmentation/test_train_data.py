"""A recipe's transforms follow the input size and the user's wishes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_coco import write_tiny_coco
from tiny_model import tiny_options

from paddlex.modules.instance_segmentation.train_data import read_datasets
from paddlex.modules.train_loader import fit_transforms, train_loader
from paddlex.repo_apis.paddle_detection.suite import MODELS
from paddlex.structures.masks import MaskCrops
from paddlex.structures.shapes import InstanceShapes

RECIPE = MODELS["Mask-RT-DETR-S"].recipe
NORMALIZE = {"NormalizeImage": {"mean": [0.5, 0.5, 0.5]}}
# Of a family whose photos keep their aspect; a deployment as in this list.
KEPT = dataclasses.replace(
    RECIPE,
    input_size=(800, 1333),
    keep_ratio=True,
    masks="shapes",
    sample_transforms=(
        {"RandomShortSideResize": {"short_sides": [640, 672, 800], "max_long_side": 1333}},
        {"RandomFlip": {}},
        NORMALIZE,
    ),
    batch_transforms=({"PadBatch": {"stride": 32}}, {"Permute": None}),
)


def fit(specs: tuple, input_size: tuple[int, int], *, recipe_size: tuple[int, int], **options: bool) -> list:
    choices = {"multi_scale": True, "augment": True, **options}
    return fit_transforms(specs, recipe_size=recipe_size, input_size=input_size, **choices)


def resize(side: int = 640, **options: bool) -> dict:
    fitted = fit(RECIPE.batch_transforms, (side, side), recipe_size=(640, 640), **options)
    assert [next(iter(spec)) for spec in fitted] == ["BatchRandomResize", "NormalizeImage", "Permute"]
    return fitted[0]["BatchRandomResize"]


# ---------------------------------------------------------------- square inputs


def test_at_the_recipes_size_nothing_changes() -> None:
    sizes = [480, 512, 544, 576, 608, 640, 640, 640, 672, 704, 736, 768, 800]
    assert resize() == {"target_sizes": sizes, "random_interp": True}
    same = fit(KEPT.sample_transforms, (800, 1333), recipe_size=(800, 1333))
    assert same == list(KEPT.sample_transforms)


@pytest.mark.parametrize(("side", "least", "most"), [(320, 256, 384), (1280, 960, 1600), (64, 64, 64)])
def test_sizes_scale_to_multiples_of_32(side: int, least: int, most: int) -> None:
    sizes = resize(side)["target_sizes"]
    assert all(size % 32 == 0 for size in sizes)
    assert (min(sizes), max(sizes)) == (least, most)
    assert sizes.count(side) >= 3


def test_one_size_without_multi_scale() -> None:
    assert resize(320, multi_scale=False)["target_sizes"] == [[320, 320]]


def test_without_augmentation_the_interpolation_is_that_of_evaluation() -> None:
    assert resize(augment=False)["random_interp"] is False
    assert resize(augment=False)["interp"] == 2
    assert fit(RECIPE.sample_transforms, (640, 640), recipe_size=(640, 640), augment=False) == []


# ---------------------------------------------------------------- photos that keep their aspect


def test_short_sides_scale_to_multiples_of_8_and_the_long_limit_in_proportion() -> None:
    (kept, *_) = fit(KEPT.sample_transforms, (256, 427), recipe_size=(800, 1333))
    # 640, 672 and 800 times 0.32 are 204.8, 215.04 and 256.
    assert kept["RandomShortSideResize"] == {"short_sides": [208, 216, 256], "max_long_side": 427}


def test_without_multi_scale_or_augmentation_photos_are_resized_all_the_same() -> None:
    plain = fit(KEPT.sample_transforms, (256, 427), recipe_size=(800, 1333), multi_scale=False, augment=False)
    assert plain == [
        {"RandomShortSideResize": {"short_sides": [256], "max_long_side": 427}},
        NORMALIZE,
    ]


def test_a_recipe_that_resizes_each_photo_to_one_size_follows_the_input_size() -> None:
    specs = ({"Resize": {"target_size": [800, 1333], "keep_ratio": True, "interp": 1}},)
    (step,) = fit(specs, (256, 427), recipe_size=(800, 1333))
    assert step == {"Resize": {"target_size": [256, 427], "keep_ratio": True, "interp": 1}}


@pytest.mark.parametrize(
    ("side", "square", "limits"),
    [(None, (640, 640), (800, 1333)), (256, (256, 256), (256, 427)), (1024, (1024, 1024), (1024, 1706))],
)
def test_one_number_stands_for_a_square_or_for_a_short_side(
    side: int | None, square: tuple[int, int], limits: tuple[int, int]
) -> None:
    assert RECIPE.input_size_for(side) == square
    assert KEPT.input_size_for(side) == limits


@pytest.mark.parametrize("augment", [True, False])
def test_batches_of_photos_that_keep_their_aspect(tmp_path: Path, augment: bool) -> None:
    folder = write_tiny_coco(tmp_path / "tiny")
    train, _ = read_datasets(folder, num_classes=2, allow_empty=True, masks=KEPT.masks)
    options = tiny_options(augment=augment, multi_scale=False)
    # Photos of 48 x 64 pixels: the short side reaches 96, the long one 128.
    with train_loader(train, KEPT, options, input_size=(96, 160)) as loader:
        batches = list(loader.epoch(0))
    assert len(batches) == 2
    for batch in batches:
        assert batch["image"].shape == (2, 3, 96, 128)
        assert batch["im_shape"].tolist() == [[96, 128]] * 2
        assert all(isinstance(masks, InstanceShapes) for masks in batch["gt_masks"])
        left = {tuple(boxes[0].tolist()) for boxes in batch["gt_boxes"]}
        as_annotated, mirrored = (8, 20, 48, 60), (80, 20, 120, 60)
        assert left <= ({as_annotated, mirrored} if augment else {as_annotated})


def test_awkward_photos_pass_together(tmp_path: Path) -> None:
    """Elongated, of a few pixels, without objects, with an object mostly outside, with run lengths."""
    photos = [(50, 4000), (4000, 50), (3, 2), (48, 64), (48, 64), (30, 40)]
    boxes = [[10, 5, 3000, 40], [5, 10, 40, 3000], [0, 0, 2, 3], None, [-500, -500, 510, 520], [5, 5, 20, 9]]
    write_awkward(tmp_path, photos=photos, boxes=boxes)
    train, _ = read_datasets(tmp_path, num_classes=1, allow_empty=True, masks="shapes")
    options = tiny_options(batch_size=6, multi_scale=False)
    with train_loader(train, KEPT, options, input_size=(96, 160)) as loader:
        (batch,) = loader.epoch(0)
    content = dict(zip(batch["image_id"], batch["im_shape"].astype(int).tolist(), strict=True))
    # The long side reaches 160 before the short one reaches 96, but where the photo is nearly square.
    assert content == {0: [2, 160], 1: [160, 2], 2: [144, 96], 3: [96, 128], 4: [96, 128], 5: [96, 128]}
    assert batch["image"].shape == (6, 3, 160, 160) and np.isfinite(batch["image"]).all()
    for image_id, boxes_found, masks in zip(
        batch["image_id"], batch["gt_boxes"], batch["gt_masks"], strict=True
    ):
        assert len(boxes_found) == len(masks) == (0 if image_id == 3 else 1)
        assert (boxes_found[:, 2:] > boxes_found[:, :2]).all()
        assert (boxes_found[:, [3, 2]] <= content[image_id]).all() and (boxes_found >= 0).all()
        targets = masks.roi_targets(np.zeros(len(masks), int), boxes_found, resolution=28)
        assert targets.mean(axis=(1, 2)).min(initial=1.0) > 0.9


def write_awkward(folder: Path, *, photos: list[tuple[int, int]], boxes: list[list[int] | None]) -> None:
    """A data set of one class; the last photo's object is given as run lengths."""
    (folder / "images").mkdir()
    (folder / "annotations").mkdir()
    annotations = []
    for number, ((height, width), box) in enumerate(zip(photos, boxes, strict=True)):
        Image.new("RGB", (width, height), (90, 120, 30)).save(folder / "images" / f"{number}.png")
        if box is None:
            continue
        x1, y1, x2, y2 = box
        outline = [[x1, y1, x2, y1, x2, y2, x1, y2]]
        last = number == len(photos) - 1
        annotations.append(
            {
                "id": number + 1,
                "image_id": number,
                "category_id": 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "segmentation": (
                    MaskCrops.from_polygons([outline], size=(height, width)).to_rles()[0] if last else outline
                ),
            }
        )
    content = {
        "images": [
            {"id": number, "file_name": f"{number}.png", "height": height, "width": width}
            for number, (height, width) in enumerate(photos)
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "thing"}],
    }
    for part in ("train", "val"):
        path = folder / "annotations" / f"instance_{part}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
