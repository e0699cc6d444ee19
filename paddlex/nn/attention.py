"""Multi-head attention of a DETR: queries and keys carry a position, values do not."""

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.initializers import constant, xavier_uniform

__all__ = ["MultiHeadSelfAttention"]


class MultiHeadSelfAttention(nn.Layer):
    """Scaled dot-product self attention (arXiv:1706.03762) with the position added to queries and keys.

    Args:
        width: features of a token.
        num_heads: attention heads; divides `width`.
    """

    def __init__(self, width: int, *, num_heads: int) -> None:
        super().__init__()
        self._num_heads = num_heads
        # One matrix for queries, keys and values, in this order of columns.
        self.in_proj_weight = self.create_parameter([width, 3 * width], attr=xavier_uniform())
        self.in_proj_bias = self.create_parameter([3 * width], attr=constant(0.0), is_bias=True)
        self.out_proj = nn.Linear(width, width, weight_attr=xavier_uniform(), bias_attr=constant(0.0))

    def forward(self, x: Tensor, *, position: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend among the tokens of each image.

        Args:
            x: (B, N, width) tokens.
            position: (B or 1, N, width), added to queries and keys.
            mask: (N, N) added to the attention logits; -inf hides a column from a row.

        Returns:
            (B, N, width).
        """
        width = self.in_proj_weight.shape[0]
        weight_qk, weight_v = self.in_proj_weight[:, : 2 * width], self.in_proj_weight[:, 2 * width :]
        query_key = F.linear(x + position, weight_qk, self.in_proj_bias[: 2 * width])
        value = F.linear(x, weight_v, self.in_proj_bias[2 * width :])
        parts = (query_key[..., :width], query_key[..., width:], value)
        query, key, value = (self._split_heads(part) for part in parts)
        head_width = width // self._num_heads
        logits = paddle.matmul(query * head_width**-0.5, key, transpose_y=True)
        if mask is not None:
            logits = logits + mask
        attended = paddle.matmul(F.softmax(logits, axis=-1), value)
        return self.out_proj(attended.transpose([0, 2, 1, 3]).flatten(2))

    def _split_heads(self, x: Tensor) -> Tensor:
        """Reshape (B, N, width) to (B, heads, N, width / heads)."""
        head_width = x.shape[-1] // self._num_heads
        return x.reshape([0, 0, self._num_heads, head_width]).transpose([0, 2, 1, 3])
