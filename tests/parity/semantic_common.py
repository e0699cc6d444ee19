"""The recorded numbers that all semantic networks share, and the inputs they were made from."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from fill import image
from reference import Reference, find_references

_FILES = find_references("semantic_segmentation", model_prefix="Common")

each_common = pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)


def reference_of(file: Path) -> Reference:
    return Reference(file)


def numbers_in(text: str) -> tuple[int, ...]:
    """The whole numbers of a text, as of a written shape."""
    return tuple(map(int, re.findall(r"\d+", text)))


def logits_of(reference: Reference) -> np.ndarray:
    """(N, C, H, W) float32."""
    seed, *shape = numbers_in(re.search(r"image\(([^)]*)\)", reference.info["input"]["logits"])[1])
    base = image(seed, tuple(shape))
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
    """(N, H, W) int64, of the logits' pixels."""
    seed, *shape, num_classes = numbers_in(reference.info["input"]["loss_labels"])
    return labels(seed, tuple(shape), num_classes)


def photo_of(reference: Reference) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8, its channels named B, G, R, and (H, W) labels: what the transforms were applied to."""
    said = next(check["what"] for check in reference.info["checks"] if "uint8_image(" in check["what"])
    further, *size = numbers_in(re.search(r"uint8_image\(seed\+([^)]*)\)", said)[1])
    seed = int(reference.info["input"]["seed"]) + further
    pixels = np.floor(255 * image(seed, (1, 3, *size))[0].transpose(1, 2, 0)).astype(np.uint8)
    return pixels, labels(seed, (1, *size), reference.info["num_classes"])[0].astype(np.uint8)
