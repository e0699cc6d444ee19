"""Read files written by `paddle.save` without Paddle and without executing what a pickle asks for.

A pickle is a program: loading one from a stranger runs whatever it names. Paddle's own files need only a
handful of harmless constructors, so this reader knows those and refuses everything else.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from paddlex.utils.errors import WeightsError

__all__ = ["read_pdparams", "read_pickle"]

# Paddle keeps this map from structured to parameter names beside the weights; nobody needs it.
_NAME_MAP = "StructuredToParameterName@@"

_DAMAGED = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    TypeError,
    UnicodeDecodeError,
    ValueError,
)


def read_pdparams(path: Path | str) -> dict[str, np.ndarray]:
    """Read the weights of a `.pdparams` (or `.pdema`) file of Paddle 2 or 3.

    Args:
        path: the file.

    Returns:
        Arrays by name, in the file's order.

    Raises:
        WeightsError: if the file is missing, damaged, no Paddle file, asks for code to be run, or holds
            something that is not an array.
    """
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: holds a {type(content).__name__}; expected weights by name")
    return {str(name): _array(path, name, value) for name, value in content.items() if name != _NAME_MAP}


def read_pickle(path: Path | str) -> Any:  # noqa: ANN401 (plain Python data and arrays)
    """Read plain data (numbers, text, containers, arrays) that `paddle.save` wrote.

    Raises:
        WeightsError: as `read_pdparams`.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file, path).load()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error})") from error
    except _DAMAGED as error:
        raise WeightsError(
            f"{path}: {_kind(path)}, not a whole Paddle weights file ({error}); download or save it again"
        ) from error


def _array(path: Path | str, name: object, value: object) -> np.ndarray:
    # A tensor that was not inside a state_dict is saved as (parameter name, array).
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        value = value[1]
    if isinstance(value, (np.generic, float, int)):
        value = np.asarray(value)
    if not isinstance(value, np.ndarray) or value.dtype.hasobject:
        raise WeightsError(f"{path}: {name!r} is a {type(value).__name__}; expected an array of numbers")
    return value


def _kind(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(64).lstrip()
    if not head:
        return "an empty file"
    if head.startswith(b"PK"):
        return "a zip archive (PyTorch weights?)"
    if head.startswith(b"<"):
        return "a web page"
    return "damaged"


class _ArrayType:
    """Stands for `numpy.ndarray` inside a pickle, so that it can be named but not called."""


def _new_array(*_: object) -> np.ndarray:
    # The true size comes with the data; a size claimed here could only exhaust the memory.
    return np.zeros(0, np.int8)


def _encode(text: str, encoding: str = "utf-8") -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes stored as {encoding!r}; only latin1 is written by pickle")
    return text.encode(encoding)


def _scalar(dtype: np.dtype[Any], data: bytes) -> np.generic:
    if dtype.hasobject:
        raise pickle.UnpicklingError("a scalar of Python objects")
    scalar: np.generic = np.frombuffer(data, dtype, count=1)[0]
    return scalar


def _from_buffer(
    buffer: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], order: Literal["C", "F"]
) -> np.ndarray:
    array: np.ndarray = np.frombuffer(buffer, dtype).reshape(shape, order=order)
    return array


def _plain_constructors() -> dict[tuple[str, str], Callable[..., Any]]:
    constructors: dict[tuple[str, str], Callable[..., Any]] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("builtins", "tuple"): tuple,
        ("__builtin__", "tuple"): tuple,
        ("_codecs", "encode"): _encode,
        ("numpy", "ndarray"): _ArrayType,
        ("numpy", "dtype"): np.dtype,
    }
    for package in ("numpy.core", "numpy._core"):
        constructors[f"{package}.multiarray", "_reconstruct"] = _new_array
        constructors[f"{package}.multiarray", "scalar"] = _scalar
        constructors[f"{package}.numeric", "_frombuffer"] = _from_buffer
    return constructors


_CONSTRUCTORS = _plain_constructors()


class _PlainUnpickler(pickle.Unpickler):
    def __init__(self, file: Any, path: Path) -> None:  # noqa: ANN401 (any binary reader)
        # Files from the days of Python 2 hold text as latin1.
        super().__init__(file, encoding="latin1")
        self._path = path

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """Return the harmless stand-in for `module.name`, or refuse."""
        constructor = _CONSTRUCTORS.get((module, name))
        if constructor is None:
            raise WeightsError(
                f"{self._path}: refused, the file asks to call {module}.{name}, which weights never need; "
                "do not use it unless you know its origin, and save it anew as arrays with paddle.save"
            )
        return constructor
