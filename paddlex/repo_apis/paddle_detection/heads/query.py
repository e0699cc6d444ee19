"""Query side of Mask-RT-DETR: select queries from the memory, refine them, predict class, box and mask."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import paddle
import paddle.nn.functional as F
from paddle import ParamAttr, Tensor, nn
from paddle.nn import initializer

from paddlex.nn.boxes import inverse_sigmoid, masks_to_boxes, xyxy_to_cxcywh
from paddlex.nn.convolution import Conv2D
from paddlex.nn.initializers import constant, fan_in_uniform, xavier_uniform
from paddlex.nn.mlp import MLP
from paddlex.nn.reductions import max_along
from paddlex.nn.size_tables import SizeTables
from paddlex.repo_apis.paddle_detection.heads.anchors import anchor_tables
from paddlex.repo_apis.paddle_detection.heads.decoder import Memory, QueryDecoder
from paddlex.repo_apis.paddle_detection.heads.denoising import DenoisingQueries
from paddlex.repo_apis.paddle_detection.losses.predictions import QueryPredictions

__all__ = ["QueryTransformer", "Selection", "mask_logits"]

_STRIDES = (8, 16, 32)
# Foreground probability that an untrained score head gives (focal loss, arXiv:1708.02002).
_PRIOR_PROBABILITY = 0.01


@dataclass(frozen=True)
class Selection:
    """Queries taken from the memory, before the decoder.

    Attributes:
        content: (B, Q, width).
        logits: (B, Q, C).
        mask_embeds: (B, Q, P).
        boxes: (B, Q, 4) cxcywh regressed from the anchors, if asked for; only losses need them.
        mask_boxes: (B, Q, 4) cxcywh around the predicted masks, without gradient; the decoder starts here.
    """

    content: Tensor
    logits: Tensor
    mask_embeds: Tensor
    boxes: Tensor | None
    mask_boxes: Tensor


def mask_logits(mask_embeds: Tensor, prototypes: Tensor) -> Tensor:
    """Return the mask logits (B, Q, h, w) of embeds (B, Q, P) and prototypes (B, P, h, w)."""
    height, width = prototypes.shape[2:]
    logits = paddle.matmul(mask_embeds, prototypes.flatten(2))
    return logits.reshape([0, 0, height, width])


class QueryTransformer(nn.Layer):
    """Query selection and decoder with one set of prediction heads shared by all layers.

    Args:
        in_channels: channels of the three levels of strides 8, 16 and 32.
        num_classes: classes.
        num_prototypes: mask prototypes.
        num_queries: queries selected.
        width: features of a token and of a query.
        num_heads: attention heads.
        num_points: points that a head reads from a level.
        num_layers: decoder layers.
        hidden_width: feed-forward width of a decoder layer.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        num_classes: int,
        num_prototypes: int,
        num_queries: int,
        width: int,
        num_heads: int,
        num_points: int,
        num_layers: int,
        hidden_width: int,
    ) -> None:
        super().__init__()
        self.num_classes, self.num_queries = num_classes, num_queries
        self.input_proj = nn.LayerList(_project(channels, width) for channels in in_channels)
        self.decoder = QueryDecoder(
            width,
            num_layers=num_layers,
            num_heads=num_heads,
            num_levels=len(in_channels),
            num_points=num_points,
            hidden_width=hidden_width,
        )
        self.denoising_class_embed = nn.Embedding(
            num_classes, width, weight_attr=ParamAttr(initializer=initializer.Normal(0.0, 1.0))
        )
        self.query_pos_head = MLP([4, 2 * width, width])
        self.mask_query_head = MLP([width, width, width, num_prototypes])
        self.enc_output = nn.Sequential(
            nn.Linear(width, width, weight_attr=xavier_uniform(), bias_attr=constant(0.0)),
            nn.LayerNorm(width),
        )
        self.dec_norm = nn.LayerNorm(width)
        prior = -math.log((1.0 - _PRIOR_PROBABILITY) / _PRIOR_PROBABILITY)
        self.score_head = nn.Linear(
            width, num_classes, weight_attr=fan_in_uniform(width), bias_attr=constant(prior)
        )
        self.bbox_head = MLP([width, width, width, 4])
        self._initialise_heads()
        self.anchors = SizeTables(anchor_tables)

    def _initialise_heads(self) -> None:
        """Start from boxes that equal the anchors, and spread positions evenly."""
        zero, xavier = initializer.Constant(0.0), initializer.XavierUniform()
        zero(self.bbox_head.layers[-1].weight)
        zero(self.bbox_head.layers[-1].bias)
        for layer in self.query_pos_head.layers:
            xavier(layer.weight)

    def fix_image_size(self, image_size: tuple[int, int]) -> None:
        """Keep the anchors of images of (height, width) `image_size` as buffers."""
        height, width = image_size
        self.anchors.fix(tuple((height // stride, width // stride) for stride in _STRIDES))

    def forward(
        self, levels: Sequence[Tensor], prototypes: Tensor, *, denoising: DenoisingQueries | None = None
    ) -> tuple[QueryPredictions, QueryPredictions | None]:
        """Predict from the neck's features.

        Args:
            levels: three maps (B, in_channels[i], H / s, W / s) of strides s = 8, 16, 32.
            prototypes: (B, P, H / 4, W / 4).
            denoising: noised ground truth to restore, in training.

        Returns:
            Predictions of the selected queries and of the denoising queries, if there are any. In training
            the former hold the selection, the decoder's input (only with denoising) and every decoder layer;
            the latter lack the selection. In evaluation mode there is the last decoder layer alone.
        """
        memory = self.encode(levels)
        selection = self.select(memory, prototypes, with_boxes=self.training)
        content, boxes, mask = selection.content.detach(), selection.mask_boxes, None
        if denoising is None and self.training:
            # Every parameter takes part in every step, as data-parallel training wants.
            content = content + 0.0 * self.denoising_class_embed.weight.sum()
        elif denoising is not None:
            content = paddle.concat([self._denoising_content(denoising), content], axis=1)
            boxes = paddle.concat([denoising.boxes, boxes], axis=1)
            mask = denoising.attention_mask(selection.content.shape[1])
        start = F.sigmoid(inverse_sigmoid(boxes))
        contents, refined = self.decode(content, boxes=start, memory=memory, mask=mask)
        if not self.training:
            return self._stack_predictions(contents[-1:], refined[-1:], prototypes), None
        if denoising is None:
            decoded = self._stack_predictions(contents, refined, prototypes)
            return _prepend(selection, decoded), None
        decoded = self._stack_predictions([content, *contents], [start, *refined], prototypes)
        return (
            _prepend(selection, _take_queries(decoded, slice(denoising.num_queries, None))),
            _take_queries(decoded, slice(denoising.num_queries)),
        )

    def encode(self, levels: Sequence[Tensor]) -> Memory:
        """Project three levels and lay them out as one sequence of tokens."""
        tokens, sizes = [], []
        for project, level in zip(self.input_proj, levels, strict=True):
            tokens.append(project(level).flatten(2).transpose([0, 2, 1]))
            sizes.append((level.shape[2], level.shape[3]))
        return Memory(paddle.concat(tokens, axis=1), tuple(sizes))

    def score_tokens(self, memory: Memory) -> tuple[Tensor, Tensor]:
        """Return the content (B, L, width) of every token as a query, and its logits (B, L, C).

        Tokens of invalid anchors count as zeros; the logits are taken without `dec_norm`.
        """
        content = self.enc_output(self._valid_tokens(memory))
        return content, self.score_head(content)

    def select(self, memory: Memory, prototypes: Tensor, *, with_boxes: bool) -> Selection:
        """Take the tokens with the highest class logit as queries.

        Args:
            memory: tokens.
            prototypes: (B, P, h, w).
            with_boxes: regress the boxes that the losses of the selection need.
        """
        with paddle.no_grad():
            scores = max_along(self.score_tokens(memory)[1], axis=-1)
            index = paddle.topk(scores, min(self.num_queries, scores.shape[1]))[1]
        # Only the chosen tokens pass again with gradient: the others would fill memory for nothing.
        content = self.enc_output(_gather_tokens(self._valid_tokens(memory), index))
        boxes = None
        if with_boxes:
            anchor_logits = self.anchors(memory.level_sizes)[0]
            boxes = F.sigmoid(self.bbox_head(content) + anchor_logits[0][index])
        logits, mask_embeds = self.predict(content)
        with paddle.no_grad():
            masks = mask_logits(mask_embeds.detach(), prototypes.detach())
            mask_boxes = xyxy_to_cxcywh(masks_to_boxes(masks))
        return Selection(content, logits, mask_embeds, boxes, mask_boxes)

    def _valid_tokens(self, memory: Memory) -> Tensor:
        return memory.tokens * self.anchors(memory.level_sizes)[1]

    def predict(self, content: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits (..., C) and mask embeds (..., P) of queries (..., width)."""
        content = self.dec_norm(content)
        return self.score_head(content), self.mask_query_head(content)

    def decode(
        self, content: Tensor, *, boxes: Tensor, memory: Memory, mask: Tensor | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Refine queries with the shared heads; see `QueryDecoder.forward`."""
        return self.decoder(
            content,
            boxes=boxes,
            memory=memory,
            box_head=self.bbox_head,
            position_head=self.query_pos_head,
            mask=mask,
        )

    def _stack_predictions(
        self, contents: Sequence[Tensor], boxes: Sequence[Tensor], prototypes: Tensor
    ) -> QueryPredictions:
        """Predict for several layers at once."""
        logits, mask_embeds = self.predict(paddle.stack(list(contents)))
        return QueryPredictions(
            logits=logits, boxes=paddle.stack(list(boxes)), mask_embeds=mask_embeds, prototypes=prototypes
        )

    def _denoising_content(self, denoising: DenoisingQueries) -> Tensor:
        """Return the class embeds (B, N, width); zeros for padding."""
        present = denoising.class_ids < self.num_classes
        class_ids = paddle.where(present, denoising.class_ids, paddle.zeros_like(denoising.class_ids))
        return self.denoising_class_embed(class_ids) * present.unsqueeze(-1).astype("float32")


def _prepend(selection: Selection, decoded: QueryPredictions) -> QueryPredictions:
    """Put the selection's own predictions before those of the decoder."""
    assert selection.boxes is not None, "a selection without boxes has no loss"
    return QueryPredictions(
        logits=paddle.concat([selection.logits.unsqueeze(0), decoded.logits]),
        boxes=paddle.concat([selection.boxes.unsqueeze(0), decoded.boxes]),
        mask_embeds=paddle.concat([selection.mask_embeds.unsqueeze(0), decoded.mask_embeds]),
        prototypes=decoded.prototypes,
    )


def _take_queries(predictions: QueryPredictions, queries: slice) -> QueryPredictions:
    return QueryPredictions(
        logits=predictions.logits[:, :, queries],
        boxes=predictions.boxes[:, :, queries],
        mask_embeds=predictions.mask_embeds[:, :, queries],
        prototypes=predictions.prototypes,
    )


def _gather_tokens(tokens: Tensor, index: Tensor) -> Tensor:
    """Return tokens (B, Q, D) of `tokens` (B, L, D) at `index` (B, Q)."""
    index = index.unsqueeze(-1).expand([-1, -1, tokens.shape[2]])
    return paddle.take_along_axis(tokens, index, axis=1, broadcast=False)


def _project(in_channels: int, out_channels: int) -> nn.Sequential:
    conv = Conv2D(in_channels, out_channels, 1, weight_attr=xavier_uniform(), bias_attr=False)
    return nn.Sequential(("conv", conv), ("norm", nn.BatchNorm2D(out_channels)))
