"""Narrow networks in place of those that the documents name: what they are made of is tested elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from paddlex.modules.zoo import ALL_MODELS
from paddlex.repo_apis.paddle_detection.mask_rcnn import MaskRCNN, build_mask_rcnn

_NARROW: dict[str, Any] = {
    "base_width": 4,
    "fpn_width": 8,
    "test_proposals": {"pre_nms": 60, "post_nms": 50},
}


def build_narrow(*, num_classes: int, **options: Any) -> MaskRCNN:
    return build_mask_rcnn(num_classes=num_classes, **{**options, **_NARROW})


@pytest.fixture(scope="session", autouse=True)
def _narrow_networks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MaskRCNN-ResNet50-FPN", "MaskRCNN-ResNet50-vd-FPN"):
            spec = dataclasses.replace(ALL_MODELS[name], builder="docs.conftest:build_narrow")
            patch.setitem(ALL_MODELS, name, spec)
        yield
