"""Transformer decoder that refines the boxes of its queries layer by layer (RT-DETR, arXiv:2304.08069)."""

from collections.abc import Callable
from dataclasses import dataclass

import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.attention import MultiHeadSelfAttention
from paddlex.nn.boxes import inverse_sigmoid
from paddlex.nn.initializers import fan_in_uniform, xavier_uniform
from paddlex.repo_apis.paddle_detection.heads.deformable_attention import DeformableAttention

__all__ = ["Memory", "QueryDecoder"]


@dataclass(frozen=True)
class Memory:
    """What queries attend to.

    Attributes:
        tokens: (B, L, width), the levels one after another, each row by row.
        level_sizes: (height, width) of every level; the products sum to L.
    """

    tokens: Tensor
    level_sizes: tuple[tuple[int, int], ...]


class _DecoderLayer(nn.Layer):
    """Self attention, deformable cross attention, feed-forward; each with residual and post-norm."""

    def __init__(
        self, width: int, *, num_heads: int, num_levels: int, num_points: int, hidden_width: int
    ) -> None:
        super().__init__()
        self.self_attn = MultiHeadSelfAttention(width, num_heads=num_heads)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn = DeformableAttention(
            width, num_heads=num_heads, num_levels=num_levels, num_points=num_points
        )
        self.norm2 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(
            width, hidden_width, weight_attr=xavier_uniform(), bias_attr=fan_in_uniform(width)
        )
        self.linear2 = nn.Linear(
            hidden_width, width, weight_attr=xavier_uniform(), bias_attr=fan_in_uniform(hidden_width)
        )
        self.norm3 = nn.LayerNorm(width)

    def forward(
        self, x: Tensor, *, boxes: Tensor, position: Tensor, memory: Memory, mask: Tensor | None
    ) -> Tensor:
        x = self.norm1(x + self.self_attn(x, position=position, mask=mask))
        attended = self.cross_attn(
            x + position, boxes=boxes, memory=memory.tokens, level_sizes=memory.level_sizes
        )
        x = self.norm2(x + attended)
        return self.norm3(x + self.linear2(F.relu(self.linear1(x))))


class QueryDecoder(nn.Layer):
    """Stack of decoder layers that start with the same weights.

    Args:
        width: features of a query.
        num_layers: layers.
        num_heads: attention heads.
        num_levels: feature maps in the memory.
        num_points: points that a head reads from a level.
        hidden_width: features inside the feed-forward part.
    """

    def __init__(
        self,
        width: int,
        *,
        num_layers: int,
        num_heads: int,
        num_levels: int,
        num_points: int,
        hidden_width: int,
    ) -> None:
        super().__init__()
        self.layers = nn.LayerList(
            _DecoderLayer(
                width,
                num_heads=num_heads,
                num_levels=num_levels,
                num_points=num_points,
                hidden_width=hidden_width,
            )
            for _ in range(num_layers)
        )
        for layer in self.layers[1:]:
            layer.set_state_dict(self.layers[0].state_dict())

    def forward(
        self,
        content: Tensor,
        *,
        boxes: Tensor,
        memory: Memory,
        box_head: Callable[[Tensor], Tensor],
        position_head: Callable[[Tensor], Tensor],
        mask: Tensor | None = None,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Refine queries.

        Args:
            content: (B, Q, width) queries.
            boxes: (B, Q, 4) cxcywh in fractions of the image.
            memory: tokens to attend to.
            box_head: content to a correction of the box, in logits.
            position_head: boxes to a position code (B, Q, width).
            mask: (Q, Q) added to the logits of the self attention.

        Returns:
            The content (B, Q, width) and the refined boxes (B, Q, 4) after every layer. A layer starts from
            boxes without gradient, but in training the gradient of its result also reaches the correction
            made by the layer before ("look forward twice", DINO, arXiv:2203.03605).
        """
        contents: list[Tensor] = []
        refined: list[Tensor] = []
        previous = boxes
        for layer in self.layers:
            content = layer(content, boxes=boxes, position=position_head(boxes), memory=memory, mask=mask)
            correction = box_head(content)
            result = F.sigmoid(correction + inverse_sigmoid(boxes))
            contents.append(content)
            if self.training:
                refined.append(F.sigmoid(correction + inverse_sigmoid(previous)))
                previous, boxes = result, result.detach()
            else:
                refined.append(result)
                boxes = result
        return contents, refined
