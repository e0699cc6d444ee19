"""`draw_confusion_matrix`: which classes a segmenter takes for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.utils.charts_curves import confusion_matrix_chart
from paddlex.utils.errors import InputError
from paddlex.utils.files import read_json
from paddlex.utils.logging import logger, set_up_logging

__all__ = ["draw_confusion_matrix"]


def draw_confusion_matrix(
    eval_details: Mapping[str, Any] | Path | str,
    labels: Sequence[str] | None = None,
    save_dir: Path | str = "./",
) -> None:
    """Draw the confusion matrix of an evaluation as `save_dir/confusion_matrix.png`.

    Colours and numbers are shares of the row: of the pixels labelled as a class, how many were taken for
    which.

    Args:
        eval_details: `{"confusion_matrix": n x n}`, row label, column prediction, as a segmenter's
            `evaluate(..., return_details=True)` returns it; or the `eval_details.json` beside a saved model.
        labels: names of the n classes, as `dataset.labels` has them; None numbers them.
        save_dir: folder of the picture.

    Raises:
        FileFormatError: if the file is missing or no JSON.
        InputError: if there is no such matrix, or there are other than n labels.
    """
    set_up_logging()
    place = ""
    if isinstance(eval_details, (str, Path)):
        place, eval_details = f"{eval_details}: ", read_json(eval_details)
    if not isinstance(eval_details, Mapping) or "confusion_matrix" not in eval_details:
        raise InputError(
            f"{place}no confusion_matrix; expected what a segmenter's "
            "evaluate(..., return_details=True) returns"
        )
    counts = _counts(eval_details["confusion_matrix"], place=place)
    if labels is None:
        labels = [str(i) for i in range(len(counts))]
    if isinstance(labels, str) or len(labels) != len(counts):
        raise InputError(
            f"{len(labels)} labels for a confusion matrix of {len(counts)} classes; give one for each"
        )
    right = float(np.trace(counts)) / max(float(counts.sum()), 1.0)
    path = confusion_matrix_chart(
        Path(save_dir) / "confusion_matrix.png",
        counts=counts,
        class_names=[str(label) for label in labels],
        title=f"Labelled pixels by predicted class, percent; {100 * right:.1f} are right",
        unit="pixels",
    )
    logger.info("The confusion matrix has been saved in %s.", path)


def _counts(value: object, *, place: str) -> NDArray[np.int64]:
    """(n, n) pixels."""
    try:
        counts = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):  # rows of several lengths, words
        counts = np.zeros(0)
    if counts.ndim != 2 or not counts.size or counts.shape[0] != counts.shape[1]:
        raise InputError(f"{place}confusion_matrix: expected n rows of n numbers of pixels")
    if not ((counts >= 0) & (counts < 2**62)).all():
        raise InputError(f"{place}confusion_matrix: negative or not finite; expected numbers of pixels")
    return counts.astype(np.int64)
