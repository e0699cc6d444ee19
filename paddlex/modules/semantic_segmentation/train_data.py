"""The training and the validation photos of a data set of masks."""

from __future__ import annotations

from pathlib import Path

from paddlex.data.checks.masks import scan_masks
from paddlex.data.formats.pair_list import read_class_names, read_pair_list
from paddlex.data.semantic_dataset import SemanticDataset
from paddlex.modules.training_run import require_chosen_classes
from paddlex.utils.errors import DatasetError, DatasetFileNotFoundError
from paddlex.utils.logging import logger

__all__ = ["TRAIN_LIST", "VAL_LIST", "read_datasets", "require_list"]

TRAIN_LIST, VAL_LIST = "train.txt", "val.txt"


def read_datasets(
    dataset_dir: Path, *, num_classes: int | None, num_workers: int = 4
) -> tuple[SemanticDataset, SemanticDataset]:
    """Read the training and the validation photos of `dataset_dir`.

    Args:
        dataset_dir: holds train.txt and val.txt, and images/ and annotations/ or what else these lists name.
        num_classes: classes the user expects, or None: those that class_name.txt or labels.txt name, else
            those that occur in the masks.
        num_workers: threads that read masks if it comes to that.

    Raises:
        DatasetError: if something is missing, the user expects other classes than are named, or there is but
            one.
    """
    for name in (TRAIN_LIST, VAL_LIST):
        require_list(dataset_dir, name)
    named = read_class_names(dataset_dir)
    if named is not None:
        require_chosen_classes(num_classes, named[0])
        num_classes = len(named[0])
    count = num_classes or _count_classes(dataset_dir, num_workers=num_workers)
    if count < 2:
        raise DatasetError(
            f"{dataset_dir}: a single class; expected at least 2, background among them; run mode "
            "check_dataset, which tells what the masks hold"
        )
    train, val = (SemanticDataset(dataset_dir, name, num_classes=count) for name in (TRAIN_LIST, VAL_LIST))
    return train, val


def require_list(dataset_dir: Path, name: str) -> None:
    """Check that a data set has the list `name`.

    Raises:
        DatasetFileNotFoundError: if it has not, or is not there.
    """
    if not dataset_dir.is_dir():
        raise DatasetFileNotFoundError(
            f"{dataset_dir}: no such folder; Global.dataset_dir must hold {TRAIN_LIST} and {VAL_LIST}"
        )
    if not (dataset_dir / name).is_file():
        raise DatasetFileNotFoundError(
            f"{dataset_dir / name}: no such file; run mode check_dataset with "
            "CheckDataset.split.enable=True to make it, or CheckDataset.convert.enable=True from LabelMe"
        )


def _count_classes(dataset_dir: Path, *, num_workers: int) -> int:
    """One more than the largest label; all masks are read for it."""
    pairs = [pair for name in (TRAIN_LIST, VAL_LIST) for pair in read_pair_list(dataset_dir, name).pairs]
    scans = scan_masks(dataset_dir, (pair.mask for pair in pairs), num_workers=num_workers)
    labels = {label for scan in scans.values() for label in scan.labels}
    if not labels:
        raise DatasetError(f"{dataset_dir}: no mask holds a class; check_dataset tells what they hold")
    count = max(labels) + 1
    logger.info(
        "%s: %d classes, as the masks show; to name them, write one name a line to class_name.txt",
        dataset_dir,
        count,
    )
    return count
