"""What the 2.x API checks before it begins to work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paddle import nn

from paddlex.utils.errors import DatasetError, UsageError, WeightsError
from paddlex.v2.saved_folder import WEIGHTS

__all__ = [
    "checkpoint_file",
    "require_dataset",
    "require_datasets",
    "require_parameters",
    "require_positive",
]


def require_positive(value: Any, *, name: str) -> None:  # noqa: ANN401 (whatever a user gave)
    """Check a count.

    Raises:
        UsageError: if it is no whole number of at least 1.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{name}: found {value!r}, expected a whole number of at least 1")


def require_dataset(dataset: Any, *, name: str) -> None:  # noqa: ANN401
    """Check that something is a data set with transforms.

    Raises:
        UsageError: if it is none, or has none.
    """
    if not hasattr(dataset, "samples") or not hasattr(dataset, "labels"):
        raise UsageError(f"{name}: found {type(dataset).__name__}, expected a data set of paddlex.datasets")
    if dataset.transforms is None:
        raise UsageError(f"{name}: has no transforms; give the data set transforms=transforms.Compose([...])")


def require_datasets(train: Any, evaluation: Any, *, batch_size: int) -> None:  # noqa: ANN401
    """Check the data sets of a training.

    Raises:
        UsageError: if one of them cannot be used, or the batch is larger than the training set.
        DatasetError: if they have other classes.
    """
    require_dataset(train, name="train_dataset")
    require_positive(batch_size, name="train_batch_size")
    count = len(train.samples)
    if batch_size > count:
        raise UsageError(
            f"train_batch_size: found {batch_size}, train_dataset has {count} photos; give at most {count}"
        )
    if evaluation is None:
        return
    require_dataset(evaluation, name="eval_dataset")
    if list(train.labels or ()) != list(evaluation.labels or ()):
        raise DatasetError(
            f"eval_dataset: has the classes {', '.join(evaluation.labels or ())}, train_dataset has "
            f"{', '.join(train.labels or ())}; both need the same in the same order"
        )


def require_parameters(optimizer: Any, network: nn.Layer) -> None:  # noqa: ANN401
    """Check that an optimiser, if there is one, moves the parameters of a network.

    Raises:
        UsageError: if it does not.
    """
    if optimizer is None:
        return
    moved = {id(value) for value in getattr(optimizer, "_parameter_list", None) or ()}
    if not moved or moved - {id(value) for value in network.parameters()}:
        raise UsageError(
            "optimizer: its parameters are not those of model.net as it is now; make it with "
            "parameters=model.net.parameters(), after loading, pruning or quantising the model"
        )


def checkpoint_file(resume_checkpoint: str | Path | None, pretrain_weights: str | None) -> Path | None:
    """The weights of the checkpoint to go on from, or None.

    Raises:
        UsageError: if start weights are wanted, too.
        WeightsError: if it is no checkpoint.
    """
    if resume_checkpoint is None:
        return None
    if pretrain_weights is not None:
        raise UsageError(
            f"resume_checkpoint {resume_checkpoint} and pretrain_weights {pretrain_weights}: only one can "
            "begin a training; to resume, give pretrain_weights=None"
        )
    folder = Path(resume_checkpoint).resolve()
    missing = [name for name in (WEIGHTS, "model.pdopt", "model.pdstates") if not (folder / name).is_file()]
    if missing:
        raise WeightsError(
            f"resume_checkpoint {resume_checkpoint}: lacks {', '.join(missing)}; expected a folder that "
            "`train` has written, such as output/best_model"
        )
    return folder / WEIGHTS
