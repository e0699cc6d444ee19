"""`train_results.json` is what the original toolkit writes, to the letter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paddlex.training.results import FINAL, Evaluated, train_results

GOLDEN = Path(__file__).parents[1] / "parity" / "engine" / "train_results.json"


@pytest.fixture(scope="module")
def golden() -> dict:
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("step", [0, 1], ids=["first_evaluation", "last_evaluation"])
def test_train_results_with_average(golden: dict, step: int) -> None:
    case = golden["steps"][step]
    scores = golden["validation_scores_by_epoch"]
    epochs = case["after_epoch"]
    history = [
        Evaluated(
            name=FINAL if epoch == len(scores) else str(epoch - 1), epoch=epoch, score=scores[epoch - 1]
        )
        for epoch in range(1, epochs + 1)
    ]
    found = train_results(
        model_name="Mask-RT-DETR-L",
        history=history,
        best=max(history, key=lambda item: item.score),
        with_ema=True,
        done=case["train_results.json"]["done_flag"],
    )
    assert json.dumps(found) == json.dumps(case["train_results.json"])


def test_train_results_without_average_and_best(golden: dict) -> None:
    found = train_results(
        model_name="MaskRCNN-ResNet50-FPN",
        history=[Evaluated(name="0", epoch=1, score=0.5)],
        best=None,
        with_ema=False,
        done=False,
    )
    assert json.dumps(found) == json.dumps(golden["steps"][2]["train_results.json"])
