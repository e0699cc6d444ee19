"""Recipes: what upstream fixed about training and deploying a model, read from one YAML file a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

__all__ = ["Deploy", "Ema", "Optimizer", "Recipe", "Schedule", "Warmup", "read_recipe"]


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """An optimiser and its constants.

    Attributes:
        type: `adamw` or `momentum`.
        weight_decay: decoupled for AdamW, L2 for Momentum.
        momentum: of Momentum.
        clip_norm: global norm that gradients are clipped to, or None.
    """

    type: Literal["adamw", "momentum"]
    weight_decay: float
    momentum: float = 0.9
    clip_norm: float | None = None


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Learning rate over a run; every length is a fraction of the run, so that short runs follow it too.

    Attributes:
        type: `constant`, `piecewise`, `cosine` or `polynomial`.
        milestones: fractions of the run after which the rate is multiplied by `gamma` (piecewise).
        gamma: factor at each milestone.
        length: of a cosine or polynomial decay over the run's length (1.2: the run ends before the decay).
        power: of the polynomial.
        end_lr: of the polynomial.
        after_warmup: a cosine or polynomial decay begins where the warm-up ends, not with the run.
    """

    type: Literal["constant", "piecewise", "cosine", "polynomial"] = "constant"
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    length: float = 1.0
    power: float = 0.9
    end_lr: float = 0.0
    after_warmup: bool = False


@dataclass(frozen=True, kw_only=True)
class Warmup:
    """Linear warm-up from `start_factor` to 1.

    Attributes:
        steps: length in steps, or None when `epochs` counts.
        epochs: length as a fraction of the run, or None.
        start_factor: first factor.
    """

    steps: int | None = None
    epochs: float | None = None
    start_factor: float = 0.001


@dataclass(frozen=True, kw_only=True)
class Ema:
    """Exponential moving average of the weights.

    Attributes:
        decay: final decay d.
        type: the decay at step t. `exponential`: d (1 - exp(-(t + 1) / 2000)), the shadow starting from zero;
            `threshold`: min(d, (1 + t) / (10 + t)); `normal`: d.
        skip: name endings that are not averaged.
    """

    decay: float
    type: Literal["exponential", "threshold", "normal"] = "exponential"
    skip: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Deploy:
    """What `inference.yml` says of a model.

    Attributes:
        arch: architecture family as official PaddleX names it.
        min_subgraph_size: for TensorRT.
        use_dynamic_shape: whether the input size is free.
        preprocess: list of {type: ..., ...} in order.
        draw_threshold: score below which predictions are dropped by default.
    """

    arch: str
    min_subgraph_size: int
    use_dynamic_shape: bool
    preprocess: tuple[dict[str, Any], ...]
    draw_threshold: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that upstream fixed of one model.

    Attributes:
        epochs: length of the published schedule.
        learning_rate: base rate for `reference_batch` images a step.
        reference_batch: images per step over all cards that `learning_rate` was chosen for.
        scratch_learning_rate: rate without start weights, whatever the batch; None: as with them.
        scratch_clip_norm: norm that gradients are clipped to without start weights; None: as with them.
        batch_size: images per card.
        input_size: (height, width) of evaluation; with `keep_ratio` the (short, long) limits that the photo
            is resized into.
        keep_ratio: photos keep their aspect, so the network's input has any size.
        masks: what networks train on: `dense`, masks of the whole input, or `shapes`, polygons that are
            rasterised where they are needed (`InstanceShapes`).
        optimizer, schedule, warmup, ema: as the classes say; `ema` None means off.
        sample_transforms: list of {Name: {parameters}} applied to each photo.
        batch_transforms: likewise, applied to the batch as a whole.
        deploy: what inference.yml says.
        network: keyword arguments of the builder beyond its own defaults.
    """

    epochs: int
    learning_rate: float
    reference_batch: int
    batch_size: int
    input_size: tuple[int, int]
    optimizer: Optimizer
    schedule: Schedule
    warmup: Warmup
    ema: Ema | None
    sample_transforms: tuple[dict[str, dict[str, Any]], ...]
    batch_transforms: tuple[dict[str, dict[str, Any]], ...]
    deploy: Deploy
    network: dict[str, Any] = field(default_factory=dict)
    scratch_learning_rate: float | None = None
    scratch_clip_norm: float | None = None
    keep_ratio: bool = False
    masks: Literal["dense", "shapes"] = "dense"

    def input_size_for(self, side: int | None) -> tuple[int, int]:
        """The `input_size` that a user's one number stands for.

        Args:
            side: of the square input or, with `keep_ratio`, the short limit, which the long one follows in
                proportion; None keeps the recipe's.
        """
        if side is None:
            return self.input_size
        short, long = self.input_size
        return (side, round(side * long / short)) if self.keep_ratio else (side, side)


@cache
def read_recipe(path: Path) -> Recipe:
    """Read a recipe; a wrong key is our own fault and raises TypeError or KeyError."""
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    base = content.pop("base", None)
    if base is not None:
        content = {**yaml.safe_load((path.parent / base).read_text(encoding="utf-8")), **content}
    height, width = content.pop("input_size")
    schedule = dict(content.pop("schedule"))
    deploy = dict(content.pop("deploy"))
    ema = content.pop("ema")
    return Recipe(
        input_size=(height, width),
        optimizer=Optimizer(**content.pop("optimizer")),
        schedule=Schedule(**{**schedule, "milestones": tuple(schedule.get("milestones", ()))}),
        warmup=Warmup(**content.pop("warmup")),
        ema=Ema(**{**ema, "skip": tuple(ema.get("skip", ()))}) if ema else None,
        sample_transforms=tuple(content.pop("sample_transforms")),
        batch_transforms=tuple(content.pop("batch_transforms")),
        deploy=Deploy(**{**deploy, "preprocess": tuple(deploy["preprocess"])}),
        **content,
    )
