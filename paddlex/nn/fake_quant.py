"""Fake quantisation: float numbers that only take the values an integer of few bits can hold.

A tensor x with scale s and b bits becomes round(x / s n) s / n, clipped to [-s, s], n = 2 ** (b - 1) - 1;
ties go to even. Its gradient is that of the identity (the straight-through estimator, arXiv:1308.3432), so
that a network learns under the rounding it will be deployed with.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import paddle
from paddle import ParamAttr, Tensor, nn
from paddle.nn.initializer import Constant

__all__ = [
    "AbsMax",
    "ChannelWiseAbsMax",
    "FakeQuantizer",
    "MovingAverageAbsMax",
    "RangeAbsMax",
    "Scale",
    "attach_quantizers",
    "carry_quantizers",
    "quantizable_layers",
    "quantized_layers",
    "quantizers_off",
    "round_to_levels",
]

_SMALLEST_SCALE = 1e-9
_PACT_START, _PACT_RATE = 100.0, 1000.0
_INPUT, _WEIGHT = "input_quantizer", "weight_quantizer"

# What can be quantised, by the name users give it; the axis of the weight's output channels.
_LAYER_TYPES: dict[str, tuple[type[nn.Layer], int]] = {
    "Conv2D": (nn.Conv2D, 0),
    "Conv2DTranspose": (nn.Conv2DTranspose, 1),
    "Linear": (nn.Linear, 1),
}


def round_to_levels(x: Tensor, scale: Tensor, *, bits: int) -> Tensor:
    """Clip to [-scale, scale] and round to the levels of so many bits; without a gradient of its own.

    Args:
        x: any shape.
        scale: of a shape that broadcasts to that of x.
        bits: 1 to 16; 1 bit, which has no level beside zero, is taken for 2.
    """
    levels = max(2 ** (bits - 1) - 1, 1)
    with paddle.no_grad():
        scale = scale.clip(min=_SMALLEST_SCALE)
        return (x * (levels / scale)).round_().clip_(-levels, levels) * (scale / levels)


class _StraightThrough(paddle.autograd.PyLayer):
    """`round_to_levels` whose gradient is handed through."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, bits: int) -> Tensor:  # noqa: ANN401 (Paddle's context)
        return round_to_levels(x, scale, bits=bits)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        return grad, None


# --------------------------------------------------------------------------- how a scale comes about


class Scale(nn.Layer, ABC):
    """Half the range that a tensor is quantised in, from what was seen of it.

    What is seen is kept in float32 buffers, which travel with the weights: a resumed run goes on with it.
    """

    axis: int | None = None

    @abstractmethod
    def observe(self, x: Tensor) -> Tensor:
        """Take in a tensor of training; returns the scale to quantise it with."""

    @abstractmethod
    def value(self, x: Tensor) -> Tensor:
        """The scale to quantise x with in evaluation; zero when nothing was seen yet."""

    @abstractmethod
    def fix(self, scale: float) -> None:
        """Forget what was seen, and give this scale from now on."""

    def _buffer(self, name: str, length: int = 1) -> None:
        self.register_buffer(name, paddle.zeros([length]))

    def _seen(self, name: str) -> Tensor:
        """A buffer in float32, which almost-half-precision training may hold in fewer bits."""
        return self._buffers[name].astype("float32")


def _store(value: Tensor, buffer: Tensor) -> None:
    """In place: averages and checkpoints hold the buffer itself."""
    paddle.assign(value.astype(buffer.dtype), output=buffer)


class AbsMax(Scale):
    """The largest |x| of the tensor at hand; evaluation keeps that of the last one seen in training.

    Args:
        remembers: False for weights, which evaluation sees as training does.
    """

    def __init__(self, *, remembers: bool) -> None:
        super().__init__()
        self._remembers = remembers
        if remembers:
            self._buffer("scale")

    def observe(self, x: Tensor) -> Tensor:
        """The largest |x|."""
        largest = x.abs().max().reshape([1])
        if self._remembers:
            _store(largest, self.scale)
        return largest

    def value(self, x: Tensor) -> Tensor:
        """The largest |x|, of the last tensor in training where that is remembered."""
        return self._seen("scale") if self._remembers else self.observe(x)

    def fix(self, scale: float) -> None:
        """Remember this."""
        self.scale.set_value(paddle.full([1], scale))


class ChannelWiseAbsMax(Scale):
    """The largest |w| of every output channel of a weight.

    Args:
        axis: of the output channels.
    """

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def observe(self, x: Tensor) -> Tensor:
        """The largest |x| along all axes but one, of a shape that broadcasts to that of x."""
        others = [axis for axis in range(x.ndim) if axis != self.axis]
        return x.abs().max(axis=others, keepdim=True)

    def value(self, x: Tensor) -> Tensor:
        """The same as in training: a weight tells its own scale."""
        return self.observe(x)

    def fix(self, scale: float) -> None:
        """Not for weights."""
        raise NotImplementedError("the scales of a weight are those of its values")


class RangeAbsMax(Scale):
    """The largest |x| of the last so many tensors.

    Args:
        window_size: how many.
    """

    def __init__(self, window_size: int) -> None:
        super().__init__()
        self._window_size = window_size
        self._buffer("window", window_size)
        self._buffer("position")

    def observe(self, x: Tensor) -> Tensor:
        """The largest of the window, x included."""
        index = int(self.position.item())
        self.window[index] = x.abs().max().astype(self.window.dtype)
        self.position.set_value(paddle.full([1], float((index + 1) % self._window_size)))
        return self.value(x)

    def value(self, x: Tensor) -> Tensor:
        """The largest of the window."""
        return self._seen("window").max().reshape([1])

    def fix(self, scale: float) -> None:
        """Empty the window but for this."""
        self.window.set_value(paddle.zeros([self._window_size]))
        self.window[0] = scale
        self.position.set_value(paddle.full([1], float(1 % self._window_size)))


class MovingAverageAbsMax(Scale):
    """The mean of the largest |x| of all tensors, older ones weighing less.

    After each: state = rate state + 1, sum = rate sum + max |x|, scale = sum / state, both from zero.

    Args:
        rate: weight of the past.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self._rate = rate
        self._buffer("state")
        self._buffer("sum")

    def observe(self, x: Tensor) -> Tensor:
        """The mean, x included."""
        _store(self._seen("state") * self._rate + 1.0, self.state)
        _store(self._seen("sum") * self._rate + x.abs().max(), self.sum)
        return self.value(x)

    def value(self, x: Tensor) -> Tensor:
        """The mean so far."""
        return self._seen("sum") / self._seen("state").clip(min=_SMALLEST_SCALE)

    def fix(self, scale: float) -> None:
        """Count as one tensor of this scale."""
        self.state.set_value(paddle.ones([1]))
        self.sum.set_value(paddle.full([1], scale))


# --------------------------------------------------------------------------- quantisers of layers


class FakeQuantizer(nn.Layer):
    """Quantises one tensor of a layer, in float.

    In evaluation, a tensor whose scale nobody has seen yet passes as it is.

    Args:
        scale: where its scale comes from.
        bits: 1 to 16.
        pact: first clip to [-alpha, alpha], alpha learnt from 100 on, a thousand times as fast as the rest
            (PACT, arXiv:1805.06085). Exported graphs clip at the scale alone.
    """

    def __init__(self, scale: Scale, *, bits: int, pact: bool = False) -> None:
        super().__init__()
        self.scale, self.bits = scale, bits
        self.enabled = True
        self.alpha: Tensor | None = None
        if pact:
            attr = ParamAttr(initializer=Constant(_PACT_START), learning_rate=_PACT_RATE)
            self.alpha = self.create_parameter([1], attr=attr)

    def forward(self, x: Tensor) -> Tensor:
        """Map x to values of the same type that so many bits can hold."""
        if not self.enabled:
            return x
        dtype, x = x.dtype, x.astype("float32")
        if self.alpha is not None:
            # |alpha|, lest a large step turn the interval round; either bound hands its gradient to alpha.
            bound = self.alpha.abs().astype("float32")
            x = paddle.maximum(paddle.minimum(x, bound), -bound)
        with paddle.no_grad():
            scale = self.scale.observe(x) if self.training else self._settled(x)
        quantized = _StraightThrough.apply(x, scale, self.bits)
        if not self.training:
            quantized = paddle.where(scale > 0, quantized, x)
        return quantized.astype(dtype)

    @property
    def learned_scale(self) -> float:
        """The scale of a tensor that is quantised as a whole; 0 when nothing was seen yet."""
        with paddle.no_grad():
            return float(self._settled(paddle.zeros([1])).item())

    def _settled(self, x: Tensor) -> Tensor:
        """The scale of evaluation; no larger than alpha, so that clipping at the scale alone is the same."""
        scale = self.scale.value(x)
        return scale if self.alpha is None else paddle.minimum(scale, self.alpha.abs().astype("float32"))


def quantizable_layers(network: nn.Layer, types: Sequence[str]) -> dict[str, tuple[nn.Layer, int]]:
    """Layers of the named types and what is derived from these, by name, with the axis of output channels."""
    wanted = [_LAYER_TYPES[name] for name in types]
    return {
        name: (layer, axis)
        for name, layer in network.named_sublayers(include_self=True)
        for kind, axis in wanted
        if isinstance(layer, kind)
    }


def attach_quantizers(layer: nn.Layer, *, weight: FakeQuantizer | None, inputs: FakeQuantizer) -> None:
    """Let a layer see its weight and its input quantised from now on; itself it stays what it is.

    Args:
        layer: with a parameter `weight`, and called with one tensor. Its entries in the state dict keep their
            names, those of the quantisers come below `weight_quantizer` and `input_quantizer`.
        weight: of its weight; None leaves that alone.
        inputs: of its input.
    """
    if weight is not None:
        layer.add_sublayer(_WEIGHT, weight)
    layer.add_sublayer(_INPUT, inputs)
    layer.register_forward_pre_hook(_quantize_operands)
    layer.register_forward_post_hook(_restore_weight)


def carry_quantizers(source: nn.Layer, target: nn.Layer) -> None:
    """Let a convolution that stands in for another, on the same input, see quantised numbers as that one did.

    Args:
        source: the other; where it is not quantised nothing is done.
        target: gets its quantiser of inputs, and an own one for its weight, by channels.
    """
    if _INPUT not in source._sub_layers:
        return
    weight = source._sub_layers.get(_WEIGHT)
    bits = source.input_quantizer.bits if weight is None else weight.bits
    attach_quantizers(
        target, weight=FakeQuantizer(ChannelWiseAbsMax(0), bits=bits), inputs=source.input_quantizer
    )
    target.train() if source.training else target.eval()


def quantized_layers(network: nn.Layer) -> dict[str, nn.Layer]:
    """Layers that see a quantised input, by name."""
    named = network.named_sublayers(include_self=True)
    return {name: layer for name, layer in named if _INPUT in layer._sub_layers}


@contextlib.contextmanager
def quantizers_off(network: nn.Layer) -> Iterator[None]:
    """Let a network compute in float for the time of a `with` block."""
    quantizers = [layer for layer in network.sublayers() if isinstance(layer, FakeQuantizer)]
    before = [quantizer.enabled for quantizer in quantizers]
    for quantizer in quantizers:
        quantizer.enabled = False
    try:
        yield
    finally:
        for quantizer, enabled in zip(quantizers, before, strict=True):
            quantizer.enabled = enabled


def _quantize_operands(layer: nn.Layer, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    quantizer = layer._sub_layers.get(_WEIGHT)
    if quantizer is not None:
        # An attribute of the instance hides the parameter of that name while the layer runs.
        layer.__dict__["weight"] = quantizer(layer._parameters["weight"])
    return (layer._sub_layers[_INPUT](inputs[0]), *inputs[1:])


def _restore_weight(layer: nn.Layer, inputs: tuple[Tensor, ...], outputs: Tensor) -> None:
    layer.__dict__.pop("weight", None)
