"""How much of each group to remove, so that a wanted share of all operations goes where it hurts least."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from paddlex.compression.criteria import Ranking, fitting_multiple, keep_best
from paddlex.compression.dependencies import Dependencies
from paddlex.compression.flops import count_flops
from paddlex.utils.errors import PruneError

__all__ = ["Losses", "choose_ratios", "ratio_at"]

# By group the loss of score that each ratio causes.
Losses = Mapping[str, Mapping[float, float]]

_STEPS = 60
_CLOSE = 1e-4
# A difference to the wanted share that nobody would notice.
_FINE = 0.005
_LARGEST_RATIO = 0.9


def choose_ratios(
    dependencies: Dependencies,
    ranking: Ranking,
    losses: Losses,
    *,
    pruned_flops: float,
    multiple: int = 1,
) -> dict[str, float]:
    """Choose ratios by one threshold on the loss of all groups, found by bisection.

    Where the share of operations leaps over the wanted one at a single threshold, as it does when many groups
    lose nothing at all, the ratios on both sides of the leap are mixed.

    Args:
        dependencies: of the network.
        ranking: order in which channels go.
        losses: of each group at each ratio measured.
        pruned_flops: share of the operations to remove.
        multiple: see `removed_count`.

    Raises:
        PruneError: if the share is not in (0, 1), cannot be reached, or a group was not measured.
    """
    if not 0 < pruned_flops < 1:
        raise PruneError(f"pruned_flops is {pruned_flops}; expected a share between 0 and 1, such as 0.2")
    missing = [group.name for group in dependencies.groups if group.name not in losses]
    if missing:
        raise PruneError(
            f"the sensitivity of {len(missing)} of {len(dependencies.groups)} groups is not known (first "
            f"{missing[0]}); analyse the sensitivity of this network first"
        )
    full = count_flops(dependencies)

    def share(ratios: Mapping[str, float]) -> float:
        kept = keep_best(dependencies, ranking, ratios, multiple=multiple)
        return 1 - count_flops(dependencies, kept) / full

    def at(threshold: float) -> dict[str, float]:
        return {group.name: ratio_at(threshold, losses[group.name]) for group in dependencies.groups}

    most = share(at(1.0))
    if most < pruned_flops - _CLOSE:
        raise PruneError(
            f"pruned_flops is {pruned_flops}, but at most {most:.3f} can be removed at the ratios measured; "
            f"ask for less{' or for smaller multiples of channels' if multiple > 1 else ''}"
        )
    nothing = dict.fromkeys(ranking, 0.0)
    if share(at(0.0)) >= pruned_flops:
        low, high = nothing, at(0.0)
    else:
        below, above = _bisect(lambda threshold: share(at(threshold)), pruned_flops)
        low, high = at(below), at(above)

    def mixed(part: float) -> dict[str, float]:
        return {name: (1 - part) * low[name] + part * high[name] for name in low}

    def distance(ratios: Mapping[str, float]) -> float:
        return abs(share(ratios) - pruned_flops)

    best = min(map(mixed, _bisect(lambda part: share(mixed(part)), pruned_flops)), key=distance)
    sizes = {group.name: len(group) for group in dependencies.groups}
    return _refined(best, sizes, distance, multiple=multiple)


def _refined(
    ratios: dict[str, float],
    sizes: Mapping[str, int],
    distance: Callable[[Mapping[str, float]], float],
    *,
    multiple: int,
) -> dict[str, float]:
    """Take a few channels more or less from single groups while that leads nearer to the wanted share."""
    best, least = ratios, distance(ratios)
    while least > _FINE:
        others = [
            {**best, name: ratio}
            for name, size in sizes.items()
            for step in (fitting_multiple(size, multiple) / size,)
            for ratio in (best[name] - step, best[name] + step)
            if 0 <= ratio <= _LARGEST_RATIO
        ]
        nearest = min(others, key=distance, default=best)
        if distance(nearest) >= least:
            break
        best, least = nearest, distance(nearest)
    return best


def ratio_at(threshold: float, losses: Mapping[float, float]) -> float:
    """The largest measured ratio whose loss is within the threshold, extended linearly towards the next.

    Args:
        threshold: loss that is accepted.
        losses: by ratio.
    """
    samples = [(0.0, 0.0), *sorted(losses.items())]
    last = max(index for index, (_, loss) in enumerate(samples) if index == 0 or loss <= threshold)
    ratio, loss = samples[last]
    if last + 1 == len(samples):
        return ratio
    next_ratio, next_loss = samples[last + 1]
    if threshold <= loss:
        return ratio
    return ratio + (threshold - loss) * (next_ratio - ratio) / (next_loss - loss)


def _bisect(rising: Callable[[float], float], wanted: float) -> tuple[float, float]:
    """Neighbouring arguments in [0, 1] with `wanted` between their values."""
    below, above = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (below + above) / 2
        value = rising(middle)
        if value >= wanted:
            above = middle
        else:
            below = middle
        if above - below < _CLOSE**2:
            break
    return below, above
