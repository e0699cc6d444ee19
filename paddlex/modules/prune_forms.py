"""The form in which each kind of network is traced for pruning: tensors in, every trained part reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import paddle
from paddle import Tensor, nn

from paddlex.repo_apis.paddle_detection.mask_rcnn_network import MaskRCNN
from paddlex.repo_apis.paddle_seg.network import SemanticNetwork

__all__ = ["DETECTIONS", "PROPOSALS", "TracedForm", "traced_form"]

# How many boxes the heads of R-CNN are counted with: the published number of proposals, and a full photo.
PROPOSALS, DETECTIONS = 1000, 100


@dataclass(frozen=True, kw_only=True)
class TracedForm:
    """A layer to trace.

    Attributes:
        layer: around the network.
        inputs: name and shape of each input.
    """

    layer: nn.Layer
    inputs: Mapping[str, tuple[int, ...]]


def traced_form(
    network: nn.Layer,
    *,
    input_size: tuple[int, int],
    proposals: int = PROPOSALS,
    detections: int = DETECTIONS,
) -> TracedForm:
    """Return how a network is traced, and what for.

    Semantic networks run with their auxiliary heads. R-CNN runs its heads on a fixed number of boxes,
    however many a photo would give. Other networks run as their exported graphs do.

    Args:
        network: any of the zoo.
        input_size: (height, width) of the input, pixels.
        proposals: boxes that box heads are counted with.
        detections: boxes that mask heads are counted with.
    """
    image = {"image": (1, 3, *input_size)}
    if isinstance(network, SemanticNetwork):
        return TracedForm(layer=_AllHeads(network), inputs=image)
    if isinstance(network, MaskRCNN):
        boxes = {"proposals": (proposals, 4), "detections": (detections, 4)}
        return TracedForm(layer=_RegionHeads(network), inputs={**image, **boxes})
    return TracedForm(
        layer=_OfficialGraph(network), inputs={"im_shape": (1, 2), **image, "scale_factor": (1, 2)}
    )


class _AllHeads(nn.Layer):
    """A semantic network with the heads that only training has; dropout as in evaluation."""

    def __init__(self, network: SemanticNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> list[Tensor]:
        self.network.training = True
        heads: list[Tensor] = self.network.heads(image)
        self.network.training = False
        return heads


class _RegionHeads(nn.Layer):
    """R-CNN on given boxes: the same for every stage of a cascade."""

    def __init__(self, network: MaskRCNN) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, proposals: Tensor, detections: Tensor) -> list[Tensor]:
        network = self.network
        features, scores, deltas = network.trunk(image)
        outputs = [*scores, *deltas]
        regions = _counted(network.roi_pooler(features, [proposals]), proposals)
        for stage in network.box_stages:
            outputs += stage(regions)
        outputs.append(network.mask_branch(_counted(network.mask_pooler(features, [detections]), detections)))
        return outputs


def _counted(regions: Tensor, boxes: Tensor) -> Tensor:
    """The same regions in a shape that tells how many there are, which a graph of poolers does not."""
    return paddle.reshape(regions, [boxes.shape[0], *regions.shape[1:]])


class _OfficialGraph(nn.Layer):
    """Any network, as its exported graph runs."""

    def __init__(self, network: nn.Layer) -> None:
        super().__init__()
        self.network = network

    def forward(self, im_shape: Tensor, image: Tensor, scale_factor: Tensor) -> tuple[Tensor, ...]:
        rows: tuple[Tensor, ...] = self.network.forward_official(im_shape, image, scale_factor)
        return rows
