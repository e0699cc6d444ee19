"""Checks of ground truth that every family's losses share."""

import numpy as np
from numpy.typing import NDArray

from paddlex.utils.errors import DatasetError

__all__ = ["require_class_ids"]


def require_class_ids(class_ids: NDArray[np.int64], *, num_classes: int) -> None:
    """Refuse class ids that the network has no output for.

    Raises:
        DatasetError: if a class id is outside [0, num_classes).
    """
    wrong = np.unique(class_ids[(class_ids < 0) | (class_ids >= num_classes)])
    if len(wrong):
        raise DatasetError(
            f"class id {wrong[0]} in the ground truth, but the network has {num_classes} classes (0 to "
            f"{num_classes - 1}); set num_classes to the number of categories of the data set"
        )
