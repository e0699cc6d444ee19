"""Tracing a layer to one of Paddle's static graphs."""

import paddle

import paddlex

__all__ = ["trace_as_written"]


def trace_as_written() -> None:
    """Let Paddle trace our source as it stands.

    It would translate the source first, looking for branches on tensors. There are none, and the translation
    does not know all of Python (`zip(..., strict=True)` stops it).
    """
    paddle.jit.ignore_module([paddlex])
