"""Training photos as batches, with a recipe's transforms fitted to the wished input size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paddlex.data.instance_dataset import InstanceDataset
from paddlex.data.loader import BatchLoader
from paddlex.data.transforms.base import build_batch_transforms, build_transforms
from paddlex.repo_apis.recipe import Recipe
from paddlex.training import distributed
from paddlex.training.options import TrainOptions
from paddlex.utils.errors import DatasetError, DatasetFileNotFoundError
from paddlex.utils.logging import logger

__all__ = ["fit_batch_transforms", "read_datasets", "train_loader"]

_STRIDE = 32
_BICUBIC = 2

TransformSpec = Mapping[str, Mapping[str, Any]]


def read_datasets(
    dataset_dir: Path, *, num_classes: int | None, allow_empty: bool
) -> tuple[InstanceDataset, InstanceDataset]:
    """Read the training and the validation photos of `dataset_dir`.

    Args:
        dataset_dir: holds images/, annotations/instance_train.json and annotations/instance_val.json.
        num_classes: classes the user expects, or None.
        allow_empty: keep training photos without objects.

    Raises:
        DatasetError: if something is missing, or the class lists disagree.
    """
    for path in (dataset_dir, dataset_dir / "images", dataset_dir / "annotations"):
        if not path.is_dir():
            raise DatasetFileNotFoundError(
                f"{path}: no such folder; Global.dataset_dir must hold images/ and annotations/"
            )
    train, val = (
        InstanceDataset(
            dataset_dir / "images",
            _annotation_file(dataset_dir, part),
            allow_empty=allow_empty or part == "val",
        )
        for part in ("train", "val")
    )
    if train.class_names != val.class_names:
        raise DatasetError(
            f"{dataset_dir}: train has the classes {', '.join(train.class_names)}, val has "
            f"{', '.join(val.class_names)}; both files must list the same categories in the same order"
        )
    if num_classes is not None and num_classes != train.num_classes:
        raise DatasetError(
            f"Train.num_classes is {num_classes}, but the data set has {train.num_classes} classes "
            f"({', '.join(train.class_names)}); correct one of them, or leave Train.num_classes out"
        )
    return train, val


def _annotation_file(dataset_dir: Path, part: str) -> Path:
    path = dataset_dir / "annotations" / f"instance_{part}.json"
    if not path.is_file():
        raise DatasetFileNotFoundError(
            f"{path}: no such file; run mode check_dataset with CheckDataset.split.enable=True to make it"
        )
    return path


def train_loader(
    dataset: InstanceDataset, recipe: Recipe, options: TrainOptions, *, input_size: int
) -> BatchLoader:
    """Shuffled, augmented batches of this card."""
    if len(dataset) < options.batch_size:
        logger.warning(
            "%d training photos are fewer than the batch size %d: photos are repeated to fill the batch",
            len(dataset),
            options.batch_size,
        )
    batch_transforms = fit_batch_transforms(
        recipe.batch_transforms,
        recipe_size=(recipe.input_size or (input_size, input_size))[0],
        input_size=input_size,
        multi_scale=options.multi_scale,
        augment=options.augment,
    )
    return BatchLoader(
        dataset,
        batch_size=options.batch_size,
        sample_transforms=build_transforms(recipe.sample_transforms if options.augment else ()),
        batch_transforms=build_batch_transforms(batch_transforms),
        shuffle=True,
        drop_last=True,
        seed=options.seed,
        num_workers=options.num_workers,
        rank=distributed.rank(),
        world_size=distributed.world_size(),
    )


def fit_batch_transforms(
    specs: Sequence[TransformSpec], *, recipe_size: int, input_size: int, multi_scale: bool, augment: bool
) -> list[dict[str, dict[str, Any]]]:
    """Scale the sizes of multi-scale training with the input size, to multiples of 32.

    Args:
        specs: the recipe's list.
        recipe_size: input size the recipe was made for.
        input_size: the wished one.
        multi_scale: draw sizes; else every batch has `input_size`.
        augment: also draw the interpolation.
    """
    fitted = []
    for spec in specs:
        ((name, parameters),) = spec.items()
        changed = dict(parameters)
        if name == "BatchRandomResize":
            sizes = [_scaled(size, input_size / recipe_size) for size in parameters["target_sizes"]]
            changed["target_sizes"] = sizes if multi_scale else [input_size]
            if not augment:
                changed |= {"random_interp": False, "interp": _BICUBIC}
        fitted.append({name: changed})
    return fitted


def _scaled(size: int, factor: float) -> int:
    return max(_STRIDE, round(size * factor / _STRIDE) * _STRIDE)
