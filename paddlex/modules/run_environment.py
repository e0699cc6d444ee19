"""What surrounds every training run: what it ran on, how it fails, and what its network draws."""

from __future__ import annotations

import contextlib
import faulthandler
import platform
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import paddle
from paddle import nn

import paddlex
from paddlex.nn.draws import UniformDraws
from paddlex.training.hooks import Hook
from paddlex.training.loop import Loop
from paddlex.utils.errors import PaddleXError
from paddlex.utils.logging import logger

__all__ = ["ReadyForStep", "log_environment", "plain_memory_errors"]


@dataclass(frozen=True)
class ReadyForStep(Hook):
    """Gives the network what depends on the step alone, so that a resumed run trains alike."""

    network: nn.Layer

    def before_step(self, loop: Loop, seed: int) -> None:
        """Replace its source of randomness; tell a network with `progress` how much of the run is done."""
        self.network.draws = UniformDraws(seed)
        if hasattr(self.network, "progress"):
            self.network.progress = loop.position.step / loop.total_steps


def log_environment(*, device: str, options: object) -> None:
    """Log versions, device and options."""
    logger.info(
        "paddlex %s, paddle %s, numpy %s, python %s, %s, device %s",
        paddlex.__version__,
        paddle.__version__,
        np.__version__,
        platform.python_version(),
        platform.platform(),
        device,
    )
    logger.info("options: %s", options)


@contextlib.contextmanager
def plain_memory_errors(remedy: str) -> Iterator[None]:
    """Turn Paddle's page about exhausted memory into a line; show where Python is if the process crashes.

    Args:
        remedy: what the user can lower.

    Raises:
        PaddleXError: memory was exhausted inside the block.
    """
    if not faulthandler.is_enabled():
        faulthandler.enable()
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and "ResourceExhausted" not in str(error):
            raise
        raise PaddleXError(f"memory exhausted; {remedy}") from error
