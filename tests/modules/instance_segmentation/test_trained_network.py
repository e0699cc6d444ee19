"""Weights say how many classes they know, whatever the family."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from modules.instance_segmentation.filled_network import write_weights

from paddlex.modules.instance_segmentation.class_names import INSTANCE_CLASSES
from paddlex.modules.trained_network import count_classes, load_trained_network
from paddlex.modules.zoo import ALL_MODELS
from paddlex.repo_apis.paddle_detection.suite import MODELS
from paddlex.utils.errors import WeightsError

# What the published networks are made of, by name and shape.
_PUBLISHED = {
    info["model"]: info
    for path in sorted((Path(__file__).parents[2] / "parity").glob("*/*.json"))
    if isinstance(info := json.loads(path.read_text(encoding="utf-8")), dict) and "params" in info
}


@pytest.mark.parametrize("name", ALL_MODELS)
def test_the_published_weights_of_every_model_tell_their_classes(name: str) -> None:
    info = _PUBLISHED[name]
    arrays = {entry: np.zeros(shape, np.float32) for entry, shape, _ in info["params"]}
    assert count_classes(ALL_MODELS[name], arrays, source="x") == info["num_classes"]


def test_weights_of_a_backbone_alone_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"holds no score_head\.bias, which Mask-RT-DETR-S has"):
        count_classes(MODELS["Mask-RT-DETR-S"], {"backbone.weight": np.zeros(3)}, source="x")


@pytest.mark.parametrize(("chosen", "expected"), [(None, (96, 96)), (64, (64, 64))])
def test_the_input_is_that_of_the_training_unless_one_is_chosen(
    tmp_path: Path, chosen: int | None, expected: tuple[int, int]
) -> None:
    trained = load_trained_network(
        MODELS["Mask-RT-DETR-S"],
        weight_path=write_weights(tmp_path / "best_model"),
        classes=INSTANCE_CLASSES,
        input_size=chosen,
    )
    assert trained.input_size == expected and not trained.network.training
