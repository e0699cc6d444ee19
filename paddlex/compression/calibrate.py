"""Post-training quantisation: the ranges of a trained network's activations, seen on photos."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn

from paddlex.nn.fake_quant import quantized_layers, quantizers_off

__all__ = ["CalibrationMethod", "calibrate", "entropy_threshold", "percentile_threshold"]

CalibrationMethod = Literal["minmax", "percentile", "entropy"]
Item = TypeVar("Item")

_BINS = 2048
# Of one tensor; more change no percentile and take time.
_MOST_VALUES = 2**16
_PERCENTILE = 99.99
_LEVELS = 128
_STEP = 16


def calibrate(
    network: nn.Layer,
    run: Callable[[Item], object],
    photos: Iterable[Item],
    *,
    method: CalibrationMethod = "percentile",
) -> None:
    """Run a quantised network in float, and give the inputs of its layers the scales of what was seen.

    Args:
        network: in evaluation mode, as `quantize_network` leaves it.
        run: what runs it on a photo.
        photos: at least one.
        method: `minmax`: the largest |x|; `percentile`: what 99.99% of |x| but zeros lie below; `entropy`:
            the threshold whose 128 levels keep most of the distribution (least Kullback-Leibler divergence).
    """
    histograms = {name: _Histogram(bins=method != "minmax") for name in quantized_layers(network)}
    with quantizers_off(network), _watched(network, histograms), paddle.no_grad():
        for photo in photos:
            run(photo)
    for name, layer in quantized_layers(network).items():
        threshold = histograms[name].threshold(method)
        if threshold > 0:
            layer.input_quantizer.scale.fix(threshold)


@contextmanager
def _watched(network: nn.Layer, histograms: dict[str, _Histogram]) -> Iterator[None]:
    hooks = []
    for name, layer in quantized_layers(network).items():

        def look(_: nn.Layer, inputs: tuple[Tensor, ...], histogram: _Histogram = histograms[name]) -> None:
            histogram.add(inputs[0])

        hooks.append(layer.register_forward_pre_hook(look))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Histogram:
    """How often which |x| occurred; its range doubles as needed."""

    def __init__(self, *, bins: bool) -> None:
        self.largest = 0.0
        self._limit = 0.0
        self._counts = np.zeros(_BINS, np.int64) if bins else None

    def add(self, x: Tensor) -> None:
        """Count a tensor, or evenly spaced values of a large one."""
        magnitudes = x.astype("float32").abs()
        largest = float(magnitudes.max().item())
        self.largest = max(self.largest, largest)
        if self._counts is None or largest == 0:
            return
        self._make_room(largest)
        flat = magnitudes.reshape([-1])
        values = flat[:: math.ceil(flat.shape[0] / _MOST_VALUES)].numpy()
        counts, _ = np.histogram(values[values > 0], bins=_BINS, range=(0.0, self._limit))
        self._counts += counts

    def _make_room(self, largest: float) -> None:
        assert self._counts is not None
        if self._limit == 0:
            self._limit = largest
        while self._limit < largest:
            self._limit *= 2
            self._counts = np.concatenate(
                [self._counts.reshape(-1, 2).sum(axis=1), np.zeros(_BINS // 2, np.int64)]
            )

    def threshold(self, method: CalibrationMethod) -> float:
        """The scale that a method chooses; 0 when nothing was seen."""
        if self._counts is None or not self._counts.sum():
            return self.largest
        choose = percentile_threshold if method == "percentile" else entropy_threshold
        return min(choose(self._counts, self._limit), self.largest)


def percentile_threshold(counts: NDArray[np.int64], limit: float) -> float:
    """The upper end of the bin up to which 99.99% of all values lie.

    Args:
        counts: of equal bins over [0, limit].
        limit: where the last one ends.
    """
    cumulated = np.cumsum(counts)
    index = int(np.searchsorted(cumulated, _PERCENTILE / 100 * cumulated[-1]))
    return (index + 1) * limit / len(counts)


def entropy_threshold(counts: NDArray[np.int64], limit: float) -> float:
    """The threshold whose levels tell most of the distribution that lies below it, the rest clipped to it.

    Args:
        counts: of equal bins over [0, limit].
        limit: where the last one ends.
    """
    ends = range(_LEVELS, len(counts) + 1, _STEP)
    divergences = [_divergence(counts.astype(np.float64), end) for end in ends]
    return ends[int(np.argmin(divergences))] * limit / len(counts)


def _divergence(counts: NDArray[np.float64], end: int) -> float:
    """Kullback-Leibler divergence of the quantised distribution below bin `end` from the clipped one."""
    clipped = counts[:end].copy()
    clipped[-1] += counts[end:].sum()
    if not clipped.sum():
        return math.inf
    level = np.arange(end) * _LEVELS // end
    used = counts[:end] > 0
    members = np.bincount(level, weights=used, minlength=_LEVELS)
    sums = np.bincount(level, weights=counts[:end], minlength=_LEVELS)
    spread = np.where(used, (sums / np.maximum(members, 1))[level], 0.0)
    if not spread.sum():
        return math.inf
    # Where the quantised distribution has nothing, the divergence would be infinite; this much is rounding.
    p, q = clipped / clipped.sum(), np.maximum(spread / spread.sum(), 1e-12)
    seen = p > 0
    return float((p[seen] * np.log(p[seen] / q[seen])).sum())
