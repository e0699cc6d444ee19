"""Building a network anew around the parameters of another."""

from __future__ import annotations

from paddle import nn

__all__ = ["adopt_parameters", "have_same_parameters"]


def have_same_parameters(network: nn.Layer, other: nn.Layer) -> bool:
    """Whether names and shapes of all weights are the same."""
    first, second = (
        {name: tuple(value.shape) for name, value in layer.state_dict().items()} for layer in (network, other)
    )
    return first == second


def adopt_parameters(network: nn.Layer, source: nn.Layer) -> None:
    """Put the parameters and buffers of `source` into `network`; an optimiser of theirs stays valid.

    Args:
        network: with the same names and shapes.
        source: is not to be used any more.
    """
    for name, layer in network.named_sublayers(include_self=True):
        other = dict(source.named_sublayers(include_self=True))[name] if name else source
        for key in layer._parameters:
            layer._parameters[key] = other._parameters[key]
        for key in layer._buffers:
            layer._buffers[key] = other._buffers[key]
