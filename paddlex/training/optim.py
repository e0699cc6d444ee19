"""Optimisers: built from plain numbers, gradients clipped and checked, state saved under stable names."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import paddle
from paddle import Tensor, nn

from paddlex.training.tensors import to_array
from paddlex.utils.errors import UsageError, WeightsError

__all__ = [
    "build_optimizer",
    "clip_gradients",
    "freeze_parameters",
    "load_optimizer_state",
    "nonfinite_gradients",
    "optimizer_state",
    "trainable_parameters",
    "wind_scheduler",
]


def trainable_parameters(network: nn.Layer) -> dict[str, Tensor]:
    """Parameters that learn, by name."""
    return {name: value for name, value in network.named_parameters() if not value.stop_gradient}


def freeze_parameters(network: nn.Layer, patterns: Sequence[str]) -> list[str]:
    """Stop the parameters whose name matches a pattern, or begins with it at a dot, from learning.

    Returns:
        Names of those that learnt before.

    Raises:
        UsageError: if a pattern matches no parameter.
    """
    frozen = []
    parameters = dict(network.named_parameters())
    for pattern in patterns:
        names = [name for name in parameters if _matches(name, pattern)]
        if not names:
            heads = sorted({name.split(".")[0] for name in parameters})
            raise UsageError(
                f"Train.freeze: {pattern!r} matches no parameter; names begin with {', '.join(heads)}"
            )
        frozen += [name for name in names if not parameters[name].stop_gradient]
    for name in frozen:
        parameters[name].stop_gradient = True
        parameters[name].trainable = False
    for layer in network.sublayers():
        scales = layer.parameters(include_sublayers=False)
        if isinstance(layer, nn.layer.norm._BatchNormBase) and all(value.stop_gradient for value in scales):
            # A frozen normalisation keeps its statistics too.
            layer._use_global_stats = True
    return sorted(set(frozen))


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, pattern.rstrip(".") + ".*")


def build_optimizer(
    parameters: Iterable[Tensor],
    *,
    algorithm: Literal["adamw", "momentum"],
    weight_decay: float,
    momentum: float = 0.9,
) -> paddle.optimizer.Optimizer:
    """Build AdamW (decoupled decay) or Momentum (L2 decay); the loop sets the rate before every step.

    A parameter's `optimize_attr["learning_rate"]` multiplies the rate, and with AdamW so its decay:
    w -= rate * factor * (decay * w + update).

    Args:
        parameters: those that learn.
        algorithm: `adamw` (beta 0.9 and 0.999, epsilon 1e-8; arXiv:1711.05101) or `momentum`.
        weight_decay: of all parameters.
        momentum: of Momentum.
    """
    values = list(parameters)
    if not values:
        raise UsageError("Train.freeze: every parameter is frozen; nothing would be trained")
    if algorithm == "adamw":
        return paddle.optimizer.AdamW(learning_rate=0.0, parameters=values, weight_decay=weight_decay)
    return paddle.optimizer.Momentum(
        learning_rate=0.0, momentum=momentum, parameters=values, weight_decay=weight_decay
    )


def wind_scheduler(optimizer: paddle.optimizer.Optimizer, *, steps: int) -> None:
    """Move an optimiser's own scheduler on by so many steps; a plain rate stays as it is.

    One by one: not every scheduler can say its rate at a step that it has not come to.
    """
    scheduler = optimizer._learning_rate
    if isinstance(scheduler, paddle.optimizer.lr.LRScheduler):
        for _ in range(steps):
            scheduler.step()


def clip_gradients(parameters: Iterable[Tensor], *, max_norm: float | None) -> float:
    """Scale all gradients in place so that their global L2 norm is at most `max_norm`.

    Returns:
        The norm before clipping; not finite when a gradient is not.
    """
    gradients = [value.grad for value in parameters if value.grad is not None]
    if not gradients:
        return 0.0
    with paddle.no_grad():
        squares = [paddle.sum(paddle.square(gradient.astype("float32"))) for gradient in gradients]
        norm = float(paddle.sqrt(paddle.add_n(squares)))
        if max_norm is not None and norm > max_norm and np.isfinite(norm):
            for gradient in gradients:
                gradient.scale_(max_norm / norm)
    return norm


def nonfinite_gradients(parameters: dict[str, Tensor]) -> list[str]:
    """Names of parameters whose gradient holds NaN or infinity."""
    return [
        name
        for name, value in parameters.items()
        if value.grad is not None and not bool(paddle.isfinite(value.grad.astype("float32")).all())
    ]


def optimizer_state(
    optimizer: paddle.optimizer.Optimizer, parameters: dict[str, Tensor]
) -> dict[str, np.ndarray]:
    """Copy the optimiser's state to arrays named `<parameter>/<slot>`.

    Paddle names slots after parameters numbered in order of creation, which another process need not share.
    """
    structured = {value.name: name for name, value in parameters.items()}
    state = optimizer.state_dict()
    masters = state.pop("master_weights", {})
    state.pop("LR_Scheduler", None)
    arrays = {f"{structured[name]}/master": to_array(value) for name, value in masters.items()}
    for key, value in state.items():
        owner = max((name for name in structured if key.startswith(name + "_")), key=len)
        arrays[f"{structured[owner]}/{key[len(owner) + 1 :]}"] = to_array(value)
    return arrays


def load_optimizer_state(
    optimizer: paddle.optimizer.Optimizer, parameters: dict[str, Tensor], arrays: dict[str, Any]
) -> None:
    """Put back what `optimizer_state` copied.

    Raises:
        WeightsError: if the arrays name a parameter that does not learn now.
    """
    state: dict[str, Any] = {}
    masters: dict[str, Tensor] = {}
    for key, array in arrays.items():
        name, _, slot = key.rpartition("/")
        if name not in parameters:
            raise WeightsError(
                f"the optimiser's state names {name!r}, which does not learn in this run; "
                "resume with the Train.freeze and model of the first run"
            )
        owner = parameters[name].name
        if slot == "master":
            masters[owner] = paddle.to_tensor(array)
        else:
            state[f"{owner}_{slot}"] = paddle.to_tensor(array)
    if masters:
        state["master_weights"] = masters
    optimizer.set_state_dict(state)
