"""Mask-RT-DETR-S on a small input, weights made from their names: it finds something, always the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
from parity.fill import fill_state_dict

from paddlex.modules.model_info import ModelInfo, write_model_info
from paddlex.repo_apis.paddle_detection.suite import MODELS

SPEC = MODELS["Mask-RT-DETR-S"]
SIZE = (96, 96)
CLASS_NAMES = ("bar", "disc")


def filled_network(*, num_classes: int = len(CLASS_NAMES)) -> paddle.nn.Layer:
    """The network in evaluation mode."""
    network = SPEC.build(num_classes=num_classes, eval_size=SIZE)
    weights = fill_state_dict(network.state_dict())
    network.set_state_dict({name: paddle.to_tensor(value) for name, value in weights.items()})
    network.eval()
    return network


def write_weights(folder: Path, *, class_names: tuple[str, ...] = CLASS_NAMES, describe: bool = True) -> Path:
    """Weights as training leaves them."""
    folder.mkdir(parents=True)
    path = folder / f"{folder.name}.pdparams"
    paddle.save(filled_network(num_classes=len(class_names)).state_dict(), str(path))
    if describe:
        write_model_info(path, model_info(class_names=class_names))
    return path


def model_info(*, class_names: tuple[str, ...] = CLASS_NAMES, model_name: str = SPEC.name) -> ModelInfo:
    return ModelInfo(
        model_name=model_name,
        class_names=class_names,
        category_ids=tuple(range(1, len(class_names) + 1)),
        input_size=SIZE,
    )


def photos(count: int = 2) -> list[np.ndarray]:
    """(H, W, 3) uint8 RGB of differing sizes."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (60 + 10 * i, 80, 3), dtype=np.uint8) for i in range(count)]
