"""R-CNN with a narrow pyramid and few proposals; weights are made from their names: it finds something."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import paddle
from parity.fill import fill_state_dict

from paddlex.repo_apis.paddle_detection.heads.rpn_proposals import ProposalLimits
from paddlex.repo_apis.paddle_detection.mask_rcnn import (
    MaskRCNN,
    build_cascade_mask_rcnn_r50_fpn,
    build_mask_rcnn,
)
from paddlex.repo_apis.paddle_detection.suite import MODELS
from paddlex.repo_apis.spec import ModelSpec

CLASS_NAMES = ("bar", "disc", "ring")
INPUT_SIZE = (96, 160)

_SMALL: dict[str, Any] = {"base_width": 4, "test_proposals": ProposalLimits(pre_nms=60, post_nms=50)}


def build_fpn(*, num_classes: int, **options: Any) -> MaskRCNN:
    return build_mask_rcnn(num_classes=num_classes, **{**_SMALL, "fpn_width": 8, **options})


def build_cascade(*, num_classes: int, **options: Any) -> MaskRCNN:
    return build_cascade_mask_rcnn_r50_fpn(num_classes=num_classes, **{**_SMALL, "fpn_width": 8, **options})


def build_c4(*, num_classes: int, **options: Any) -> MaskRCNN:
    return build_mask_rcnn(num_classes=num_classes, **{**_SMALL, "with_fpn": False, **options})


def tiny_spec(name: str) -> ModelSpec:
    """The declaration of a published model around a tiny network: "fpn", "cascade" or "c4"."""
    published = {
        "fpn": "MaskRCNN-ResNet50-FPN",
        "cascade": "Cascade-MaskRCNN-ResNet50-FPN",
        "c4": "MaskRCNN-ResNet50",
    }[name]
    return dataclasses.replace(MODELS[published], builder=f"tiny_mask_rcnn:build_{name}")


def filled(network: paddle.nn.Layer) -> paddle.nn.Layer:
    """The network in evaluation mode."""
    weights = fill_state_dict(network.state_dict(), keep=["proj_conv.weight"])
    network.set_state_dict({name: paddle.to_tensor(value) for name, value in weights.items()})
    network.eval()
    return network


def photos() -> list[np.ndarray]:
    """(H, W, 3) uint8 RGB, smooth and noisy."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8).repeat(20, axis=0).repeat(20, axis=1)
    return [coarse, rng.integers(0, 256, (150, 110, 3), dtype=np.uint8)]
