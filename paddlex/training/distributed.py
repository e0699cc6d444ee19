"""Which of several processes this is, what they agree on, and how they learn as one.

Each process trains on its own card and its share of every batch. After each backward pass the gradients are
averaged over all processes, so that all of them take the same step. The main one alone evaluates, saves and
decides when to stop.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

import numpy as np
import paddle
from paddle import Tensor, distributed, nn

__all__ = [
    "average_gradients",
    "average_number",
    "average_over_ranks",
    "copy_from_main_rank",
    "is_main_rank",
    "join_processes",
    "main_rank_decides",
    "main_rank_first",
    "rank",
    "wait_for_all",
    "world_size",
]

# Gradients travel together in pieces of this many numbers: 64 MB.
_PIECE = 2**24


def rank() -> int:
    """Number of this process, from 0."""
    return int(distributed.get_rank())


def world_size() -> int:
    """Number of processes that train together."""
    return int(distributed.get_world_size())


def is_main_rank() -> bool:
    """Whether this process logs, evaluates and saves."""
    return rank() == 0


def join_processes() -> None:
    """Meet the other processes that the environment names, if any; each must have chosen its device."""
    if world_size() == 1 or distributed.is_initialized():
        return
    if paddle.get_device() == "cpu":
        os.environ.setdefault("PADDLE_DISTRI_BACKEND", "gloo")
    distributed.init_parallel_env()


def average_over_ranks(values: np.ndarray) -> np.ndarray:
    """Mean over all processes of an array of the same shape in each."""
    if world_size() == 1:
        return values
    total = paddle.to_tensor(values)
    distributed.all_reduce(total)
    return total.numpy() / world_size()


def average_number(value: float) -> float:
    """Mean over all processes of a number."""
    return float(average_over_ranks(np.array([value], np.float32))[0])


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Give every parameter the mean of its gradients over all processes.

    A process whose batch did not use a parameter counts with zero; one that nobody used keeps no gradient.

    Args:
        parameters: the same in each process, in the same order.
    """
    if world_size() == 1:
        return
    parameters = list(parameters)
    used = paddle.to_tensor([int(value.grad is not None) for value in parameters], dtype="int32")
    distributed.all_reduce(used)
    chosen = [value for value, count in zip(parameters, used.tolist(), strict=True) if count]
    with paddle.no_grad():
        for piece in _pieces(chosen):
            _average_piece(piece)


def _pieces(parameters: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    piece: list[Tensor] = []
    size = 0
    for value in parameters:
        piece.append(value)
        size += int(value.size)
        if size >= _PIECE:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def _average_piece(parameters: list[Tensor]) -> None:
    for value in parameters:
        if value.grad is None:
            value.grad = paddle.zeros_like(value)
    flat = paddle.concat([value.grad.flatten().astype("float32") for value in parameters])
    distributed.all_reduce(flat)
    flat /= world_size()
    parts = paddle.split(flat, [int(value.size) for value in parameters])
    for value, part in zip(parameters, parts, strict=True):
        paddle.assign(part.reshape(value.shape).astype(value.grad.dtype), output=value.grad)


def copy_from_main_rank(network: nn.Layer) -> None:
    """Give every process the parameters and buffers of the main one."""
    if world_size() > 1:
        for value in network.state_dict().values():
            distributed.broadcast(value, src=0)


def main_rank_decides(decision: bool) -> bool:
    """What the main process thinks; the others wait for it."""
    if world_size() == 1:
        return decision
    flag = paddle.to_tensor([int(decision)], dtype="int32")
    distributed.broadcast(flag, src=0)
    return bool(flag.item())


def wait_for_all() -> None:
    """Return once every process has come here."""
    average_number(0.0)


@contextlib.contextmanager
def main_rank_first() -> Iterator[None]:
    """Let the others into the block when the main process has left it: what it downloads, they find."""
    if not is_main_rank():
        wait_for_all()
    yield
    if is_main_rank():
        wait_for_all()
