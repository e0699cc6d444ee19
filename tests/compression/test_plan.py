"""From losses to ratios, and from ratios to a wanted share of operations."""

from __future__ import annotations

import pytest
from toys import SIZE, Residual, randomised

from paddlex.compression.criteria import keep_best, rank_channels, removed_count
from paddlex.compression.dependencies import find_dependencies
from paddlex.compression.flops import count_flops
from paddlex.compression.plan import choose_ratios, ratio_at
from paddlex.compression.prune import prune
from paddlex.compression.sensitivity import RATIOS
from paddlex.utils.errors import PruneError


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (0.0, 0.0),
        (0.02, 0.05),  # half way to the first sample, which loses 0.04
        (0.04, 0.1),
        (0.07, 0.15),  # half way between 0.04 and 0.10
        (0.1, 0.2),
        (1.0, 0.3),
    ],
)
def test_ratio_at_extends_linearly_between_samples(threshold: float, expected: float) -> None:
    assert ratio_at(threshold, {0.1: 0.04, 0.2: 0.10, 0.3: 0.5}) == pytest.approx(expected)


def test_ratio_at_takes_the_largest_ratio_whose_loss_is_within() -> None:
    assert ratio_at(0.1, {0.1: 0.3, 0.2: 0.05, 0.3: 0.9}) == pytest.approx(0.2 + 0.05 * 0.1 / 0.85)


def test_what_is_left_is_a_multiple_of_blocks_that_fit_the_group() -> None:
    ratios = (0.0, 0.1, 0.3, 0.5, 0.9)

    def left(channels: int) -> list[int]:
        return [channels - removed_count(channels, ratio, multiple=16) for ratio in ratios]

    assert left(64) == [64, 64, 48, 32, 16]
    assert left(36) == [36, 32, 32, 16, 16]
    assert left(18) == [18, 16, 16, 8, 8]
    assert left(6) == [6, 6, 4, 4, 2]
    assert left(3) == [3, 3, 2, 1, 1]


def test_one_channel_is_always_left() -> None:
    assert [removed_count(8, ratio) for ratio in (0.0, 0.1, 0.5, 0.9, 0.99)] == [0, 1, 4, 7, 7]


class _Wide(Residual):
    """Enough channels for shares to be met closely."""

    def __init__(self) -> None:
        from paddle import nn
        from toys import unit

        super().__init__()
        self.stem, self.inner, self.outer = unit(3, 64), unit(64, 48), unit(48, 64)
        self.last = nn.Conv2D(64, 2, 1)


def found(loss):
    """(network, dependencies, losses): `loss` tells the loss of a group at a ratio."""
    network = randomised(_Wide())
    dependencies = find_dependencies(network, inputs=SIZE)
    losses = {
        group.name: {ratio: loss(group.name, ratio) for ratio in RATIOS} for group in dependencies.groups
    }
    return network, dependencies, losses


@pytest.mark.parametrize("wanted", [0.05, 0.3, 0.5, 0.8])
@pytest.mark.parametrize(
    "loss",
    [
        lambda name, ratio: ratio**2 * (3 if "stem" in name else 1),
        lambda name, ratio: 0.0,  # nothing hurts: even threshold 0 removes everything
        lambda name, ratio: float(ratio > 0.5),
        lambda name, ratio: -ratio,
    ],
    ids=["smooth", "insensitive", "a leap", "improving"],
)
def test_prune_removes_the_wanted_share(wanted: float, loss) -> None:
    network, dependencies, losses = found(loss)
    result = prune(network, dependencies, losses=losses, pruned_flops=wanted, multiple=1)
    assert result.pruned_flops == pytest.approx(wanted, abs=0.03)
    measured = find_dependencies(network, inputs=SIZE)
    assert 1 - count_flops(measured) / count_flops(dependencies) == pytest.approx(result.pruned_flops)


@pytest.mark.parametrize("wanted", [0.3, 0.5, 0.7])
def test_prune_leaves_multiples_near_the_wanted_share(wanted: float) -> None:
    network, dependencies, losses = found(lambda name, ratio: ratio**2)
    result = prune(network, dependencies, losses=losses, pruned_flops=wanted)
    left = [len(positions) for positions in result.kept.values()]
    assert all(count % 16 == 0 for count in left)
    # Two groups of four and three blocks: the steps are coarser than in any network of the zoo.
    assert result.pruned_flops == pytest.approx(wanted, abs=0.12)


def test_choose_ratios_spares_what_is_sensitive() -> None:
    network, dependencies, losses = found(lambda name, ratio: ratio if "stem" in name else 0.1 * ratio)
    ratios = choose_ratios(
        dependencies, rank_channels(network, dependencies, "l1_norm"), losses, pruned_flops=0.4
    )
    assert ratios["stem.conv.weight"] < 0.5 * ratios["inner.conv.weight"]


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, 30.0])
def test_prune_refuses_what_is_no_share(share: float) -> None:
    network, dependencies, losses = found(lambda name, ratio: ratio)
    with pytest.raises(PruneError, match=r"expected a share between 0 and 1"):
        prune(network, dependencies, losses=losses, pruned_flops=share)


def test_prune_says_how_much_can_be_removed() -> None:
    network, dependencies, losses = found(lambda name, ratio: ratio)
    ranking = rank_channels(network, dependencies, "l1_norm")
    kept = keep_best(dependencies, ranking, dict.fromkeys(ranking, 0.9))
    most = 1 - count_flops(dependencies, kept) / count_flops(dependencies)
    with pytest.raises(PruneError, match=f"at most {most:.3f} can be removed"):
        prune(network, dependencies, losses=losses, pruned_flops=0.9999, multiple=1)
    assert network.stem.conv.weight.shape[0] == 64


def test_prune_refuses_a_pruned_network_and_missing_sensitivities() -> None:
    network, dependencies, losses = found(lambda name, ratio: ratio)
    with pytest.raises(PruneError, match="analyse the sensitivity of this network first"):
        prune(network, dependencies, losses={}, pruned_flops=0.3)
    prune(network, dependencies, losses=losses, pruned_flops=0.3)
    with pytest.raises(PruneError, match="pruned already"):
        prune(network, dependencies, losses=losses, pruned_flops=0.3)
