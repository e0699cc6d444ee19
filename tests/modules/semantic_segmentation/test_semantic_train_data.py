"""Photos with masks as training gets them: classes, lists, transforms fitted to the crop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_semantic import NAMES, write_pair, write_tiny_semantic

from paddlex.modules.semantic_segmentation.train_data import read_datasets
from paddlex.modules.train_loader import fit_transforms, train_loader
from paddlex.repo_apis.paddle_seg.suite import MODELS
from paddlex.training.options import TrainOptions
from paddlex.utils.errors import DatasetError, DatasetFileNotFoundError

RECIPE = MODELS["DeepLabV3P-ResNet50_vd"].recipe


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_tiny_semantic(tmp_path / "tiny")


def test_classes_are_those_that_the_data_set_names(dataset: Path) -> None:
    train, val = read_datasets(dataset, num_classes=None)
    assert train.class_names == val.class_names == NAMES
    assert (len(train), len(val)) == (4, 2)


def test_without_names_the_masks_tell_how_many_there_are(dataset: Path) -> None:
    (dataset / "labels.txt").unlink()
    label_map = np.zeros((32, 48), np.uint8)
    label_map[0] = 4  # classes 0 to 4, of which 3 occurs nowhere
    with (dataset / "val.txt").open("a") as file:
        file.write(write_pair(dataset, "more", label_map=label_map))
    train, _ = read_datasets(dataset, num_classes=None)
    assert train.class_names == ("class 0", "class 1", "class 2", "class 3", "class 4")
    assert read_datasets(dataset, num_classes=7)[0].num_classes == 7


def test_another_number_of_classes_than_named_is_refused(dataset: Path) -> None:
    with pytest.raises(DatasetError, match=r"num_classes is 2, but the data set has 3 classes \(background"):
        read_datasets(dataset, num_classes=2)


def test_masks_that_hold_no_class_are_refused(tmp_path: Path) -> None:
    nothing = np.full((32, 48), 255, np.uint8)
    for split in ("train", "val"):
        (tmp_path / f"{split}.txt").write_text(write_pair(tmp_path, split, label_map=nothing))
    with pytest.raises(DatasetError, match="no mask holds a class"):
        read_datasets(tmp_path, num_classes=None)


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    object_as_255 = np.zeros((32, 48), np.uint8)
    object_as_255[:16] = 255
    for split in ("train", "val"):
        (tmp_path / f"{split}.txt").write_text(write_pair(tmp_path, split, label_map=object_as_255))
    with pytest.raises(DatasetError, match=r"a single class; expected at least 2, .*run mode check_dataset"):
        read_datasets(tmp_path, num_classes=None)


def test_a_missing_list_is_named_with_the_remedy(dataset: Path) -> None:
    (dataset / "val.txt").unlink()
    with pytest.raises(DatasetFileNotFoundError, match=r"val\.txt: no such file; run mode check_dataset"):
        read_datasets(dataset, num_classes=None)
    with pytest.raises(DatasetFileNotFoundError, match="nowhere: no such folder"):
        read_datasets(dataset / "nowhere", num_classes=None)


# ---------------------------------------------------------------- transforms


def fit(input_size: tuple[int, int], **wishes: bool) -> list[str | list[int]]:
    """Names of the photo transforms, the crop with its size."""
    choices = {"multi_scale": True, "augment": True, **wishes}
    fitted = fit_transforms(
        RECIPE.sample_transforms, recipe_size=RECIPE.input_size, input_size=input_size, **choices
    )
    return [spec.get("RandomPaddingCrop", {}).get("crop_size") or next(iter(spec)) for spec in fitted]


def test_crops_follow_the_input_size() -> None:
    assert fit((256, 512)) == ["ResizeStepScaling", [256, 512], "RandomFlip", "RandomDistort"]


def test_without_multi_scale_crops_keep_the_photos_scale() -> None:
    assert fit((256, 512), multi_scale=False) == [[256, 512], "RandomFlip", "RandomDistort"]


def test_without_augmentation_only_scale_and_place_of_the_crop_are_drawn() -> None:
    assert fit((256, 512), augment=False) == ["ResizeStepScaling", [256, 512]]


def test_batches_are_crops_of_photos_brought_to_the_short_side(dataset: Path) -> None:
    train, _ = read_datasets(dataset, num_classes=None)
    options = TrainOptions(
        iterations=1, batch_size=2, short_side=64, num_workers=0, multi_scale=False, augment=False
    )
    loader = train_loader(train, RECIPE, options, input_size=(64, 96))
    batch = next(iter(loader.epoch(0)))
    assert batch["image"].shape == (2, 3, 64, 96) and batch["label_map"].shape == (2, 64, 96)
    # Photos of 32 x 48 fill the crop: four stripes of 24 columns, doubled by nearest neighbour.
    assert np.array_equal(batch["label_map"][0, 0], np.repeat([0, 1, 2, 255], 24))
