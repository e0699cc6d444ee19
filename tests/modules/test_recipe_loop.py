"""The learning rate a run begins with, and the norm its gradients are clipped to."""

from __future__ import annotations

from typing import Any

import pytest
from paddle import nn

from paddlex.modules.recipe_loop import _base_rate, _clip_norm, _ema
from paddlex.repo_apis.paddle_detection.suite import MODELS
from paddlex.training.options import TrainOptions

# Published for 8 photos a step: 0.00005.
RECIPE = MODELS["Mask-RT-DETR-S"].recipe


@pytest.mark.parametrize(
    ("options", "from_scratch", "rate"),
    [
        ({"batch_size": 8}, False, 5e-5),
        ({"batch_size": 2}, False, 1.25e-5),
        ({"batch_size": 2, "accumulate_steps": 4}, False, 5e-5),
        ({"batch_size": 2, "lr_scaling": "sqrt"}, False, 2.5e-5),
        ({"batch_size": 2, "lr_scaling": "none"}, False, 5e-5),
        ({"batch_size": 2}, True, 4e-4),
        ({"batch_size": 2, "learning_rate": 1e-3}, True, 1e-3),
        ({"batch_size": 2, "learning_rate": 1e-3}, False, 1e-3),
    ],
    ids=["reference batch", "linear", "accumulated", "sqrt", "none", "scratch", "chosen, scratch", "chosen"],
)
def test_rate_is_the_chosen_one_or_fits_start_and_batch(
    options: dict[str, Any], from_scratch: bool, rate: float
) -> None:
    chosen = TrainOptions(epochs=1, **options)
    assert _base_rate(RECIPE, chosen, from_scratch=from_scratch) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("chosen", "from_scratch", "norm"),
    [("recipe", True, 10.0), ("recipe", False, None), (5.0, True, 5.0), (None, True, None)],
    ids=["scratch", "start weights", "chosen", "switched off"],
)
def test_gradients_are_clipped_as_chosen_or_as_the_start_needs(
    chosen: Any,
    from_scratch: bool,
    norm: float | None,
) -> None:
    options = TrainOptions(epochs=1, batch_size=2, clip_norm=chosen)
    # Published without clipping; from scratch the mask loss would throw the weights apart.
    recipe = MODELS["PP-YOLOE_seg-S"].recipe
    assert _clip_norm(recipe, options, from_scratch=from_scratch) == norm


@pytest.mark.parametrize(
    ("model", "wanted", "decay"),
    [
        ("Mask-RT-DETR-S", None, 0.9999),
        ("Mask-RT-DETR-S", False, None),
        ("MaskRCNN-ResNet50-FPN", None, None),
        ("MaskRCNN-ResNet50-FPN", True, 0.9998),
    ],
    ids=["recipe's", "switched off", "none in the recipe", "switched on"],
)
def test_weights_are_averaged_as_chosen_or_as_the_recipe_says(
    model: str, wanted: bool | None, decay: float | None
) -> None:
    ema = _ema(nn.Linear(1, 1), MODELS[model].recipe, wanted=wanted)
    assert (ema and ema._decay) == decay
