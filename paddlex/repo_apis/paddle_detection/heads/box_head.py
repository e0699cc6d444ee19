"""Box heads of R-CNN: RoI features to class logits and box deltas, in one stage or in a cascade of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import paddle.nn.functional as F
from paddle import Tensor, nn

from paddlex.nn.box_coding import CodingWeights
from paddlex.nn.initializers import constant, normal, xavier_uniform
from paddlex.repo_apis.paddle_detection.backbones.resnet import BottleneckStage

__all__ = ["BoxHead", "BoxStage", "CascadeBoxHead", "Res5Head", "StageSettings", "TwoFCHead"]


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """What differs between the stages of a cascade (arXiv:1712.00726); Mask R-CNN has one of them.

    Attributes:
        coding_weights: factors on the deltas of centre x, centre y, width and height.
        match_iou: IoU with an object from which on a box is foreground.
    """

    coding_weights: CodingWeights = (10.0, 10.0, 5.0, 5.0)
    match_iou: float = 0.5


@dataclass(frozen=True, kw_only=True)
class BoxStage:
    """The layers of one stage, and how its deltas are coded.

    Attributes:
        trunk: RoI features (R, C, S, S) to features (R, D), or to maps (R, D, s, s) that are then averaged.
        score: features (R, D) to class logits (R, num_classes + 1), the last of the background.
        delta: features (R, D) to deltas (R, 4 * num_classes), or (R, 4) for all classes alike.
        settings: coding and matching.
    """

    trunk: nn.Layer
    score: nn.Linear
    delta: nn.Linear
    settings: StageSettings

    @property
    def coding_weights(self) -> CodingWeights:
        """Factors on the deltas of centre x, centre y, width and height."""
        return self.settings.coding_weights

    def __call__(self, roi_features: Tensor) -> tuple[Tensor, Tensor]:
        """Map roi_features (R, C, S, S) to class logits (R, num_classes + 1) and deltas."""
        return self.predict(self.trunk(roi_features))

    def predict(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map what the trunk gives to class logits and deltas."""
        if features.ndim == 4:
            features = F.adaptive_avg_pool2d(features, 1).flatten(1)
        return self.score(features), self.delta(features)


class TwoFCHead(nn.Layer):
    """Two fully connected layers with ReLU (the box head of arXiv:1612.03144).

    Args:
        in_channels: channels of the RoI features.
        resolution: their side.
        width: features of each layer.
    """

    def __init__(self, in_channels: int, *, resolution: int, width: int = 1024) -> None:
        super().__init__()
        in_features = in_channels * resolution**2
        # The fan out of a convolution over the whole RoI, which this layer is.
        attr = xavier_uniform(fan_in=in_features, fan_out=in_features)
        self.fc6 = nn.Linear(in_features, width, weight_attr=attr)
        self.fc7 = nn.Linear(width, width, weight_attr=xavier_uniform(fan_in=width, fan_out=width))
        self.out_channels = width

    def forward(self, roi_features: Tensor) -> Tensor:
        """Map roi_features (R, in_channels, resolution, resolution) to (R, width)."""
        return F.relu(self.fc7(F.relu(self.fc6(roi_features.flatten(1)))))


class Res5Head(nn.Layer):
    """The last stage of a ResNet-50 as head of boxes and masks, where there is no pyramid (C4).

    Args:
        in_channels: channels of the RoI features.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.res5 = BottleneckStage(5, in_channels=in_channels, num_blocks=3)
        self.out_channels = self.res5.out_channels

    def forward(self, roi_features: Tensor) -> Tensor:
        """Map roi_features (R, in_channels, S, S) to (R, out_channels, S / 2, S / 2)."""
        return self.res5(roi_features)


class BoxHead(nn.Layer):
    """The single stage of Faster and Mask R-CNN, with deltas for each class.

    Args:
        head: RoI features to features; has `out_channels`.
        num_classes: classes without the background.
        settings: of the stage.

    Attributes:
        num_classes: as given.
    """

    def __init__(self, head: nn.Layer, *, num_classes: int, settings: StageSettings) -> None:
        super().__init__()
        self.head = head
        self.bbox_score = _score_layer(head.out_channels, num_classes)
        self.bbox_delta = _delta_layer(head.out_channels, 4 * num_classes)
        self.num_classes = num_classes
        self._settings = settings

    @property
    def stages(self) -> tuple[BoxStage, ...]:
        """The one stage."""
        return (
            BoxStage(trunk=self.head, score=self.bbox_score, delta=self.bbox_delta, settings=self._settings),
        )


class CascadeBoxHead(nn.Layer):
    """Stages that refine the boxes one after another, with deltas for all classes alike (arXiv:1712.00726).

    Args:
        make_head: makes the trunk of a stage, a layer with `out_channels`.
        num_classes: classes without the background.
        settings: of each stage, in order.

    Attributes:
        num_classes: as given.
    """

    def __init__(
        self, make_head: Callable[[], nn.Layer], *, num_classes: int, settings: Sequence[StageSettings]
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self._settings = tuple(settings)
        self.head = nn.LayerList(make_head() for _ in settings)
        for index, trunk in enumerate(self.head):
            self.add_sublayer(f"bbox_score_stage{index}", _score_layer(trunk.out_channels, num_classes))
            self.add_sublayer(f"bbox_delta_stage{index}", _delta_layer(trunk.out_channels, 4))

    @property
    def stages(self) -> tuple[BoxStage, ...]:
        """The stages in order."""
        return tuple(
            BoxStage(
                trunk=trunk,
                score=getattr(self, f"bbox_score_stage{index}"),
                delta=getattr(self, f"bbox_delta_stage{index}"),
                settings=settings,
            )
            for index, (trunk, settings) in enumerate(zip(self.head, self._settings, strict=True))
        )


def _score_layer(width: int, num_classes: int) -> nn.Linear:
    return nn.Linear(width, num_classes + 1, weight_attr=normal(0.01), bias_attr=constant(0.0))


def _delta_layer(width: int, outputs: int) -> nn.Linear:
    return nn.Linear(width, outputs, weight_attr=normal(0.001), bias_attr=constant(0.0))
