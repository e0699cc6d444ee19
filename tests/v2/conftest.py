"""Tiny data sets behind the 2.x names, and models that train on them within seconds."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest
from data.tiny_coco import TRAIN, VAL, write_tiny_coco
from data.tiny_semantic import write_tiny_semantic
from modules.instance_segmentation.tiny_mask_rcnn import tiny_spec

import paddlex as pdx
from paddlex import transforms
from paddlex.modules.zoo import ALL_MODELS
from paddlex.utils.logging import set_up_logging

HALVES = [0.5, 0.5, 0.5]
# A narrow pyramid and few proposals.
TINY: dict[str, Any] = {
    "backbone": "ResNet50",
    "fpn_num_channels": 8,
    "test_pre_nms_top_n": 60,
    "test_post_nms_top_n": 50,
}


@pytest.fixture(scope="session")
def pixel_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_semantic(tmp_path_factory.mktemp("pixels") / "data", train=4, val=2)


def pixel_sets(folder: Path) -> tuple[Any, Any]:
    """Training and validation photos, resized to 64 x 64."""
    sets = []
    for part, augmented in (("train", [transforms.RandomHorizontalFlip()]), ("val", [])):
        chain = transforms.Compose([transforms.Resize(64), *augmented, transforms.Normalize(HALVES, HALVES)])
        sets.append(
            pdx.datasets.SegDataset(
                str(folder),
                str(folder / f"{part}.txt"),
                str(folder / "labels.txt"),
                transforms=chain,
                num_workers=0,
                shuffle=part == "train",
            )
        )
    return sets[0], sets[1]


@pytest.fixture(scope="session")
def coco_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_coco(tmp_path_factory.mktemp("instances") / "data", train=4, val=2)


def coco_sets(folder: Path) -> tuple[Any, Any]:
    """Training and validation photos as the tutorial of PaddleX 1 prepares them, but smaller."""
    from paddlex.det import transforms

    sets = []
    for part, augmented in ((TRAIN, [transforms.RandomHorizontalFlip()]), (VAL, [])):
        chain = transforms.Compose(
            [
                *augmented,
                transforms.Normalize(),
                transforms.ResizeByShort(short_size=96, max_size=160),
                transforms.Padding(coarsest_stride=32),
            ]
        )
        sets.append(
            pdx.datasets.CocoDetection(
                data_dir=str(folder / "images"), ann_file=str(folder / part), transforms=chain, num_workers=0
            )
        )
    return sets[0], sets[1]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """What a user is told while the test runs."""
    logger = set_up_logging()
    monkeypatch.setattr(logger, "propagate", True)
    caplog.set_level(logging.INFO, logger.name)
    return caplog


@pytest.fixture(scope="session", autouse=True)
def _narrow_networks() -> Any:
    """MaskRCNN classes build narrow networks here: what they are made of is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        for form in ("fpn", "c4"):
            spec = tiny_spec(form)
            builder = f"modules.instance_segmentation.{spec.builder}"
            patch.setitem(ALL_MODELS, spec.name, dataclasses.replace(spec, builder=builder))
        yield
