"""Sampling without chance, as the references of R-CNN were recorded."""

from __future__ import annotations

import paddle

from paddlex.nn.draws import UniformDraws


class FirstChoices(UniformDraws):
    """Where some are chosen of many, the first are."""

    def choose(self, high: int, count: int) -> paddle.Tensor:
        """Return 0, 1, ..., `count` - 1."""
        return paddle.arange(count, dtype="int64")
