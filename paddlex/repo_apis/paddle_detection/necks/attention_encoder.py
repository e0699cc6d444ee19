"""Self attention within one feature map: the AIFI part of RT-DETR's hybrid encoder."""

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.attention import MultiHeadSelfAttention
from paddlex.nn.initializers import fan_in_uniform
from paddlex.nn.size_tables import SizeTables

__all__ = ["AttentionEncoder", "sincos_position_table"]


def sincos_position_table(height: int, width: int, *, channels: int) -> Tensor:
    """Return the sine and cosine code of every cell of a map (arXiv:1706.03762, in two dimensions).

    Args:
        height: rows of the map.
        width: columns of the map.
        channels: features of a code, a multiple of 4.

    Returns:
        (1, height * width, channels) float32, cells row by row; a quarter each for sine and cosine of the
        row, sine and cosine of the column.
    """
    omega = 1.0 / 10000.0 ** (np.arange(channels // 4, dtype=np.float32) / (channels // 4))
    rows, columns = np.divmod(np.arange(height * width), width)
    row_angles, column_angles = rows[:, None] * omega, columns[:, None] * omega
    parts = [np.sin(row_angles), np.cos(row_angles), np.sin(column_angles), np.cos(column_angles)]
    return paddle.to_tensor(np.concatenate(parts, axis=1)[None].astype(np.float32))


class _EncoderLayer(nn.Layer):
    """Post-norm transformer layer with GELU."""

    def __init__(self, width: int, *, num_heads: int, hidden_width: int) -> None:
        super().__init__()
        self.self_attn = MultiHeadSelfAttention(width, num_heads=num_heads)
        self.linear1 = nn.Linear(
            width, hidden_width, weight_attr=fan_in_uniform(width), bias_attr=fan_in_uniform(width)
        )
        self.linear2 = nn.Linear(
            hidden_width,
            width,
            weight_attr=fan_in_uniform(hidden_width),
            bias_attr=fan_in_uniform(hidden_width),
        )
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, *, position: Tensor) -> Tensor:
        x = self.norm1(x + self.self_attn(x, position=position))
        return self.norm2(x + self.linear2(F.gelu(self.linear1(x))))


class AttentionEncoder(nn.Layer):
    """Transformer layers on the cells of one feature map.

    Args:
        width: channels of the map.
        num_layers: layers; all start with the same weights and receive the same position code.
        num_heads: attention heads.
        hidden_width: features inside the feed-forward part.
    """

    def __init__(self, width: int, *, num_layers: int, num_heads: int, hidden_width: int) -> None:
        super().__init__()
        self.layers = nn.LayerList(
            _EncoderLayer(width, num_heads=num_heads, hidden_width=hidden_width) for _ in range(num_layers)
        )
        for layer in self.layers[1:]:
            layer.set_state_dict(self.layers[0].state_dict())
        self.position = SizeTables(lambda sizes: (sincos_position_table(*sizes[0], channels=width),))

    def forward(self, x: Tensor) -> Tensor:
        """Mix the cells of x (B, width, H, W) and keep its shape."""
        height, width = x.shape[2:]
        (position,) = self.position(((height, width),))
        tokens = x.flatten(2).transpose([0, 2, 1])
        for layer in self.layers:
            tokens = layer(tokens, position=position)
        return tokens.transpose([0, 2, 1]).reshape([0, tokens.shape[2], height, width])
