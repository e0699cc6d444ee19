"""Region proposal network (arXiv:1506.01497): which anchors hold an object, and how to move them onto it."""

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.convolution import Conv2D
from paddlex.nn.initializers import normal
from paddlex.repo_apis.paddle_detection.heads.rpn_anchors import AnchorGrid

__all__ = ["RPNHead", "flatten_levels"]


class RPNHead(nn.Layer):
    """Head that all levels share.

    Args:
        in_channels: channels of every level.
        num_anchors: anchors of a cell.
    """

    def __init__(self, in_channels: int, *, num_anchors: int) -> None:
        super().__init__()
        # The published names put the shared convolution into a layer of its own.
        self.rpn_feat = nn.Sequential(
            ("rpn_conv", Conv2D(in_channels, in_channels, 3, padding=1, weight_attr=normal(0.01)))
        )
        self.rpn_rois_score = Conv2D(in_channels, num_anchors, 1, weight_attr=normal(0.01))
        self.rpn_rois_delta = Conv2D(in_channels, 4 * num_anchors, 1, weight_attr=normal(0.01))

    @property
    def in_channels(self) -> int:
        """Channels of every level: as many as the kernels read, fewer than built with after pruning."""
        return int(self.rpn_feat[0].weight.shape[1])

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Score and move the anchors of every cell.

        Args:
            features: levels (B, in_channels, h, w).

        Returns:
            Per level objectness logits (B, A, h, w), and deltas (B, 4A, h, w) with channel 4 * anchor +
            coordinate.
        """
        hidden = [F.relu(self.rpn_feat(feature)) for feature in features]
        return [self.rpn_rois_score(x) for x in hidden], [self.rpn_rois_delta(x) for x in hidden]


def flatten_levels(
    scores: Sequence[Tensor], deltas: Sequence[Tensor], *, anchors: AnchorGrid
) -> tuple[Tensor, Tensor, Tensor]:
    """Bring the outputs of all levels into the order of their anchors.

    Args:
        scores: per level (B, A, h, w).
        deltas: per level (B, 4A, h, w).
        anchors: of the levels.

    Returns:
        Logits (B, N), deltas (B, N, 4) and anchors (N, 4) xyxy of all N anchors, fine to coarse.
    """
    batch = scores[0].shape[0]
    return (
        paddle.concat([x.transpose([0, 2, 3, 1]).reshape([batch, -1]) for x in scores], axis=1),
        paddle.concat([x.transpose([0, 2, 3, 1]).reshape([batch, -1, 4]) for x in deltas], axis=1),
        paddle.concat([anchors.grid(i, *x.shape[2:]) for i, x in enumerate(scores)]),
    )
