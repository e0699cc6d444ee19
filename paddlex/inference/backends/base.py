"""What a backend is: it runs an exported graph on a batch of prepared photos."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from paddlex.inference.postprocess import RawDetections
from paddlex.utils.cpu import available_cores
from paddlex.utils.errors import UsageError

__all__ = ["Backend", "NetworkInput", "cpu_threads", "stack_images"]

_THREADS_VARIABLE = "PADDLE_PDX_CPU_NUM_THREADS"


@dataclass(frozen=True, eq=False)
class NetworkInput:
    """One prepared photo.

    Attributes:
        image: (3, h, w) float32.
        im_shape: (height, width) after resizing, before padding.
        scale_factor: (vertical, horizontal), resized over original size.
    """

    image: NDArray[np.float32]
    im_shape: tuple[float, float]
    scale_factor: tuple[float, float]


class Backend(Protocol):
    """Runs an exported graph.

    Attributes:
        name: the choice that selects it: "onnx", "openvino", "paddle".
        batches: whether several photos run at once; otherwise `run` takes them one by one.
    """

    name: str
    batches: bool

    def run(self, inputs: Sequence[NetworkInput]) -> list[RawDetections]:
        """Candidates of each photo, in order. The images must have one size."""


def cpu_threads() -> int:
    """Threads to run a graph with: `PADDLE_PDX_CPU_NUM_THREADS`, else the cores this process may use.

    Raises:
        UsageError: if the variable is no positive whole number.
    """
    text = os.environ.get(_THREADS_VARIABLE, "").strip()
    if not text:
        return available_cores()
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"{_THREADS_VARIABLE}={text}: expected a whole number of at least 1")
    return int(text)


def stack_images(inputs: Sequence[NetworkInput]) -> NDArray[np.float32]:
    """(B, 3, h, w) of a batch."""
    return np.stack([item.image for item in inputs])


def named_outputs(values: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The outputs of a fast graph by name; converters rename outputs but keep their order."""
    return dict(zip(("boxes", "scores", "class_ids", "masks"), values, strict=True))
