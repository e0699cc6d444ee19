"""Loading weights: names match by suffix, differences are told, strict loading changes nothing on failure."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle import nn

from paddlex.repo_apis.weights import load_weights
from paddlex.utils.errors import WeightsError


class Network(nn.Layer):
    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1D(2))
        self.head = nn.Linear(2, num_classes)


def filled(network: nn.Layer, value: float) -> dict[str, np.ndarray]:
    return {name: np.full(entry.shape, value, np.float32) for name, entry in network.state_dict().items()}


def test_load_weights_fills_every_entry() -> None:
    network = Network()
    report = load_weights(network, filled(network, 2.0), source="a", allow_partial=False)
    assert len(report.loaded) == len(network.state_dict()) == 8
    assert not (report.skipped or report.missing or report.unused)
    assert all((entry.numpy() == 2.0).all() for entry in network.state_dict().values())


def test_load_weights_of_a_bare_backbone_by_suffix() -> None:
    network = Network()
    arrays = {"0.weight": np.ones((2, 2), np.float32), "fc.weight": np.ones(5, np.float32)}
    report = load_weights(network, arrays, source="a", allow_partial=True)
    assert report.loaded == ("backbone.0.weight",)
    assert report.unused == ("fc.weight",)
    assert "head.weight" in report.missing


def test_load_weights_takes_the_longest_fitting_name() -> None:
    network = Network()
    arrays = {
        "weight": np.zeros((2, 2), np.float32),
        "0.weight": np.ones((2, 2), np.float32),
        "1.weight": np.ones(2, np.float32),
        "head.weight": np.ones((2, 3), np.float32),
    }
    load_weights(network, arrays, source="a", allow_partial=True)
    assert (network.backbone[0].weight.numpy() == 1.0).all()


def test_load_weights_gives_the_last_resnet_stage_to_the_box_head_that_has_it() -> None:
    network = nn.Layer()
    network.backbone = nn.Sequential(("res4", nn.Linear(1, 1)))
    network.bbox_head = nn.Sequential(("head", nn.Sequential(("res5", nn.Linear(1, 1)))))
    arrays = {
        "backbone.res4.weight": np.full((1, 1), 4.0, np.float32),
        "backbone.res5.weight": np.full((1, 1), 5.0, np.float32),
    }
    report = load_weights(network, arrays, source="a", allow_partial=True)
    assert report.loaded == ("backbone.res4.weight", "bbox_head.head.res5.weight")
    assert report.unused == ()
    assert network.bbox_head.head.res5.weight.item() == 5.0


def test_load_weights_refuses_an_ambiguous_name() -> None:
    with pytest.raises(WeightsError, match=r"fits backbone\.0\.weight and backbone\.1\.weight alike"):
        load_weights(Network(), {"weight": np.ones((2, 2), np.float32)}, source="a", allow_partial=True)


def test_load_weights_skips_heads_of_other_classes_when_partial() -> None:
    network = Network(num_classes=3)
    before = network.head.weight.numpy()
    report = load_weights(network, filled(Network(num_classes=80), 2.0), source="a", allow_partial=True)
    assert report.skipped == (("head.weight", (2, 80), (2, 3)), ("head.bias", (80,), (3,)))
    np.testing.assert_array_equal(network.head.weight.numpy(), before)
    assert (network.backbone[0].weight.numpy() == 2.0).all()


def test_load_weights_names_the_class_counts_when_strict() -> None:
    network = Network(num_classes=3)
    before = network.backbone[0].weight.numpy()
    with pytest.raises(WeightsError, match="weights for 80 classes, the network has 3"):
        load_weights(
            network,
            filled(Network(num_classes=80), 2.0),
            source="a",
            allow_partial=False,
            num_classes=3,
        )
    np.testing.assert_array_equal(network.backbone[0].weight.numpy(), before)


def test_load_weights_strict_names_what_is_missing() -> None:
    network = Network()
    arrays = filled(network, 2.0)
    del arrays["head.bias"]
    with pytest.raises(WeightsError, match=r"1 entries .* head\.bias"):
        load_weights(network, arrays, source="a", allow_partial=False)


def test_load_weights_refuses_a_file_of_which_nothing_fits() -> None:
    with pytest.raises(WeightsError, match="none of its 1 weights fits"):
        load_weights(Network(), {"other": np.ones(1, np.float32)}, source="a", allow_partial=True)


def test_load_weights_casts_half_precision() -> None:
    network = Network()
    exact = np.array([[1.5, -2.0], [0.25, 4.0]], np.float32)
    bfloat16 = (exact.view(np.uint32) >> 16).astype(np.uint16)
    for stored in (exact.astype(np.float16), exact.astype(np.float64), bfloat16):
        load_weights(network, {"0.weight": stored}, source="a", allow_partial=True)
        assert network.backbone[0].weight.dtype == paddle.float32
        np.testing.assert_array_equal(network.backbone[0].weight.numpy(), exact)


def test_one_name_is_enough_for_a_tensor_that_has_two() -> None:
    network = Network()
    network.add_sublayer("tail", network.head)
    arrays = {name: array for name, array in filled(network, 2.0).items() if not name.startswith("tail.")}

    report = load_weights(network, arrays, source="a", allow_partial=False)

    assert not report.missing
    assert (network.state_dict()["tail.weight"].numpy() == 2.0).all()
