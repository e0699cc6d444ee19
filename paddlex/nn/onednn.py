"""oneDNN's convolutions, from the library that Paddle's wheels for x86 carry.

Paddle's own convolution on a CPU copies the pixels of every kernel position, in one thread, and multiplies
matrices; a depthwise one is a plain loop. oneDNN generates code for each shape and writes nothing in between.
Paddle calls it in deployed graphs only, so it is called here through its C interface (version 3,
https://uxlfoundation.github.io/oneDNN/v3.6), which its name, libdnnl.so.3, promises to keep.

Dimensions and names follow Paddle: images (B, C, H, W), kernels (O, C / groups, kh, kw).
"""

import ctypes
import math
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from paddlex.utils.logging import logger

__all__ = ["Convolution", "Geometry", "convolution"]

# Constants of the C interface.
_CPU, _IN_ORDER, _F32 = 1, 1, 3
_ANY_LAYOUT = 1
_FORWARD_TRAINING, _DIRECT = 64, 1
_SRC, _DST, _WEIGHTS, _BIAS = 1, 17, 33, 41
_DIFF_SRC, _DIFF_DST, _DIFF_WEIGHTS, _DIFF_BIAS = 129, 145, 161, 169
# What `dnnl_primitive_desc_query_md` calls the tensors of a primitive.
_QUERY = {_SRC: 129, _DIFF_SRC: 130, _WEIGHTS: 131, _DIFF_WEIGHTS: 132, _DST: 133, _DIFF_DST: 134}

_MAX_SHAPES = 256  # some 100 kB of code each; training at several sizes meets new ones all the time
_ALIGNMENT = 64  # bytes; a cache line and an AVX-512 register
_Dims = ctypes.c_int64 * 12


@dataclass(frozen=True)
class Geometry:
    """What a convolution's code depends on.

    Args:
        images: (B, C, H, W).
        kernels: (O, C / groups, kh, kw).
        stride: (rows, columns).
        padding: (top, left, bottom, right) pixels.
        dilation: (rows, columns), 1 for neighbouring pixels.
        groups: groups of channels.
    """

    images: tuple[int, ...]
    kernels: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def output(self) -> tuple[int, ...]:
        """(B, O, H', W')."""
        sides = (
            (self.images[2 + axis] + self.padding[axis] + self.padding[2 + axis] - self._reach(axis))
            // self.stride[axis]
            + 1
            for axis in (0, 1)
        )
        return (self.images[0], self.kernels[0], *sides)

    def _reach(self, axis: int) -> int:
        return self.dilation[axis] * (self.kernels[2 + axis] - 1) + 1


def convolution(geometry: Geometry) -> "Convolution | None":
    """Return the code for a geometry, or None where oneDNN is not to be had or knows none for it."""
    if _library() is None or min(*geometry.images, *geometry.output) < 1:
        return None
    return _convolution(geometry)


@lru_cache(maxsize=_MAX_SHAPES)
def _convolution(geometry: Geometry) -> "Convolution | None":
    try:
        return Convolution(geometry)
    except _OneDNNError as error:
        logger.debug("%s: left to Paddle (%s)", geometry, error)
        return None


class Convolution:
    """A convolution of one geometry and its derivatives, on addresses of contiguous float32 arrays.

    Calls may come from any thread; they take turns.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        groups, (out, *rest) = geometry.groups, geometry.kernels
        kernels = geometry.kernels if groups == 1 else (groups, out // groups, *rest)
        self._plain = {
            "images": _rows(geometry.images),
            "kernels": _rows(kernels),
            "bias": _rows((out,)),
            "output": _rows(geometry.output),
        }
        # A pointwise convolution is a matrix product, for which the order of pixels is as good as any.
        pointwise = geometry.kernels[2:] == (1, 1)
        self._wanted = {
            "images": self._plain["images"] if pointwise else _any(geometry.images),
            "kernels": _any(kernels),
            "output": self._plain["output"] if pointwise else _any(geometry.output),
        }
        self._shape = (
            _Dims(*geometry.stride),
            _Dims(*(dilation - 1 for dilation in geometry.dilation)),
            _Dims(*geometry.padding[:2]),
            _Dims(*geometry.padding[2:]),
        )
        self._plans: dict[tuple[str, bool], _Plan] = {}
        self._hint = self._describe_forward(biased=False)

    def forward(self, images: int, kernels: int, bias: int | None, output: int) -> None:
        """Write the convolution to `output`; all arguments are addresses."""
        tensors = {_SRC: images, _WEIGHTS: kernels, _DST: output}
        if bias is not None:
            tensors[_BIAS] = bias
        self._run("forward", tensors, biased=bias is not None)

    def backward_images(self, gradient: int, kernels: int, images_gradient: int) -> None:
        """Write to `images_gradient` what the `gradient` of the output means for the images."""
        tensors = {_DIFF_DST: gradient, _WEIGHTS: kernels, _DIFF_SRC: images_gradient}
        self._run("images", tensors, biased=False)

    def backward_kernels(
        self, images: int, gradient: int, kernels_gradient: int, bias_gradient: int | None
    ) -> None:
        """Write what the `gradient` of the output means for the kernels and, where there is one, the bias."""
        tensors = {_SRC: images, _DIFF_DST: gradient, _DIFF_WEIGHTS: kernels_gradient}
        if bias_gradient is not None:
            tensors[_DIFF_BIAS] = bias_gradient
        self._run("kernels", tensors, biased=bias_gradient is not None)

    def _run(self, what: str, tensors: dict[int, int], *, biased: bool) -> None:
        with _turn:
            if (what, biased) not in self._plans:
                self._plans[what, biased] = self._plan(what, biased=biased)
            self._plans[what, biased].run(tensors)

    def _plan(self, what: str, *, biased: bool) -> "_Plan":
        plain = self._plain
        if what == "forward":
            descriptor = self._describe_forward(biased=biased)
            inputs, outputs = {_SRC: plain["images"], _WEIGHTS: plain["kernels"]}, {_DST: plain["output"]}
            untouched = {_BIAS: plain["bias"]}
        elif what == "images":
            descriptor = self._describe_backward_images()
            inputs = {_DIFF_DST: plain["output"], _WEIGHTS: plain["kernels"]}
            outputs, untouched = {_DIFF_SRC: plain["images"]}, {}
        else:
            descriptor = self._describe_backward_kernels(biased=biased)
            inputs = {_SRC: plain["images"], _DIFF_DST: plain["output"]}
            outputs, untouched = {_DIFF_WEIGHTS: plain["kernels"]}, {_DIFF_BIAS: plain["bias"]}
        return _Plan(descriptor, inputs, outputs, untouched if biased else {})

    def _describe_forward(self, *, biased: bool) -> "_Handle":
        return _create(
            "convolution_forward_primitive_desc",
            _engine(),
            _FORWARD_TRAINING,
            _DIRECT,
            *(self._wanted["images"], self._wanted["kernels"]),
            *(self._plain["bias"] if biased else None, self._wanted["output"]),
            *(*self._shape, None),
        )

    def _describe_backward_images(self) -> "_Handle":
        return _create(
            "convolution_backward_data_primitive_desc",
            _engine(),
            _DIRECT,
            *(self._wanted["images"], self._wanted["kernels"], self._wanted["output"]),
            *(*self._shape, self._hint, None),
        )

    def _describe_backward_kernels(self, *, biased: bool) -> "_Handle":
        return _create(
            "convolution_backward_weights_primitive_desc",
            _engine(),
            _DIRECT,
            *(self._wanted["images"], self._wanted["kernels"]),
            *(self._plain["bias"] if biased else None, self._wanted["output"]),
            *(*self._shape, self._hint, None),
        )


class _Plan:
    """A primitive, with the copies that bring its tensors into the layouts it wants and back."""

    def __init__(
        self,
        descriptor: "_Handle",
        inputs: dict[int, "_Handle"],
        outputs: dict[int, "_Handle"],
        untouched: dict[int, "_Handle"],
    ) -> None:
        self._primitive = _primitive(descriptor)
        self._plain = {name: _memory(layout) for name, layout in (inputs | outputs | untouched).items()}
        self._inner: dict[int, tuple[_Handle, int]] = {}
        before, after = [], []
        for name, layout in (inputs | outputs).items():
            inner = _query(descriptor, _QUERY[name])
            if _call("memory_desc_equal", inner, layout):
                continue
            self._inner[name] = _memory(inner), _call("memory_desc_get_size", inner)
            plain, inside = self._plain[name], self._inner[name][0]
            if name in inputs:
                before.append((_reorder(layout, inner), _arguments({_SRC: plain, _DST: inside})))
            else:
                after.append((_reorder(inner, layout), _arguments({_SRC: inside, _DST: plain})))
        used = self._plain | {name: memory for name, (memory, _) in self._inner.items()}
        self._steps = [*before, (self._primitive, _arguments(used)), *after]

    def run(self, tensors: dict[int, int]) -> None:
        """Run on the addresses of the tensors."""
        for name, address in tensors.items():
            _check("memory_set_data_handle", self._plain[name], ctypes.c_void_p(address))
        for place, (memory, size) in enumerate(self._inner.values()):
            _check("memory_set_data_handle", memory, ctypes.c_void_p(_scratch.address(place, size)))
        for primitive, arguments in self._steps:
            _check("primitive_execute", primitive, _stream(), len(arguments), arguments)
        _check("stream_wait", _stream())


class _Scratch:
    """Arrays that outlive a call, each as large as the largest asked for: fresh memory costs page faults."""

    def __init__(self) -> None:
        self._arrays: dict[int, np.ndarray] = {}

    def address(self, place: int, size: int) -> int:
        """Return the aligned address of `size` bytes, the same ones at every call for a place."""
        if place not in self._arrays or self._arrays[place].nbytes < size + _ALIGNMENT:
            self._arrays[place] = np.empty(size + _ALIGNMENT, np.uint8)
        start = self._arrays[place].ctypes.data
        return start + -start % _ALIGNMENT


_scratch = _Scratch()
_turn = threading.Lock()


# --------------------------------------------------------------------------- the C interface


class _OneDNNError(RuntimeError):
    """A call that oneDNN refused."""


class _Argument(ctypes.Structure):
    _fields_ = (("name", ctypes.c_int), ("memory", ctypes.c_void_p))


class _Handle:
    """An object of oneDNN's, destroyed with this one."""

    def __init__(
        self,
        value: int,
        *,
        destroy: Callable[[ctypes.c_void_p], Any] | None = None,
        owner: "_Handle | None" = None,
    ) -> None:
        self._as_parameter_ = ctypes.c_void_p(value)
        self._owner = owner  # lives as long as what it lent
        if destroy is not None:
            # Not at exit: then the library frees everything itself, in an order of its own.
            weakref.finalize(self, destroy, self._as_parameter_).atexit = False


@cache
def _library() -> ctypes.CDLL | None:
    path = Path(paddle.__file__).parent / "libs" / "libdnnl.so.3"
    if not path.is_file():
        return None
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        logger.debug("%s: %s", path, error)
        return None
    library.dnnl_primitive_desc_query_md.restype = ctypes.c_void_p
    library.dnnl_memory_desc_get_size.restype = ctypes.c_size_t
    return library


def _call(name: str, *arguments: Any) -> Any:  # noqa: ANN401 (C knows numbers and addresses)
    return getattr(_library(), f"dnnl_{name}")(*arguments)


def _check(name: str, *arguments: Any) -> None:  # noqa: ANN401
    status = _call(name, *arguments)
    if status:
        raise _OneDNNError(f"dnnl_{name} returned {status}")


def _create(kind: str, *arguments: Any, variant: str = "") -> _Handle:  # noqa: ANN401
    """Call `dnnl_<kind>_create<variant>`, whose first argument receives the new object."""
    created = ctypes.c_void_p()
    _check(f"{kind}_create{variant}", ctypes.byref(created), *arguments)
    family = "primitive_desc" if kind.endswith("primitive_desc") else kind
    return _Handle(created.value or 0, destroy=getattr(_library(), f"dnnl_{family}_destroy"))


@cache
def _engine() -> _Handle:
    return _create("engine", _CPU, ctypes.c_size_t(0))


@cache
def _stream() -> _Handle:
    return _create("stream", _engine(), _IN_ORDER)


def _rows(shape: Sequence[int]) -> _Handle:
    """Describe an array of the shape in C order."""
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    dimensions = len(shape), _Dims(*shape), _F32, _Dims(*strides)
    return _create("memory_desc", *dimensions, variant="_with_strides")


def _any(shape: Sequence[int]) -> _Handle:
    """Describe an array of the shape whose layout oneDNN may choose."""
    return _create("memory_desc", len(shape), _Dims(*shape), _F32, _ANY_LAYOUT, variant="_with_tag")


def _memory(layout: _Handle) -> _Handle:
    """Return an array without an address yet."""
    return _create("memory", layout, _engine(), None)


def _query(descriptor: _Handle, what: int) -> _Handle:
    """Return the layout that a primitive wants, which belongs to its descriptor."""
    return _Handle(_call("primitive_desc_query_md", descriptor, what, 0), owner=descriptor)


def _primitive(descriptor: _Handle) -> _Handle:
    return _create("primitive", descriptor)


def _reorder(source: _Handle, target: _Handle) -> _Handle:
    return _primitive(_create("reorder_primitive_desc", source, _engine(), target, _engine(), None))


def _arguments(memories: dict[int, _Handle]) -> Any:  # noqa: ANN401 (an array type per length)
    entries = [_Argument(name, memory._as_parameter_.value) for name, memory in memories.items()]
    return (_Argument * len(entries))(*entries)
