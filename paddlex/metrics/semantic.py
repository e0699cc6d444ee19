"""Scores of semantic segmentation, all from one confusion matrix that is summed up photo by photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.utils.errors import ShapeError

__all__ = ["PixelConfusion", "SemanticScores"]

# Pixels counted at once: their index array of 8 bytes a pixel stays small for photos of any size.
_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class PixelConfusion:
    """Pixels by (labelled class, predicted class), and what follows from them.

    Attributes:
        counts: (C, C) int64, row labelled, column predicted.
    """

    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.counts.ndim != 2 or self.counts.shape[0] != self.counts.shape[1]:
            raise ShapeError(f"confusion matrix {self.counts.shape}; expected (classes, classes)")

    @property
    def intersections(self) -> NDArray[np.int64]:
        """(C,) pixels both predicted and labelled as the class."""
        return np.diagonal(self.counts)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(C,) pixels predicted as the class."""
        return np.asarray(self.counts.sum(axis=0))

    @property
    def labelled(self) -> NDArray[np.int64]:
        """(C,) pixels labelled as the class."""
        return np.asarray(self.counts.sum(axis=1))

    def iou(self, *, absent: float) -> NDArray[np.float64]:
        """(C,) intersection over union; `absent` for a class neither labelled nor predicted."""
        return _ratio(self.intersections, self.predicted + self.labelled - self.intersections, absent)

    def precision(self) -> NDArray[np.float64]:
        """(C,) share of the pixels predicted as the class that are it; 0 for a class never predicted."""
        return _ratio(self.intersections, self.predicted, 0.0)

    def recall(self) -> NDArray[np.float64]:
        """(C,) share of the pixels labelled as the class that are found; 0 for a class never labelled."""
        return _ratio(self.intersections, self.labelled, 0.0)

    def dice(self) -> NDArray[np.float64]:
        """(C,) harmonic mean of precision and recall, the F1 score; 0 where both are."""
        return _ratio(2 * self.intersections, self.predicted + self.labelled, 0.0)

    @property
    def overall_accuracy(self) -> float:
        """Share of all pixels that are right; NaN without pixels."""
        total = int(self.counts.sum())
        return float(self.intersections.sum()) / total if total else float("nan")

    @property
    def kappa(self) -> float:
        """Accuracy beyond chance (Cohen 1960); NaN where chance alone is always right."""
        total = float(self.counts.sum())
        if not total:
            return float("nan")
        chance = float(((self.predicted / total) * (self.labelled / total)).sum())
        return (self.overall_accuracy - chance) / (1 - chance) if chance < 1 else float("nan")


class SemanticScores:
    """mIoU, accuracy, kappa and Dice over a data set; no prediction is kept.

    Args:
        num_classes: C.
        ignore_index: label of pixels that count for nothing.
        absent_iou: IoU of a class that is neither labelled nor predicted anywhere, which enters the mean:
            1 in PaddleSeg and PaddleX 3, 0 in PaddleX 2.

    Attributes:
        confusion: the pixels counted so far.
    """

    def __init__(self, *, num_classes: int, ignore_index: int = 255, absent_iou: float = 1.0) -> None:
        self._num_classes = num_classes
        self._ignore_index = ignore_index
        self._absent_iou = absent_iou
        self.reset()

    def reset(self) -> None:
        """Forget all photos."""
        self.confusion = PixelConfusion(np.zeros((self._num_classes,) * 2, np.int64))

    def update(self, *, predicted: NDArray[Any], label_map: NDArray[Any]) -> None:
        """Take in one photo, or several of one size.

        Args:
            predicted: class of each pixel, integers in 0..C-1.
            label_map: likewise, of the same shape, or `ignore_index`.

        Raises:
            ShapeError: if the shapes differ or a label is neither a class nor to be ignored.
        """
        if predicted.shape != label_map.shape:
            raise ShapeError(f"prediction {predicted.shape} for labels {label_map.shape}; expected one shape")
        found, wanted = predicted.reshape(-1), label_map.reshape(-1)
        for start in range(0, len(wanted), _CHUNK):
            self._count(found[start : start + _CHUNK], wanted[start : start + _CHUNK])

    def _count(self, found: NDArray[Any], wanted: NDArray[Any]) -> None:
        valid = wanted != self._ignore_index
        wanted, found = wanted[valid].astype(np.int64), found[valid].astype(np.int64)
        if not len(wanted):
            return
        for what, values in (("label", wanted), ("prediction", found)):
            outside = [int(v) for v in (values.min(), values.max()) if not 0 <= v < self._num_classes]
            if outside:
                raise ShapeError(f"{what} {outside[0]}; expected classes from 0 to {self._num_classes - 1}")
        cells = np.bincount(wanted * self._num_classes + found, minlength=self._num_classes**2)
        self.confusion = PixelConfusion(self.confusion.counts + cells.reshape(self._num_classes, -1))

    def compute(self) -> dict[str, float]:
        """`mIoU`, `Acc` (overall accuracy), `Kappa` and `Dice` (mean over classes), from 0 (kappa: -1) to 1.

        NaN where nothing is defined, as without any labelled pixel.
        """
        table = self.confusion
        if not table.counts.any():
            return dict.fromkeys(("mIoU", "Acc", "Kappa", "Dice"), float("nan"))
        return {
            "mIoU": float(table.iou(absent=self._absent_iou).mean()),
            "Acc": table.overall_accuracy,
            "Kappa": table.kappa,
            "Dice": float(table.dice().mean()),
        }


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64], nothing: float) -> NDArray[np.float64]:
    """Quotients of `part` and `whole`; `nothing` where the whole is 0."""
    result = np.full(part.shape, nothing, dtype=np.float64)
    return np.divide(part, whole, out=result, where=whole > 0)
