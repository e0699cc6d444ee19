"""The recorded numbers that all semantic networks share, and the inputs they were made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fill import image
from reference import Reference, find_references

_FILES = find_references("semantic_segmentation", model_prefix="Common")

each_common = pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)


def reference_of(file: Path) -> Reference:
    return Reference(file)


def seed_of(reference: Reference) -> int:
    return int(reference.info["input"]["seed"])


def logits_of(reference: Reference) -> np.ndarray:
    """(2, C, 120, 160) float32."""
    base = image(seed_of(reference), (2, 3, 120, 160))
    stacked = np.concatenate([base, 1 - base, base[:, ::-1] * base], axis=1)
    return (6 * (stacked[:, : reference.info["num_classes"]] - 0.5)).astype(np.float32)


def labels(seed: int, shape: tuple[int, int, int], num_classes: int) -> np.ndarray:
    """(N, H, W) int64: 8 x 8 blocks of one class each, and a band of 255 across the middle."""
    count, height, width = shape
    cells = np.random.Generator(np.random.PCG64(seed)).integers(0, num_classes, (count, 8, 8))
    rows, columns = np.arange(height) * 8 // height, np.arange(width) * 8 // width
    found = cells[:, rows[:, None], columns[None]]
    found[:, height // 2 : height // 2 + max(height // 16, 1)] = 255
    return found.astype(np.int64)


def loss_labels(reference: Reference) -> np.ndarray:
    """(2, 120, 160) int64, of the logits' pixels."""
    return labels(seed_of(reference), (2, 120, 160), reference.info["num_classes"])
