"""Multi-scale deformable attention (Deformable DETR, arXiv:2010.04159)."""

from collections.abc import Sequence

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import ParamAttr, Tensor, nn
from paddle.nn import initializer

from paddlex.nn.initializers import constant, xavier_uniform

__all__ = ["DeformableAttention"]


class DeformableAttention(nn.Layer):
    """Every query reads a few points of every level around its reference box.

    Args:
        width: features of a token.
        num_heads: attention heads; divides `width`.
        num_levels: feature maps read.
        num_points: points that a head reads from a level.
    """

    def __init__(self, width: int, *, num_heads: int, num_levels: int, num_points: int) -> None:
        super().__init__()
        self._num_heads, self._num_points = num_heads, num_points
        self._samples = num_levels * num_points
        total = num_heads * self._samples
        offsets = _initial_offsets(num_heads, num_levels=num_levels, num_points=num_points)
        self.sampling_offsets = nn.Linear(
            width,
            2 * total,
            weight_attr=constant(0.0),
            bias_attr=ParamAttr(initializer=initializer.Assign(offsets)),
        )
        self.attention_weights = nn.Linear(width, total, weight_attr=constant(0.0), bias_attr=constant(0.0))
        self.value_proj = nn.Linear(width, width, weight_attr=xavier_uniform(), bias_attr=constant(0.0))
        self.output_proj = nn.Linear(width, width, weight_attr=xavier_uniform(), bias_attr=constant(0.0))

    def forward(
        self, query: Tensor, *, boxes: Tensor, memory: Tensor, level_sizes: Sequence[tuple[int, int]]
    ) -> Tensor:
        """Gather from the memory.

        Args:
            query: (B, Q, width).
            boxes: (B, Q, 4) cxcywh in fractions of the image, the same for all levels.
            memory: (B, L, width), the levels one after another, each row by row.
            level_sizes: (height, width) of every level.

        Returns:
            (B, Q, width).
        """
        heads, num_queries = self._num_heads, query.shape[1]
        grid = self._sampling_grid(query, boxes)
        weights = self.attention_weights(query).reshape([0, 0, heads, self._samples])
        weights = F.softmax(weights, axis=-1).transpose([0, 2, 1, 3])
        weights = weights.reshape([-1, 1, num_queries, self._samples])

        values = self.value_proj(memory).transpose([0, 2, 1])
        values = values.reshape([-1, values.shape[1] // heads, values.shape[2]])
        # One split: the gradient of a slice is a whole tensor of zeros around it.
        level_values = paddle.split(values, [height * width for height, width in level_sizes], axis=2)
        level_points = paddle.split(grid, len(level_sizes), axis=2)
        samples = [
            F.grid_sample(value.reshape([0, 0, height, width]), points, align_corners=False)
            for value, points, (height, width) in zip(level_values, level_points, level_sizes, strict=True)
        ]
        gathered = (paddle.concat(samples, axis=-1) * weights).sum(axis=-1)
        return self.output_proj(gathered.reshape([-1, query.shape[2], num_queries]).transpose([0, 2, 1]))

    def _sampling_grid(self, query: Tensor, boxes: Tensor) -> Tensor:
        """Return (B * heads, Q, levels * points, 2) x, y in [-1, 1] over the map.

        An offset of `num_points` reaches the edge of the reference box.
        """
        offsets = self.sampling_offsets(query).reshape([0, 0, self._num_heads, self._samples, 2])
        boxes = boxes.unsqueeze([2, 3])
        locations = boxes[..., :2] + offsets * boxes[..., 2:] * (0.5 / self._num_points)
        grid = (2.0 * locations - 1.0).transpose([0, 2, 1, 3, 4])
        return grid.reshape([-1, query.shape[1], self._samples, 2])


def _initial_offsets(num_heads: int, *, num_levels: int, num_points: int) -> np.ndarray:
    """Return the flat bias that sends head m to 1, 2, ... steps in the direction 2 pi m / num_heads."""
    angles = 2.0 * np.pi * np.arange(num_heads) / num_heads
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    directions /= np.abs(directions).max(axis=-1, keepdims=True)
    steps = np.arange(1, num_points + 1)[:, None] * directions[:, None, None]
    return np.tile(steps, (1, num_levels, 1, 1)).reshape(-1).astype(np.float32)
