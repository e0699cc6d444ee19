"""Between the arrays of files and loaders and the tensors of networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import paddle
from paddle import Tensor

__all__ = ["assign", "snapshot", "to_array", "to_tensors"]

_HALF = (paddle.float16, paddle.bfloat16)


def to_tensors(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Copy the arrays of a batch, also those in lists, to tensors on the current device."""
    return {name: _to_tensor(value) for name, value in batch.items()}


def _to_tensor(value: Any) -> Any:  # noqa: ANN401 (what a batch may hold)
    if isinstance(value, np.ndarray):
        return paddle.to_tensor(value)
    if isinstance(value, (list, tuple)):
        return [_to_tensor(item) for item in value]
    return value


def to_array(value: Tensor) -> np.ndarray:
    """Copy a tensor; half precision becomes float32, which every reader knows."""
    if value.dtype in _HALF:
        value = value.astype("float32")
    return np.array(value.numpy())


def snapshot(values: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Copy named tensors to arrays."""
    return {name: to_array(value) for name, value in values.items()}


def assign(values: Mapping[str, Tensor], arrays: Mapping[str, np.ndarray]) -> None:
    """Copy arrays into the tensors of the same names, in the tensors' own types and places."""
    for name, value in values.items():
        value.set_value(paddle.to_tensor(arrays[name]).astype(value.dtype))
