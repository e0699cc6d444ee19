"""Quantisation-aware networks: any network whose convolutions and linear layers see quantised numbers."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import paddle
from paddle import nn

from paddlex.nn.fake_quant import (
    AbsMax,
    ChannelWiseAbsMax,
    FakeQuantizer,
    MovingAverageAbsMax,
    RangeAbsMax,
    Scale,
    attach_quantizers,
    quantizable_layers,
    quantized_layers,
)
from paddlex.utils.errors import UsageError

__all__ = ["QuantizationConfig", "bake_weights", "input_scales", "quantization_of", "quantize_network"]

Preprocess = Literal["PACT"]
WeightType = Literal["abs_max", "channel_wise_abs_max", "range_abs_max", "moving_average_abs_max"]
ActivationType = Literal["abs_max", "range_abs_max", "moving_average_abs_max"]
StoredType = Literal["int8", "float32"]
LayerType = Literal["Conv2D", "Conv2DTranspose", "Linear"]

_LOWEST_BITS, _MOST_BITS = 1, 16


@dataclass(frozen=True, kw_only=True)
class QuantizationConfig:
    """How a network is quantised.

    Attributes:
        weight_preprocess_type: "PACT" clips weights to a range that is learnt; None does not.
        activation_preprocess_type: the same of what flows into a layer.
        weight_quantize_type: where the scale of a weight comes from, see `paddlex.nn.fake_quant`.
        activation_quantize_type: where that of a layer's input comes from.
        weight_bits: 1 to 16.
        activation_bits: 1 to 16.
        dtype: what exported graphs compute in: "int8", which holds at most 8 bits, or "float32" for a graph
            whose weights alone are rounded.
        window_size: tensors that `range_abs_max` remembers.
        moving_rate: weight of the past in `moving_average_abs_max`.
        quantizable_layer_type: kinds of layers that are quantised.
        skip: names of layers, or their beginnings up to a dot, that stay float; `*` stands for anything.
            None: what the network itself names in `kept_float`.
    """

    weight_preprocess_type: Preprocess | None = None
    activation_preprocess_type: Preprocess | None = None
    weight_quantize_type: WeightType = "channel_wise_abs_max"
    activation_quantize_type: ActivationType = "moving_average_abs_max"
    weight_bits: int = 8
    activation_bits: int = 8
    dtype: StoredType = "int8"
    window_size: int = 10000
    moving_rate: float = 0.9
    quantizable_layer_type: tuple[LayerType, ...] = ("Conv2D", "Linear")
    skip: tuple[str, ...] | None = None

    @classmethod
    def from_mapping(
        cls, values: Mapping[str, Any] | None, *, place: str = "quant_config"
    ) -> QuantizationConfig:
        """Check what a user wrote; what is left out keeps its default.

        Args:
            values: by the names of the attributes.
            place: where they stand, for messages.

        Raises:
            UsageError: at the first key that is unknown, or whose value is.
        """
        values = values or {}
        known = [field.name for field in fields(cls)]
        unknown = next((key for key in values if key not in known), None)
        if unknown is not None:
            raise UsageError(f"{place}.{unknown}: unknown key; known keys: {', '.join(known)}")
        for key, value in values.items():
            expected = _fault(key, value)
            if expected:
                raise UsageError(f"{place}.{key}: found {value!r}, expected {expected}")
        arguments: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**arguments)

    def to_mapping(self) -> dict[str, Any]:
        """The attributes as plain data; `from_mapping` reads it."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}

    @property
    def fits_int8(self) -> bool:
        """Whether an exported graph can, and shall, compute in 8-bit integers."""
        return self.dtype == "int8" and max(self.weight_bits, self.activation_bits) <= 8


def _fault(key: str, value: Any) -> str | None:  # noqa: ANN401 (whatever a user wrote)
    """What was expected instead of a value, or None."""
    choices: dict[str, tuple[Any, ...]] = {
        "weight_preprocess_type": (None, *get_args(Preprocess)),
        "activation_preprocess_type": (None, *get_args(Preprocess)),
        "weight_quantize_type": get_args(WeightType),
        "activation_quantize_type": get_args(ActivationType),
        "dtype": get_args(StoredType),
    }
    if key in choices:
        return None if value in choices[key] else f"one of {', '.join(map(repr, choices[key]))}"
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if key.endswith("_bits"):
        fits = is_whole and _LOWEST_BITS <= value <= _MOST_BITS
        return None if fits else f"a whole number from {_LOWEST_BITS} to {_MOST_BITS}"
    if key == "window_size":
        return None if is_whole and value > 0 else "a whole number above 0"
    if key == "moving_rate":
        is_number = is_whole or isinstance(value, float)
        return None if is_number and 0 <= value < 1 else "a number from 0 to below 1"
    if key == "skip":
        return None if value is None or _is_list_of(value, None) else "a list of names, or null"
    return None if _is_list_of(value, get_args(LayerType)) else f"a list of {', '.join(get_args(LayerType))}"


def _is_list_of(value: Any, choices: tuple[str, ...] | None) -> bool:  # noqa: ANN401
    return isinstance(value, (list, tuple)) and all(
        isinstance(item, str) and (choices is None or item in choices) for item in value
    )


# --------------------------------------------------------------------------- networks


def quantize_network(network: nn.Layer, config: QuantizationConfig) -> list[str]:
    """Let the layers of a network see quantised numbers, in place; its state dict keeps every name it has.

    Args:
        network: of any kind. Twice with one configuration changes nothing.
        config: what to quantise, and how.

    Returns:
        Names of the layers that are quantised now.

    Raises:
        UsageError: if the network is quantised in another way, or nothing of it can be.
    """
    before = quantization_of(network)
    if before is not None and before != config:
        changed = next(f.name for f in fields(config) if getattr(before, f.name) != getattr(config, f.name))
        raise UsageError(
            f"the network is quantised already, with {changed} {getattr(before, changed)!r}; "
            f"found {getattr(config, changed)!r}; quantise a float network"
        )
    if before is None:
        _wrap(network, config)
    return list(quantized_layers(network))


def _wrap(network: nn.Layer, config: QuantizationConfig) -> None:
    kept = config.skip if config.skip is not None else tuple(getattr(network, "kept_float", ()))
    found = quantizable_layers(network, config.quantizable_layer_type)
    chosen = {name: found[name] for name in found if not _matches(name, kept)}
    if not chosen:
        raise UsageError(
            f"quantisation: no layer of {', '.join(config.quantizable_layer_type) or 'no kind'} is left in "
            f"{type(network).__name__} (skipped: {', '.join(kept) or 'none'}); change "
            "quantizable_layer_type or skip"
        )
    for layer, axis in chosen.values():
        attach_quantizers(layer, weight=_weight_quantizer(config, axis=axis), inputs=_input_quantizer(config))
    network.quantization = config


def quantization_of(network: nn.Layer) -> QuantizationConfig | None:
    """How a network is quantised; None for a float network."""
    config: QuantizationConfig | None = getattr(network, "quantization", None)
    return config


def input_scales(network: nn.Layer) -> dict[str, float]:
    """The scale of every quantised layer's input by the layer's name; 0 where nothing was seen yet."""
    return {name: layer.input_quantizer.learned_scale for name, layer in quantized_layers(network).items()}


def bake_weights(network: nn.Layer) -> None:
    """Write the rounded weights in place of the exact ones; inputs go on being quantised.

    What follows, such as folding normalisations into weights, then scales numbers that are rounded already
    instead of rounding numbers that are scaled.
    """
    for layer in quantized_layers(network).values():
        quantizer = layer._sub_layers.pop("weight_quantizer", None)
        if quantizer is not None:
            quantizer.eval()
            with paddle.no_grad():
                layer.weight.set_value(quantizer(layer.weight))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(
        fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, pattern.rstrip(".") + ".*")
        for pattern in patterns
    )


def _weight_quantizer(config: QuantizationConfig, *, axis: int) -> FakeQuantizer:
    scale: Scale
    if config.weight_quantize_type == "channel_wise_abs_max":
        scale = ChannelWiseAbsMax(axis)
    elif config.weight_quantize_type == "abs_max":
        scale = AbsMax(remembers=False)
    else:
        scale = _running_scale(config.weight_quantize_type, config)
    return FakeQuantizer(scale, bits=config.weight_bits, pact=config.weight_preprocess_type == "PACT")


def _input_quantizer(config: QuantizationConfig) -> FakeQuantizer:
    kind = config.activation_quantize_type
    scale = AbsMax(remembers=True) if kind == "abs_max" else _running_scale(kind, config)
    return FakeQuantizer(scale, bits=config.activation_bits, pact=config.activation_preprocess_type == "PACT")


def _running_scale(kind: str, config: QuantizationConfig) -> Scale:
    if kind == "range_abs_max":
        return RangeAbsMax(config.window_size)
    return MovingAverageAbsMax(config.moving_rate)
