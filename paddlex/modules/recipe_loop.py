"""A recipe and a user's options turned into a training loop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paddlex.repo_apis import recipe as recipes
from paddlex.repo_apis.recipe import Recipe
from paddlex.training import distributed
from paddlex.training.ema import Ema
from paddlex.training.hooks import Hook
from paddlex.training.loop import Loader, Loop
from paddlex.training.optim import build_optimizer, trainable_parameters
from paddlex.training.options import TrainOptions
from paddlex.training.precision import Precision
from paddlex.training.schedules import LearningRate, scaled_learning_rate, warmup_length
from paddlex.utils.logging import logger

if TYPE_CHECKING:
    import paddle
    from paddle import nn

__all__ = ["build_loop"]

# What upstream averages with wherever a recipe does; for recipes without, once a user wants it.
_USUAL_EMA = recipes.Ema(decay=0.9998, type="threshold")


def build_loop(
    network: nn.Layer,
    loader: Loader,
    *,
    recipe: Recipe,
    options: TrainOptions,
    from_scratch: bool,
    output_dir: Path,
    hooks: Sequence[Hook],
    optimizer: paddle.optimizer.Optimizer | None = None,
    learning_rate: LearningRate | None = None,
) -> Loop:
    """Build the loop that trains `network` as `recipe` says and `options` change.

    Args:
        network: with its start weights; what is to stay as it is does not learn.
        loader: batches of this card.
        recipe: what upstream fixed.
        options: what the user chose.
        from_scratch: the network began without weights.
        output_dir: of the run.
        hooks: called in this order.
        optimizer: over parameters of `network`, with a rate of its own; None builds the recipe's.
        learning_rate: of the recipe's optimiser; None: as recipe and options say.

    Raises:
        UsageError: nothing is left to learn.
    """
    own_rate = optimizer is not None
    optimizer = optimizer or build_optimizer(
        trainable_parameters(network).values(),
        algorithm=recipe.optimizer.type,
        weight_decay=recipe.optimizer.weight_decay,
        momentum=recipe.optimizer.momentum,
    )
    precision = Precision(options.amp)
    network, optimizer = precision.prepare(network, optimizer)
    steps_per_epoch = -(-len(loader) // options.accumulate_steps)
    steps = options.iterations or steps_per_epoch * (options.epochs or 0)
    if learning_rate is None and not own_rate:
        learning_rate = _learning_rate(
            recipe, options, from_scratch=from_scratch, total_steps=steps, epochs=steps / steps_per_epoch
        )
    return Loop(
        network=network,
        loader=loader,
        optimizer=optimizer,
        learning_rate=learning_rate,
        epochs=options.epochs,
        iterations=options.iterations,
        output_dir=output_dir,
        accumulate_steps=options.accumulate_steps,
        clip_norm=_clip_norm(recipe, options, from_scratch=from_scratch),
        ema=_ema(network, recipe, wanted=options.ema),
        precision=precision,
        seed=options.seed,
        hooks=hooks,
    )


def _clip_norm(recipe: Recipe, options: TrainOptions, *, from_scratch: bool) -> float | None:
    """The norm that was chosen, else that for a start without weights, else the recipe's."""
    if options.clip_norm != "recipe":
        return options.clip_norm
    if from_scratch and recipe.scratch_clip_norm is not None:
        return recipe.scratch_clip_norm
    return recipe.optimizer.clip_norm


def _learning_rate(
    recipe: Recipe, options: TrainOptions, *, from_scratch: bool, total_steps: int, epochs: float
) -> LearningRate:
    """The recipe's schedule over the whole run, warm-up included."""
    base = _base_rate(recipe, options, from_scratch=from_scratch)
    wanted = _wanted_warmup(recipe, options, total_steps=total_steps)
    warmup = warmup_length(wanted, total_steps=total_steps)
    shortened = f" (shortened from {wanted} to a quarter of the run)" if warmup < wanted else ""
    logger.info("%d steps in %.4g epochs, %d of warm-up%s", total_steps, epochs, warmup, shortened)
    schedule = recipe.schedule
    return LearningRate(
        base=base,
        total_steps=total_steps,
        decay=schedule.type,
        milestones=schedule.milestones,
        gamma=schedule.gamma,
        length=schedule.length,
        power=schedule.power,
        end=schedule.end_lr,
        decay_after_warmup=schedule.after_warmup,
        warmup_steps=warmup,
        warmup_start=recipe.warmup.start_factor,
    )


def _base_rate(recipe: Recipe, options: TrainOptions, *, from_scratch: bool) -> float:
    """The rate that was chosen, else that for a start without weights, else the one that fits the batch."""
    batch = options.batch_size * options.accumulate_steps * distributed.world_size()
    if options.learning_rate is not None:
        logger.info("learning rate %.6g, as given, for %d photos a step", options.learning_rate, batch)
        return options.learning_rate
    if from_scratch and recipe.scratch_learning_rate is not None:
        logger.info("learning rate %.6g: the recipe's from scratch", recipe.scratch_learning_rate)
        return recipe.scratch_learning_rate
    base = scaled_learning_rate(
        recipe.learning_rate,
        batch=batch,
        reference_batch=recipe.reference_batch,
        scaling=options.lr_scaling,
    )
    logger.info(
        "learning rate %.6g: the recipe's %.6g for %d photos a step, scaled (%s) to %d photos a step",
        *(base, recipe.learning_rate, recipe.reference_batch, options.lr_scaling, batch),
    )
    return base


def _wanted_warmup(recipe: Recipe, options: TrainOptions, *, total_steps: int) -> int:
    if options.warmup_steps is not None:
        return options.warmup_steps
    if recipe.warmup.epochs is not None:
        return round(recipe.warmup.epochs * total_steps)
    return recipe.warmup.steps or 0


def _ema(network: nn.Layer, recipe: Recipe, *, wanted: bool | None) -> Ema | None:
    if wanted is False or (wanted is None and recipe.ema is None):
        return None
    ema = recipe.ema or _USUAL_EMA
    return Ema(network, decay=ema.decay, kind=ema.type, skip=ema.skip)
