"""Each rule on a network that is made of little else."""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle import Tensor, nn
from toys import (
    SIZE,
    TOYS,
    Attention,
    Concatenation,
    Depthwise,
    Flattened,
    Grouped,
    Plain,
    Residual,
    Shared,
    Transposed,
    photo,
    randomised,
    unit,
)

from paddlex.compression.criteria import keep_best, rank_channels
from paddlex.compression.dependencies import Dependencies, find_dependencies
from paddlex.compression.flops import count_flops
from paddlex.compression.masking import masked
from paddlex.compression.prune import remove_channels


def dependencies(network: nn.Layer, **sizes: tuple[int, ...]) -> Dependencies:
    return find_dependencies(network, inputs=sizes or SIZE)


def sizes(found: Dependencies) -> dict[str, int]:
    return {group.name: len(group) for group in found.groups}


def outputs(network: nn.Layer, image: Tensor) -> list[np.ndarray]:
    with paddle.no_grad():
        found = network(image)
    return [part.numpy() for part in (found if isinstance(found, (list, tuple)) else [found])]


@pytest.mark.parametrize("toy", TOYS, ids=lambda toy: toy.__name__)
@pytest.mark.parametrize("criterion", ["l1_norm", "fpgm"])
def test_a_pruned_network_computes_what_the_masked_one_does(toy: type[nn.Layer], criterion) -> None:
    network = randomised(toy())
    found = dependencies(network)
    ratios = {group.name: 0.5 for group in found.groups}
    kept = keep_best(found, rank_channels(network, found, criterion), ratios)
    whole = outputs(network, photo())
    with masked(network, found, kept):
        expected = outputs(network, photo())
    for before, after in zip(whole, outputs(network, photo()), strict=True):
        np.testing.assert_array_equal(after, before)
    result = remove_channels(network, found, kept)
    for masked_output, pruned, full in zip(expected, outputs(network, photo()), whole, strict=True):
        np.testing.assert_allclose(pruned, masked_output, atol=1e-5)
        assert np.abs(pruned - full).max() > 1e-3
    assert count_flops(dependencies(network)) == result.flops[1] < result.flops[0]
    assert all(0 < ratio < 0.7 for ratio in result.ratios.values())
    assert network.state_dict().keys() == toy().state_dict().keys()


def test_find_dependencies_leaves_the_last_convolution_alone() -> None:
    assert sizes(dependencies(Plain())) == {"first.conv.weight": 8}


def test_find_dependencies_leaves_the_network_as_it_was() -> None:
    network = Plain()
    network.train()
    network.first.bn.eval()
    dependencies(network)
    assert network.training and network.first.training and not network.first.bn.training
    assert outputs(network, photo(side=10))[0].shape == (1, 2, 10, 10)


def test_residual_sums_tie_what_they_add() -> None:
    groups = {group.name: group for group in dependencies(Residual()).groups}
    assert {name: len(group) for name, group in groups.items()} == {
        "stem.conv.weight": 8,
        "inner.conv.weight": 6,
    }
    assert groups["stem.conv.weight"].masters == (("stem.conv.weight", 0), ("outer.conv.weight", 0))


def test_concatenations_are_followed_by_offset() -> None:
    network = randomised(Concatenation())
    found = dependencies(network)
    assert sizes(found) == {"left.conv.weight": 4, "right.conv.weight": 6}
    weights = network.last.weight.numpy()
    kept = found.all_kept()
    kept[found.axes["right.conv.weight"][0][[1, 4]]] = False
    remove_channels(network, found, kept)
    np.testing.assert_array_equal(network.last.weight.numpy(), np.delete(weights, [4 + 1, 4 + 4], axis=1))


def test_depthwise_convolutions_follow_their_input() -> None:
    network = randomised(Depthwise())
    found = dependencies(network)
    assert sizes(found) == {"first.conv.weight": 6}
    kept = found.all_kept()
    kept[found.axes["first.conv.weight"][0][[0, 2]]] = False
    remove_channels(network, found, kept)
    conv = network.wide.conv
    assert (conv.weight.shape, conv._groups, conv._in_channels, conv._out_channels) == ([8, 1, 3, 3], 4, 4, 8)
    assert network.last.weight.shape == [2, 8, 1, 1]


def test_groups_of_channels_leave_as_a_whole() -> None:
    network = randomised(Grouped())
    found = dependencies(network)
    assert sizes(found) == {"first.conv.weight": 3}
    remove_channels(
        network, found, keep_best(found, rank_channels(network, found, "l1_norm"), {"first.conv.weight": 0.4})
    )
    conv = network.middle.conv
    assert (network.first.conv.weight.shape[0], conv.weight.shape, conv._groups) == (4, [8, 2, 3, 3], 2)


def test_flattening_repeats_every_channel() -> None:
    network = randomised(Flattened())
    found = dependencies(network)
    assert sizes(found) == {"first.conv.weight": 5, "hidden.weight": 7}
    weights = network.hidden.weight.numpy()
    kept = found.all_kept()
    kept[found.axes["first.conv.weight"][0][1]] = False
    remove_channels(network, found, kept)
    np.testing.assert_array_equal(network.hidden.weight.numpy(), np.delete(weights, range(16, 32), axis=0))


def test_transposed_convolutions_make_channels_along_their_second_axis() -> None:
    found = dependencies(Transposed())
    assert sizes(found) == {"first.conv.weight": 6, "enlarge.weight": 4}
    assert found.groups[1].masters == (("enlarge.weight", 1),)


def test_gates_are_tied_and_a_map_for_all_channels_stays() -> None:
    found = dependencies(Attention())
    (group,) = found.groups
    assert group.masters == (("first.conv.weight", 0), ("gate.weight", 0))
    np.testing.assert_array_equal(found.axes["slope._weight"][0], found.axes["first.conv.weight"][0])


def test_shared_layers_tie_their_inputs_and_keep_all_names() -> None:
    network = randomised(Shared())
    found = dependencies(network)
    assert sizes(found) == {"first.conv.weight": 6, "shared.conv.weight": 4}
    result = remove_channels(
        network, found, keep_best(found, rank_channels(network, found, "fpgm"), {"shared.conv.weight": 0.5})
    )
    assert network.last is network.alias
    assert result.channels["last.weight"] == result.channels["alias.weight"] == [None, 2, None, None]


class _Odd(nn.Layer):
    """Channels are cut at a fixed place, sorted, normalised together."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.first, self.last, self.what = unit(3, 8), nn.Conv2D(4 if what == "cut" else 8, 2, 1), what

    def forward(self, image: Tensor) -> Tensor:
        x = self.first(image)
        if self.what == "cut":
            x = x[:, :4]
        elif self.what == "sort":
            x = paddle.sort(x, axis=1)
        elif self.what == "softmax":
            x = F.softmax(x, axis=1)
        else:
            x = x - x.mean(axis=1, keepdim=True)
        return self.last(x)


@pytest.mark.parametrize("what", ["cut", "sort", "softmax", "mean"])
def test_channels_stay_where_their_number_or_place_counts(what: str) -> None:
    found = dependencies(_Odd(what))
    assert found.groups == ()
    assert ("pd_op.argsort" in found.without_rule or "pd_op.sort" in found.without_rule) == (what == "sort")


def test_count_flops_by_hand() -> None:
    # 8 x 8 pixels: 3x3 kernels from 3 to 8 channels and a bias, then 1x1 to 2 and a bias.
    assert count_flops(dependencies(Plain())) == 64 * 8 * (27 + 1) + 64 * 2 * (8 + 1)
    # Depthwise: 12 outputs of 9 weights each.
    whole = count_flops(dependencies(Depthwise()))
    assert whole == 64 * (6 * 28 + 12 * 10 + 2 * 13)
    # Doubling: each of 64 pixels times 6 x 4 kernels of 2 x 2; its bias on 256 pixels.
    assert count_flops(dependencies(Transposed())) == 64 * 6 * 28 + 64 * 96 + 256 * (4 + 2 * 5)
    # Matrices: 80 x 7 and 7 x 2, with biases.
    assert count_flops(dependencies(Flattened())) == 64 * 5 * 28 + 80 * 7 + 7 + 14 + 2


def test_count_flops_of_a_plan_is_that_of_the_pruned_network() -> None:
    network = Residual()
    found = dependencies(network)
    kept = found.all_kept()
    kept[found.axes["stem.conv.weight"][0][:3]] = False
    planned = count_flops(found, kept)
    remove_channels(network, found, kept)
    assert count_flops(dependencies(network)) == planned
