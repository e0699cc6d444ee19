"""Training photos as batches, with a recipe's transforms fitted to the wished input size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paddlex.data.loader import BatchLoader, Dataset
from paddlex.data.transforms.base import build_batch_transforms, build_transforms
from paddlex.repo_apis.recipe import Recipe
from paddlex.training import distributed
from paddlex.training.options import TrainOptions
from paddlex.utils.logging import logger

__all__ = ["fit_transforms", "train_loader"]

_STRIDE, _PIXELS = 32, 8
_BICUBIC = 2
# Left out without augmentation; what brings photos to the network's size and values is not.
_AUGMENTATIONS = ("RandomCrop", "RandomDistort", "RandomExpand", "RandomFlip")
# Left out where every photo shall keep one scale.
_SCALINGS = ("ResizeStepScaling",)

TransformSpec = Mapping[str, Mapping[str, Any] | None]


def train_loader(
    dataset: Dataset, recipe: Recipe, options: TrainOptions, *, input_size: tuple[int, int]
) -> BatchLoader:
    """Shuffled, augmented batches of this card.

    Args:
        dataset: training photos, annotated in the form that the recipe wants.
        recipe: lists the transforms.
        options: the user's choices.
        input_size: (height, width) of the network input, or (short, long) limits, as `Recipe.input_size`.
    """
    first: list[TransformSpec] = []
    if options.short_side is not None:
        first = [{"ResizeByShort": {"short_size": options.short_side}}]
    if len(dataset) < options.batch_size:
        logger.warning(
            "%d training photos are fewer than the batch size %d: photos are repeated to fill the batch",
            len(dataset),
            options.batch_size,
        )
    sample_transforms, batch_transforms = (
        fit_transforms(
            specs,
            recipe_size=recipe.input_size,
            input_size=input_size,
            multi_scale=options.multi_scale,
            augment=options.augment,
        )
        for specs in ([*first, *recipe.sample_transforms], recipe.batch_transforms)
    )
    return BatchLoader(
        dataset,
        batch_size=options.batch_size,
        sample_transforms=build_transforms(sample_transforms),
        batch_transforms=build_batch_transforms(batch_transforms),
        shuffle=True,
        drop_last=True,
        seed=options.seed,
        num_workers=options.num_workers,
        rank=distributed.rank(),
        world_size=distributed.world_size(),
    )


def fit_transforms(
    specs: Sequence[TransformSpec],
    *,
    recipe_size: tuple[int, int],
    input_size: tuple[int, int],
    multi_scale: bool,
    augment: bool,
) -> list[dict[str, dict[str, Any]]]:
    """Fit a recipe's transforms to the input size and to what the user wants of them.

    The sizes of multi-scale training are scaled with the input size: those of a whole batch to multiples of
    the network's stride, short sides, which padding follows, to multiples of 8 pixels.

    Args:
        specs: the recipe's list, of photos or of batches.
        recipe_size: `input_size` of the recipe.
        input_size: the wished one.
        multi_scale: draw sizes; else every photo is resized as in evaluation.
        augment: else colours, places and interpolation are left as in evaluation.
    """
    fitted = []
    for spec in specs:
        ((name, parameters),) = spec.items()
        if (name in _AUGMENTATIONS and not augment) or (name in _SCALINGS and not multi_scale):
            continue
        changed = dict(parameters or {})
        if name == "Resize":
            changed["target_size"] = list(input_size)
        elif name == "RandomPaddingCrop":
            changed["crop_size"] = list(input_size)
        elif name == "BatchRandomResize":
            scale = input_size[0] / recipe_size[0]
            sizes = [_scaled(size, scale, multiple=_STRIDE) for size in changed["target_sizes"]]
            changed["target_sizes"] = sizes if multi_scale else [list(input_size)]
            if not augment:
                changed |= {"random_interp": False, "interp": _BICUBIC}
        elif name == "RandomShortSideResize":
            scale = input_size[0] / recipe_size[0]
            sides = [_scaled(side, scale, multiple=_PIXELS) for side in changed["short_sides"]]
            changed["short_sides"] = sides if multi_scale else [input_size[0]]
            changed["max_long_side"] = round(changed["max_long_side"] * input_size[1] / recipe_size[1])
        fitted.append({name: changed})
    return fitted


def _scaled(size: int, scale: float, *, multiple: int) -> int:
    return max(multiple, round(size * scale / multiple) * multiple)
