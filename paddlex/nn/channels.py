"""Networks whose channels are fewer than their builder makes: built whole, then cut to recorded shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import paddle
from paddle import ParamAttr, Tensor, nn

from paddlex.utils.errors import WeightsError

__all__ = ["Channels", "fit_channels", "fitted_channels"]

# By state dict name the shape of an entry that differs from the full network's; None where an axis does not,
# so that the record holds for another number of classes, too.
Channels = Mapping[str, Sequence[int | None]]

_RECORD = "_fitted_channels"


def fit_channels(network: nn.Layer, channels: Channels) -> None:
    """Cut parameters and buffers of a network, in place, to recorded shapes.

    Of every axis the first values stay, as something to start from; weights are loaded afterwards. Layers
    are told their new numbers of channels and groups.

    Args:
        network: as its builder makes it.
        channels: shapes of the entries that differ.

    Raises:
        WeightsError: if an entry does not exist, or is smaller than recorded; the network is then as it was.
    """
    entries = network.state_dict()
    wanted = {id(entries[name]): _wanted(name, shape, entries) for name, shape in _checked(channels, entries)}
    replaced: dict[int, Tensor] = {}
    for layer in network.sublayers(include_self=True):
        changed = False
        for store in (layer._parameters, layer._buffers):
            for key, value in list(store.items()):
                if value is not None and id(value) in wanted:
                    if id(value) not in replaced:
                        replaced[id(value)] = _cut(layer, value, wanted[id(value)])
                    store[key] = replaced[id(value)]
                    changed = True
        if changed:
            _renumber(layer)
    known = dict(fitted_channels(network))
    known.update({name: list(shape) for name, shape in channels.items()})
    object.__setattr__(network, _RECORD, known)


def fitted_channels(network: nn.Layer) -> dict[str, list[int | None]]:
    """What `fit_channels` did to a network; empty for one that is whole."""
    found: dict[str, list[int | None]] = getattr(network, _RECORD, {})
    return found


def _checked(channels: Channels, entries: Mapping[str, Tensor]) -> list[tuple[str, Sequence[int | None]]]:
    for name, shape in channels.items():
        if name not in entries:
            raise WeightsError(
                f"channels: {name} is no entry of this network; the record is another model's: use weights "
                "and model_info.json of one run"
            )
        full = entries[name].shape
        fits = len(shape) == len(full) and all(
            size is None or (isinstance(size, int) and 0 < size <= whole)
            for size, whole in zip(shape, full, strict=True)
        )
        if not fits:
            raise WeightsError(
                f"channels: {name} has shape {list(full)}, which cannot become {list(shape)}; the record is "
                "another model's: use weights and model_info.json of one run"
            )
    return list(channels.items())


def _wanted(name: str, shape: Sequence[int | None], entries: Mapping[str, Tensor]) -> list[int]:
    return [whole if size is None else size for size, whole in zip(shape, entries[name].shape, strict=True)]


def _cut(layer: nn.Layer, value: Tensor, shape: Sequence[int]) -> Tensor:
    """A tensor of the same kind that holds the first values along each axis."""
    with paddle.no_grad():
        content = value.detach()[tuple(slice(size) for size in shape)].clone()
    if not isinstance(value, paddle.base.framework.EagerParamBase):
        content.stop_gradient, content.persistable = value.stop_gradient, value.persistable
        return content
    attr = ParamAttr(trainable=value.trainable, regularizer=value.regularizer, need_clip=value.need_clip)
    new = layer.create_parameter(list(shape), attr=attr, dtype=value.dtype)
    new.set_value(content)
    new.optimize_attr = dict(value.optimize_attr)
    new.stop_gradient = value.stop_gradient
    return new


def _renumber(layer: nn.Layer) -> None:
    """Tell a layer of Paddle's own how many channels it has now; others ask their parameters."""
    if isinstance(layer, nn.Conv2DTranspose):
        layer._in_channels, per_group = layer.weight.shape[:2]
        layer._out_channels = per_group * layer._groups
    elif isinstance(layer, nn.Conv2D):
        out_channels, per_group = layer.weight.shape[:2]
        # Groups leave as a whole: those that stay have as many output channels as before.
        if layer._groups > 1:
            layer._groups = layer._groups * out_channels // layer._out_channels
        layer._out_channels, layer._in_channels = out_channels, per_group * layer._groups
    elif isinstance(layer, nn.layer.norm._BatchNormBase):
        layer._num_features = layer._mean.shape[0]
    elif isinstance(layer, nn.PReLU):
        layer._num_parameters = layer._weight.shape[0]
