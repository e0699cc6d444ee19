"""What a user may choose about a training run, alike for both tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["AmpLevel", "LearningRateScaling", "TrainOptions"]

AmpLevel = Literal["off", "O1", "O2"]
LearningRateScaling = Literal["linear", "sqrt", "none"]


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Choices of one training run; None always means "as the recipe says".

    Attributes:
        num_classes: classes the user expects; the data must agree. None takes what the data has.
        epochs: length of the run in passes over the training photos; or
        iterations: its length in optimiser steps, which then count in `eval_interval`, too.
        batch_size: photos per card and batch.
        learning_rate: taken literally; None scales the recipe's rate to the photos per step, or takes its
            rate for training from scratch.
        lr_scaling: how the recipe's rate follows the photos per step.
        warmup_steps: steps of linear warm-up, at most a quarter of the run.
        pretrain_weights: None or `coco` (the published network), `imagenet` (its backbone), `scratch`, a
            path or a URL. With None a failed download is only warned of; what is named must be had.
        resume_path: a `.pdparams` of a checkpoint, or `auto`: the newest one in the output folder, if any.
        log_interval: steps between log lines.
        eval_interval: epochs, or iterations, between evaluations.
        save_interval: steps between checkpoints inside an epoch; None saves at the ends of epochs only.
        device: `cpu`, `gpu:0`, ...; None takes a GPU if there is one.
        seed: of everything random.
        num_workers: processes that prepare photos; 0 prepares them in this one.
        input_size: side of the square network input, or the short side where photos keep their aspect or
            crops are trained on; a multiple of 32; None as the recipe says.
        short_side: of photos before anything else, in training, evaluation and deployment, for networks that
            take any size; None takes photos as they are.
        multi_scale: draw the sizes that the recipe draws, scaled with `input_size`; else always that size.
        augment: colour, expand, crop, flip.
        amp: mixed precision.
        accumulate_steps: batches per optimiser step.
        clip_norm: global norm of the gradient is clipped to it; None never clips.
        ema: average the weights.
        patience: evaluations without a better score after which training stops; None never stops.
        freeze: patterns of parameter names that stay as they are, e.g. `backbone` or `backbone.*.bn`.
        keep_checkpoints: numbered checkpoints that are kept, beside the best.
        allow_empty: photos without objects take part.
        network: keyword arguments of the network's builder above those of the recipe; they concern training
            only, such as the loss, and are not kept with the weights.
    """

    batch_size: int
    epochs: int | None = None
    iterations: int | None = None
    num_classes: int | None = None
    learning_rate: float | None = None
    lr_scaling: LearningRateScaling = "linear"
    warmup_steps: int | None = None
    pretrain_weights: str | None = None
    resume_path: str | None = None
    log_interval: int = 10
    eval_interval: int = 1
    save_interval: int | None = None
    device: str | None = None
    seed: int = 0
    num_workers: int = 4
    input_size: int | None = None
    short_side: int | None = None
    multi_scale: bool = True
    augment: bool = True
    amp: AmpLevel = "off"
    accumulate_steps: int = 1
    clip_norm: float | Literal["recipe"] | None = "recipe"
    ema: bool | None = None
    patience: int | None = None
    freeze: tuple[str, ...] = ()
    keep_checkpoints: int = 5
    allow_empty: bool = True
    network: Mapping[str, Any] = field(default_factory=dict)
