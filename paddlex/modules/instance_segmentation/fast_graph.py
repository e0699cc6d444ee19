"""A network as the fast ONNX graph that `inference/backends/fast_graph.py` runs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import paddle
from paddle import Tensor, nn

from paddlex.inference.backends.fast_graph import FAST_OUTPUTS
from paddlex.modules.export_onnx import convert_graphs, name_outputs
from paddlex.modules.export_paddle import save_static_graph
from paddlex.repo_apis.paddle_detection.mask_rcnn_network import MaskRCNN
from paddlex.repo_apis.paddle_detection.ppyoloe_seg_network import PPYOLOESeg

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["make_fast_graph"]


def make_fast_graph(network: nn.Layer, *, input_size: tuple[int, int] | None) -> ModelProto:
    """Convert a network, masks at their own small size.

    Args:
        network: in evaluation mode, fused.
        input_size: (height, width) of its input; None for a network that takes any, one photo at a time.

    Raises:
        MissingDependencyError: if paddle2onnx or onnx is absent or does not load.
        ExportError: if it cannot be converted.
    """
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(network, MaskRCNN):
            return _two_stage(network, Path(folder))
        if isinstance(network, PPYOLOESeg) and input_size is not None:
            return _one_stage(network, Path(folder), input_size=input_size)
        return _traced(network, Path(folder), input_size=input_size)


def _traced(network: nn.Layer, folder: Path, *, input_size: tuple[int, int] | None) -> ModelProto:
    """The whole of `detect`, for networks that consist of operators which can be converted."""
    inputs: dict[str, tuple[int, ...]]
    if input_size is None:
        inputs = {"image": (1, 3, -1, -1), "im_shape": (1, 2)}
    else:
        inputs = {"image": (-1, 3, *input_size)}
    layer = _Detect(network, input_size=input_size).eval()
    (model,) = convert_graphs([save_static_graph(layer, folder, name="fast", inputs=inputs)])
    name_outputs(model, FAST_OUTPUTS)
    return model


class _Detect(nn.Layer):
    """A network's `detect` with outputs in order."""

    def __init__(self, network: nn.Layer, *, input_size: tuple[int, int] | None) -> None:
        super().__init__()
        self.network = network
        self._input_size = input_size

    def forward(self, image: Tensor, im_shape: Tensor | None = None) -> tuple[Tensor, ...]:
        if im_shape is None:
            assert self._input_size is not None
            im_shape = _unpadded(self._input_size)
        found = self.network.detect(image, im_shape)
        return found["boxes"], found["scores"], found["class_ids"].astype("int32"), found["masks"]


def _unpadded(input_size: tuple[int, int]) -> Tensor:
    """The `im_shape` (1, 2) of inputs of fixed size, which hold no padding."""
    return paddle.concat([paddle.full([1, 1], float(side)) for side in input_size], axis=1)


# ---------------------------------------------------------------- networks with suppression of duplicates


class _Part(nn.Layer):
    """A function of a network as a layer, so that it can be traced by itself."""

    def __init__(self, network: nn.Layer, function: Callable[[Tensor], tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.network = network
        self._function = function

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self._function(x)


def _one_stage(network: PPYOLOESeg, folder: Path, *, input_size: tuple[int, int]) -> ModelProto:
    def candidates(image: Tensor) -> tuple[Tensor, ...]:
        found = network.candidates(image, _unpadded(input_size))
        return found["boxes"], found["scores"], found["coefficients"], found["prototypes"]

    part = _Part(network, candidates).eval()
    (model,) = convert_graphs(
        [save_static_graph(part, folder, name="candidates", inputs={"x": (1, 3, *input_size)})]
    )

    from paddlex.modules.instance_segmentation.one_stage_onnx import assemble_one_stage

    return assemble_one_stage(network, model, input_size=input_size)


def _two_stage(network: MaskRCNN, folder: Path) -> ModelProto:
    # Proposals and suppression have operators that paddle2onnx does not know: the parts around them go alone.
    def trunk(image: Tensor) -> tuple[Tensor, ...]:
        features, scores, deltas = network.trunk(image)
        return *features, *scores, *deltas

    def rois(resolution: int) -> tuple[int, ...]:
        return -1, network.level_channels, resolution, resolution

    stages = network.box_stages
    parts: dict[str, tuple[Callable[[Tensor], tuple[Tensor, ...]], tuple[int, ...]]] = {
        "trunk": (trunk, (1, 3, -1, -1)),
        **{f"stage{i}": (stage, rois(network.roi_pooler.resolution)) for i, stage in enumerate(stages)},
        "masks": (lambda x: (network.mask_branch(x),), rois(network.mask_pooler.resolution)),
    }
    graphs = [
        save_static_graph(_Part(network, function).eval(), folder, name=name, inputs={"x": shape})
        for name, (function, shape) in parts.items()
    ]
    trunk_model, *stage_models, mask_model = convert_graphs(graphs)

    from paddlex.modules.instance_segmentation.two_stage_onnx import TwoStageParts, assemble_two_stage

    return assemble_two_stage(
        network, TwoStageParts(trunk=trunk_model, box_stages=stage_models, mask_branch=mask_model)
    )
