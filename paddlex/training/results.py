"""`train_results.json` in the form of the original toolkit: the newest five checkpoints and the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BEST", "FINAL", "Evaluated", "train_results"]

BEST, FINAL = "best_model", "model_final"

_LISTED = 5
_INFERENCE_FILES = {
    "inference_config": "inference.yml",
    "pdmodel": "inference.pdmodel",
    "pdiparams": "inference.pdiparams",
    "pdiparams.info": "inference.pdiparams.info",
}


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """An evaluated checkpoint.

    Attributes:
        name: of its folder.
        epoch: epochs finished when it was saved.
        step: optimiser steps done.
        score: what the best model is chosen by, 0 to 1.
        metrics: all that the evaluation measured.
    """

    name: str
    epoch: int
    score: float
    step: int = 0
    metrics: dict[str, float] = field(default_factory=dict)


def train_results(
    *,
    model_name: str,
    history: Sequence[Evaluated],
    best: Evaluated | None,
    with_ema: bool,
    done: bool,
    file_stem: str | None = None,
) -> dict[str, Any]:
    """Content of the file after an evaluation.

    Args:
        model_name: public name of the model.
        history: all evaluated checkpoints, oldest first.
        best: the one copied to `best_model`.
        with_ema: whether `.pdema` files exist.
        done: whether training is complete.
        file_stem: name of a checkpoint's files without suffix; None: that of its folder.
    """

    def entry(name: str, score: float) -> dict[str, Any]:
        return _entry(name, score, stem=f"{name}/{file_stem or name}", with_ema=with_ema)

    newest = [entry(item.name, item.score) for item in reversed(history[-_LISTED:])]
    newest += [{}] * (_LISTED - len(newest))
    models = {f"last_{i}": entry for i, entry in enumerate(newest, start=1)}
    models["best"] = entry(BEST, best.score) if best else {}
    return {
        "model_name": model_name,
        "label_dict": "",
        "visualdl_log": "",
        "train_log": "train.log",
        "config": "config.yaml",
        "models": models,
        "done_flag": done,
    }


def _entry(name: str, score: float, *, stem: str, with_ema: bool) -> dict[str, Any]:
    suffixes = ["pdparams", "pdopt", "pdstates", *(["pdema"] if with_ema else [])]
    return {
        "score": score,
        **{suffix: f"{stem}.{suffix}" for suffix in suffixes},
        # Listed from the beginning; an export of the best and the last model fills them at the end.
        **{key: f"{name}/inference/{file}" for key, file in _INFERENCE_FILES.items()},
    }
