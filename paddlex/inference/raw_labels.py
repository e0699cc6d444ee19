"""What a semantic network said of one photo, and the way to a class for each pixel of the photo.

Evaluation, the comparison at export and prediction all come here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddlex.structures.moves import Move, predicted_classes, restore_labels, restore_logits
from paddlex.utils.errors import UsageError

__all__ = ["RawLabels"]


@dataclass(frozen=True, eq=False, kw_only=True)
class RawLabels:
    """Logits, or classes where the graph has decided by itself; one of the two.

    Attributes:
        input_size: (height, width) of the network's input.
        logits: (C, h, w), at the size of the input or coarser.
        label_map: (height, width) integers.
        align_corners: how the network enlarges its logits.
    """

    input_size: tuple[int, int]
    logits: NDArray[Any] | None = None
    label_map: NDArray[Any] | None = None
    align_corners: bool = False

    def __post_init__(self) -> None:
        assert (self.logits is None) != (self.label_map is None)

    def to_label_map(self, moves: Sequence[Move] = (), *, argmax_first: bool = False) -> NDArray[np.int32]:
        """The class of each pixel of the photo, (H, W).

        Logits are brought to the photo before the largest is taken, plane by plane: the memory is that of
        two classes, not of all.

        Args:
            moves: how the photo became the network's input.
            argmax_first: decide on the input and bring classes to the photo by nearest neighbour, as
                PaddleX 2 evaluates.
        """
        if self.logits is None:
            assert self.label_map is not None
            return np.asarray(restore_labels(self.label_map.astype(np.int32), moves))
        if argmax_first:
            return np.asarray(restore_labels(predicted_classes(self.logits, self._enlarging), moves))
        return predicted_classes(self.logits, [*moves, *self._enlarging])

    def to_score_map(self, moves: Sequence[Move] = ()) -> NDArray[np.float32]:
        """Probability of each class at each pixel of the photo, (H, W, C): softmax of the restored logits.

        Raises:
            UsageError: if the graph gave classes only.
        """
        scores = self.to_logits(moves)
        scores -= scores.max(axis=0)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=0)
        return np.ascontiguousarray(scores.transpose(1, 2, 0))

    def to_logits(self, moves: Sequence[Move] = ()) -> NDArray[np.float32]:
        """The logits brought to the photo, (C, H, W).

        Raises:
            UsageError: if the graph gave classes only.
        """
        if self.logits is None:
            raise UsageError(
                "score_map: the graph of backend=paddle gives classes only; choose backend=onnx or openvino"
            )
        return restore_logits(self.logits, [*moves, *self._enlarging])

    @property
    def _enlarging(self) -> tuple[Move, ...]:
        """Undone, this brings the logits to the size of the input."""
        assert self.logits is not None
        height, width = self.logits.shape[1:]
        if (height, width) == self.input_size:
            return ()
        return (Move(self.input_size, (height, width), align_corners=self.align_corners),)
