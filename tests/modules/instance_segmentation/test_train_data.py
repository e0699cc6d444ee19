"""Multi-scale sizes follow the input size."""

from __future__ import annotations

import pytest

from paddlex.modules.instance_segmentation.train_data import fit_batch_transforms
from paddlex.repo_apis.paddle_detection.suite import MODELS

RECIPE = MODELS["Mask-RT-DETR-S"].recipe


def resize(**options: object) -> dict:
    choices = {"recipe_size": 640, "input_size": 640, "multi_scale": True, "augment": True, **options}
    fitted = fit_batch_transforms(RECIPE.batch_transforms, **choices)
    assert [next(iter(spec)) for spec in fitted] == ["BatchRandomResize", "NormalizeImage", "Permute"]
    return fitted[0]["BatchRandomResize"]


def test_at_the_recipes_size_nothing_changes() -> None:
    sizes = [480, 512, 544, 576, 608, 640, 640, 640, 672, 704, 736, 768, 800]
    assert resize() == {"target_sizes": sizes, "random_interp": True}


@pytest.mark.parametrize(("input_size", "least", "most"), [(320, 256, 384), (1280, 960, 1600), (64, 64, 64)])
def test_sizes_scale_to_multiples_of_32(input_size: int, least: int, most: int) -> None:
    sizes = resize(input_size=input_size)["target_sizes"]
    assert all(size % 32 == 0 for size in sizes)
    assert (min(sizes), max(sizes)) == (least, most)
    assert sizes.count(input_size) >= 3


def test_one_size_without_multi_scale() -> None:
    assert resize(input_size=320, multi_scale=False)["target_sizes"] == [320]


def test_without_augmentation_the_interpolation_is_that_of_evaluation() -> None:
    assert resize(augment=False)["random_interp"] is False
    assert resize(augment=False)["interp"] == 2
