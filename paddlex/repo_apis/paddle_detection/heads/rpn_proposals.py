"""Proposals: the best boxes of the region proposal network, without duplicates."""

from collections.abc import Sequence
from dataclasses import dataclass

import paddle
from paddle import Tensor
from paddle.vision.ops import generate_proposals

from paddlex.nn.coordinates import spatial_size
from paddlex.repo_apis.paddle_detection.heads.rpn_anchors import AnchorGrid

__all__ = ["ProposalLimits", "make_proposals"]


@dataclass(frozen=True, kw_only=True)
class ProposalLimits:
    """What becomes a proposal.

    Attributes:
        pre_nms: boxes of a level that enter the suppression of duplicates.
        post_nms: proposals of a photo.
        nms_iou: a box that overlaps a better one more than this is a duplicate.
        min_size: smallest width and height in pixels; below 1 it counts as 1.
        collect_top_k: let a level keep `pre_nms` boxes instead of `post_nms`, before the best `post_nms` of
            all levels are taken.
    """

    pre_nms: int
    post_nms: int
    nms_iou: float = 0.7
    min_size: float = 0.0
    collect_top_k: bool = False


def make_proposals(
    scores: Sequence[Tensor],
    deltas: Sequence[Tensor],
    im_shape: Tensor,
    *,
    anchors: AnchorGrid,
    limits: ProposalLimits,
) -> list[Tensor]:
    """Return the proposals of each photo, which no gradient flows through.

    A level that yields nothing contributes one box of zeros. More than `post_nms` proposals of several levels
    are sorted by score and cut; otherwise they keep the order of the levels.

    Args:
        scores: per level (B, A, h, w) objectness logits.
        deltas: per level (B, 4A, h, w), coded with unit weights.
        im_shape: (B, 2) float32, height and width of the photos in the batch; boxes are clipped to them.
        anchors: of the levels.
        limits: what becomes a proposal.

    Returns:
        Per photo (n, 4) xyxy in pixels of the network input. In tracing B has to be known, H and W not.
    """
    grids = []
    for level, score in enumerate(scores):
        size = spatial_size(score)
        grids.append(anchors.grid(level, *size).reshape([*size, anchors.num_anchors, 4]))
    proposals = []
    # Photo by photo: the operator does the same inside, and photos cannot influence one another.
    for i in range(scores[0].shape[0]):
        boxes, logits = [], []
        for level, grid in enumerate(grids):
            level_boxes, level_logits, _ = generate_proposals(
                scores[level][i : i + 1].detach(),
                deltas[level][i : i + 1].detach(),
                im_shape[i : i + 1],
                grid,
                paddle.ones_like(grid),
                pre_nms_top_n=limits.pre_nms,
                post_nms_top_n=limits.pre_nms if limits.collect_top_k else limits.post_nms,
                nms_thresh=limits.nms_iou,
                min_size=limits.min_size,
                return_rois_num=True,
            )
            boxes.append(level_boxes)
            logits.append(level_logits.flatten())
        if len(boxes) == 1:
            proposals.append(boxes[0])
        else:
            proposals.append(_best(paddle.concat(boxes), paddle.concat(logits), count=limits.post_nms))
    return proposals


def _best(boxes: Tensor, logits: Tensor, *, count: int) -> Tensor:
    """Return the `count` best boxes in descending order, or all in the given order if there are no more.

    The decision is made by arithmetic, because a traced graph does not know the number of boxes.
    """
    position = paddle.cumsum(paddle.ones_like(logits))
    rank = paddle.where(position[-1] > count, logits, -position)
    return boxes.gather(paddle.argsort(rank, descending=True)[:count])
