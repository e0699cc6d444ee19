"""The training and the validation photos of a data set of instances."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from paddlex.data.instance_dataset import InstanceDataset
from paddlex.modules.training_run import require_chosen_classes
from paddlex.utils.errors import DatasetError, DatasetFileNotFoundError

__all__ = ["read_datasets"]


def read_datasets(
    dataset_dir: Path,
    *,
    num_classes: int | None,
    allow_empty: bool,
    masks: Literal["dense", "shapes"] = "dense",
) -> tuple[InstanceDataset, InstanceDataset]:
    """Read the training and the validation photos of `dataset_dir`.

    Args:
        dataset_dir: holds images/, annotations/instance_train.json and annotations/instance_val.json.
        num_classes: classes the user expects, or None.
        allow_empty: keep training photos without objects.
        masks: the form of the samples' masks, as the recipe wants them.

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
            masks=masks,
        )
        for part in ("train", "val")
    )
    if train.class_names != val.class_names:
        raise DatasetError(
            f"{dataset_dir}: train has the classes {', '.join(train.class_names)}, val has "
            f"{', '.join(val.class_names)}; both files must list the same categories in the same order"
        )
    require_chosen_classes(num_classes, train.class_names)
    return train, val


def _annotation_file(dataset_dir: Path, part: str) -> Path:
    path = dataset_dir / "annotations" / f"instance_{part}.json"
    if not path.is_file():
        raise DatasetFileNotFoundError(
            f"{path}: no such file; run mode check_dataset with CheckDataset.split.enable=True to make it"
        )
    return path
