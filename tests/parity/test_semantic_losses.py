"""Losses of semantic segmentation equal the published ones, value and gradient."""

from __future__ import annotations

from pathlib import Path

import paddle
import pytest
from semantic_common import each_common, logits_of, loss_labels, reference_of

from paddlex.repo_apis.paddle_seg.losses.cross_entropy import CrossEntropyLoss
from paddlex.repo_apis.paddle_seg.losses.dice import DiceLoss
from paddlex.repo_apis.paddle_seg.losses.lovasz_softmax import LovaszSoftmaxLoss
from paddlex.repo_apis.paddle_seg.losses.mixed import Loss, choose_loss


def _losses(class_weights: tuple[float, ...]) -> dict[str, Loss]:
    return {
        "ce": choose_loss(False),
        "ce_weighted": CrossEntropyLoss(class_weights=class_weights),
        "ce_avg_all": CrossEntropyLoss(avg_non_ignore=False),
        "ce_top_half": CrossEntropyLoss(top_k_percent_pixels=0.5),
        "dice": DiceLoss(),
        "dice_px2": DiceLoss(per_image=False, smooth=0.0, epsilon=1e-5),
        "lovasz_softmax": LovaszSoftmaxLoss(),
        "mixed_default": choose_loss(True),
    }


@each_common
@pytest.mark.parametrize("group", ["loss", "loss_grad"])
def test_losses_equal_the_published_ones(file: Path, group: str) -> None:
    reference = reference_of(file)
    values = {}
    for name, loss in _losses(tuple(reference.info["input"]["class_weights"])).items():
        logits = paddle.to_tensor(logits_of(reference), stop_gradient=False)
        value = loss(logits, paddle.to_tensor(loss_labels(reference)))
        value.backward()
        values[name] = value.numpy() if group == "loss" else logits.grad.numpy()
    assert reference.faults(group, values) == []
