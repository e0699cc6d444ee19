"""Optimisers: factors, decay, clipping, freezing, and states that survive a renaming of parameters."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle import nn

from paddlex.training.optim import (
    build_optimizer,
    clip_gradients,
    freeze_parameters,
    load_optimizer_state,
    nonfinite_gradients,
    optimizer_state,
    trainable_parameters,
)
from paddlex.utils.errors import UsageError, WeightsError


def network() -> nn.Layer:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1D(2), nn.Linear(2, 1))
    for value in trainable_parameters(net).values():
        value.set_value(paddle.ones(value.shape))
    return net


def give_gradients(net: nn.Layer, value: float) -> None:
    loss = paddle.add_n([parameter.sum() * value for parameter in trainable_parameters(net).values()])
    loss.backward()


def test_adamw_scales_decay_with_the_parameters_factor() -> None:
    """With no gradient AdamW only decays: w (1 - rate * factor * decay)."""
    net = network()
    net[0].weight.optimize_attr["learning_rate"] = 0.1
    optimizer = build_optimizer(trainable_parameters(net).values(), algorithm="adamw", weight_decay=0.5)
    give_gradients(net, 0.0)
    optimizer.set_lr(0.1)
    optimizer.step()
    np.testing.assert_allclose(net[0].weight.numpy(), 1 - 0.1 * 0.1 * 0.5, rtol=1e-6)
    np.testing.assert_allclose(net[2].weight.numpy(), 1 - 0.1 * 0.5, rtol=1e-6)
    np.testing.assert_allclose(net[1].weight.numpy(), 1 - 0.1 * 0.5, rtol=1e-6, err_msg="norms decay too")


def test_momentum_adds_decay_to_the_gradient() -> None:
    """Step 1: v = g + decay w; step 2: v = 0.9 v + g + decay w; w -= rate v."""
    net = network()
    optimizer = build_optimizer(trainable_parameters(net).values(), algorithm="momentum", weight_decay=0.5)
    weight, velocity = 1.0, 0.0
    for _ in range(2):
        give_gradients(net, 2.0)
        optimizer.set_lr(0.1)
        optimizer.step()
        optimizer.clear_grad(set_to_zero=False)
        velocity = 0.9 * velocity + 2.0 + 0.5 * weight
        weight -= 0.1 * velocity
    np.testing.assert_allclose(net[2].weight.numpy(), weight, rtol=1e-6)


def test_momentum_follows_a_parameters_own_factor_and_decay() -> None:
    """w -= rate * factor * (g + decay w), with the parameter's own decay where it has one."""
    net = nn.Sequential(
        nn.Linear(1, 1, weight_attr=paddle.ParamAttr(learning_rate=0.15)),
        nn.Linear(1, 1, weight_attr=paddle.ParamAttr(regularizer=paddle.regularizer.L2Decay(0.0))),
    )
    for value in net.parameters():
        value.set_value(paddle.ones(value.shape))
    optimizer = build_optimizer(net.parameters(), algorithm="momentum", weight_decay=0.5)
    give_gradients(net, 2.0)
    optimizer.set_lr(0.1)
    optimizer.step()
    values = {name: value.item() for name, value in net.named_parameters()}
    assert values["0.weight"] == pytest.approx(1 - 0.1 * 0.15 * (2.0 + 0.5))
    assert values["0.bias"] == pytest.approx(1 - 0.1 * (2.0 + 0.5)), "biases decay too"
    assert values["1.weight"] == pytest.approx(1 - 0.1 * 2.0)


def test_decay_is_added_to_the_clipped_gradient() -> None:
    """A gradient of norm 2 clipped to 0.5, then decay 1: w -= 0.1 (0.5 + 1)."""
    net = nn.Linear(1, 1, bias_attr=False)
    net.weight.set_value(paddle.ones([1, 1]))
    optimizer = build_optimizer(net.parameters(), algorithm="momentum", weight_decay=1.0)
    give_gradients(net, 2.0)
    clip_gradients(net.parameters(), max_norm=0.5)
    optimizer.set_lr(0.1)
    optimizer.step()
    assert net.weight.item() == pytest.approx(1 - 0.1 * 1.5)


def test_clip_gradients_scales_the_global_norm() -> None:
    net = network()
    count = sum(int(value.size) for value in trainable_parameters(net).values())
    give_gradients(net, 2.0)
    norm = clip_gradients(net.parameters(), max_norm=0.1)
    assert norm == pytest.approx(2.0 * count**0.5)
    assert clip_gradients(net.parameters(), max_norm=None) == pytest.approx(0.1, rel=1e-5)
    assert clip_gradients(net.parameters(), max_norm=1.0) == pytest.approx(0.1, rel=1e-5), "never enlarged"


def test_nonfinite_gradients_are_named() -> None:
    net = network()
    (net[2].weight.sum() * float("nan") + net[0].weight.sum()).backward()
    assert nonfinite_gradients(trainable_parameters(net)) == ["2.weight"]
    assert not np.isfinite(clip_gradients(net.parameters(), max_norm=1.0))


@pytest.mark.parametrize(
    ("pattern", "frozen"),
    [("0", ["0.bias", "0.weight"]), ("*.bias", ["0.bias", "1.bias", "2.bias"]), ("2.weight", ["2.weight"])],
)
def test_freeze_parameters_by_prefix_pattern_or_name(pattern: str, frozen: list[str]) -> None:
    net = network()
    assert freeze_parameters(net, [pattern]) == frozen
    assert set(trainable_parameters(net)) == set(trainable_parameters(network())) - set(frozen)


def test_a_frozen_normalisation_keeps_its_statistics() -> None:
    net = network()
    freeze_parameters(net, ["1"])
    net.train()
    net(paddle.full([4, 2], 7.0))
    np.testing.assert_array_equal(net[1]._mean.numpy(), 0.0)


def test_freeze_parameters_refuses_a_pattern_that_matches_nothing() -> None:
    with pytest.raises(UsageError, match=r"'backbon' matches no parameter; names begin with 0, 1, 2"):
        freeze_parameters(network(), ["backbon"])


def test_build_optimizer_refuses_an_all_frozen_network() -> None:
    net = network()
    freeze_parameters(net, ["*"])
    with pytest.raises(UsageError, match="every parameter is frozen"):
        build_optimizer(trainable_parameters(net).values(), algorithm="adamw", weight_decay=0.0)


@pytest.mark.parametrize("algorithm", ["adamw", "momentum"])
def test_optimizer_state_moves_to_another_network_object(algorithm: str) -> None:
    """The second network's parameters have other internal names, as those of another process may."""

    def train(net: nn.Layer, optimizer: paddle.optimizer.Optimizer, steps: int) -> None:
        for _ in range(steps):
            give_gradients(net, 1.0)
            optimizer.set_lr(0.1)
            optimizer.step()
            optimizer.clear_grad(set_to_zero=False)

    def build(net: nn.Layer) -> paddle.optimizer.Optimizer:
        return build_optimizer(trainable_parameters(net).values(), algorithm=algorithm, weight_decay=0.1)

    first, second = network(), network()
    one, two = build(first), build(second)
    train(first, one, 2)
    state = optimizer_state(one, trainable_parameters(first))
    assert {key.split("/")[0] for key in state} == set(trainable_parameters(first))
    second.set_state_dict(first.state_dict())
    load_optimizer_state(two, trainable_parameters(second), state)
    train(first, one, 3)
    train(second, two, 3)
    for name, value in first.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), second.state_dict()[name].numpy())


def test_optimizer_state_of_a_parameter_that_does_not_learn_now_is_refused() -> None:
    net = network()
    optimizer = build_optimizer(trainable_parameters(net).values(), algorithm="adamw", weight_decay=0.0)
    give_gradients(net, 1.0)
    optimizer.step()
    state = optimizer_state(optimizer, trainable_parameters(net))
    freeze_parameters(net, ["0"])
    with pytest.raises(WeightsError, match=r"0\.\w+', which does not learn"):
        load_optimizer_state(optimizer, trainable_parameters(net), state)
