"""Mixed precision: forward passes in half precision, and the scaling that float16 needs."""

from __future__ import annotations

import contextlib
from typing import Any

import paddle
from paddle import Tensor, nn

from paddlex.training.options import AmpLevel
from paddlex.utils.logging import logger

__all__ = ["Precision"]


class Precision:
    """How numbers are held during a step (arXiv:1710.03740).

    bfloat16 where the card has it, else float16 with a dynamic loss scale. A CPU always computes in float32.

    Args:
        level: `off`; `O1`: half precision where it is safe; `O2`: nearly everywhere, with float32 masters.
    """

    def __init__(self, level: AmpLevel) -> None:
        if level != "off" and paddle.get_device() == "cpu":
            logger.warning("Train.amp %s: mixed precision needs a GPU; computing in float32", level)
            level = "off"
        self.level = level
        self.dtype = "float32"
        if level != "off":
            self.dtype = "bfloat16" if paddle.amp.is_bfloat16_supported() else "float16"
        self._scaler = paddle.amp.GradScaler() if self.dtype == "float16" else None

    @property
    def rescues_overflow(self) -> bool:
        """Whether a step with infinite gradients is skipped and the scale lowered, rather than an error."""
        return self._scaler is not None

    def prepare(
        self, network: nn.Layer, optimizer: paddle.optimizer.Optimizer
    ) -> tuple[nn.Layer, paddle.optimizer.Optimizer]:
        """Convert the network's parameters for `O2`."""
        if self.level != "O2":
            return network, optimizer
        network, optimizer = paddle.amp.decorate(network, optimizer, level="O2", dtype=self.dtype)
        return network, optimizer

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Context of the forward pass."""
        if self.level == "off":
            return contextlib.nullcontext()
        return paddle.amp.auto_cast(level=self.level, dtype=self.dtype)  # type: ignore[no-any-return]

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss`."""
        (loss if self._scaler is None else self._scaler.scale(loss)).backward()

    def unscale(self, optimizer: paddle.optimizer.Optimizer) -> None:
        """Make the gradients those of the loss itself; call before clipping."""
        if self._scaler is not None:
            self._scaler.unscale_(optimizer)

    def step(self, optimizer: paddle.optimizer.Optimizer) -> None:
        """Update the parameters, unless float16 overflowed."""
        if self._scaler is None:
            optimizer.step()
        else:
            self._scaler.step(optimizer)
            self._scaler.update()

    def state(self) -> dict[str, Any]:
        """The loss scale, as plain numbers."""
        if self._scaler is None:
            return {}
        return {key: _plain(value) for key, value in self._scaler.state_dict().items()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` returned."""
        if self._scaler is not None and state:
            self._scaler.load_state_dict(state)


def _plain(value: Any) -> Any:  # noqa: ANN401 (numbers, or arrays of one number)
    return value.numpy() if isinstance(value, Tensor) else value
