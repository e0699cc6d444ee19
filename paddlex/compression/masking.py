"""Channels switched off without changing shapes: what a network would compute once they are gone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import paddle
from paddle import nn

from paddlex.compression.dependencies import Dependencies, Kept

__all__ = ["masked"]


@contextlib.contextmanager
def masked(network: nn.Layer, dependencies: Dependencies, kept: Kept) -> Iterator[None]:
    """Zero every weight that pruning would remove, and bring all back in the end.

    Zeroed are the filters that make a channel, what normalises it, and what reads it; so the outputs are
    those of the pruned network, up to rounding.

    Args:
        network: to be masked.
        dependencies: of this network.
        kept: for each class of channels whether it is kept.
    """
    entries = network.state_dict()
    saved = {}
    try:
        for name, axes in dependencies.axes.items():
            masks = [kept[axis] for axis in axes]
            if all(mask.all() for mask in masks):
                continue
            saved[name] = value = entries[name].numpy()
            product = np.ones((), value.dtype)
            for place, mask in enumerate(masks):
                product = product * mask.reshape([-1] + [1] * (len(masks) - place - 1)).astype(value.dtype)
            entries[name].set_value(paddle.to_tensor(value * product))
        yield
    finally:
        for name, value in saved.items():
            entries[name].set_value(paddle.to_tensor(value))
