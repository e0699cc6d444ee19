"""Networks under quantisation: every key of the configuration acts."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
import pytest
from paddle import nn

from paddlex.nn.fake_quant import AbsMax, ChannelWiseAbsMax, MovingAverageAbsMax, RangeAbsMax
from paddlex.nn.quantization import (
    QuantizationConfig,
    bake_weights,
    input_scales,
    quantization_of,
    quantize_network,
)
from paddlex.repo_apis.paddle_detection.suite import MODELS as DETECTION
from paddlex.repo_apis.paddle_seg.suite import MODELS as SEGMENTATION
from paddlex.utils.errors import UsageError


def small() -> nn.Layer:
    paddle.seed(0)
    return nn.Sequential(
        nn.Conv2D(3, 4, 3), nn.Conv2DTranspose(4, 2, 2), nn.Flatten(), nn.Linear(2 * 5 * 5, 2)
    )


def quantized(**values: Any) -> nn.Layer:
    network = small()
    quantize_network(network, QuantizationConfig.from_mapping(values))
    return network


def test_the_defaults_are_the_documented_ones() -> None:
    config = QuantizationConfig()
    assert config.to_mapping() == {
        "weight_preprocess_type": None,
        "activation_preprocess_type": None,
        "weight_quantize_type": "channel_wise_abs_max",
        "activation_quantize_type": "moving_average_abs_max",
        "weight_bits": 8,
        "activation_bits": 8,
        "dtype": "int8",
        "window_size": 10000,
        "moving_rate": 0.9,
        "quantizable_layer_type": ["Conv2D", "Linear"],
        "skip": None,
    }
    assert QuantizationConfig.from_mapping(config.to_mapping()) == config
    assert QuantizationConfig.from_mapping(None) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weight_bit": 8}, "quant_config.weight_bit: unknown key; known keys: weight_preprocess_type, "),
        ({"weight_bits": 17}, "quant_config.weight_bits: found 17, expected a whole number from 1 to 16"),
        ({"activation_bits": True}, "found True, expected a whole number from 1 to 16"),
        ({"weight_preprocess_type": "pact"}, "found 'pact', expected one of None, 'PACT'"),
        ({"activation_preprocess_type": 1}, "found 1, expected one of None, 'PACT'"),
        ({"weight_quantize_type": "lsq"}, "found 'lsq', expected one of 'abs_max', 'channel_wise_abs_max'"),
        (
            {"activation_quantize_type": "channel_wise_abs_max"},
            "expected one of 'abs_max', 'range_abs_max', 'moving_average_abs_max'",
        ),
        ({"dtype": "int4"}, "found 'int4', expected one of 'int8', 'float32'"),
        ({"window_size": 0}, "found 0, expected a whole number above 0"),
        ({"moving_rate": 1.0}, "found 1.0, expected a number from 0 to below 1"),
        ({"quantizable_layer_type": ["Conv3D"]}, "expected a list of Conv2D, Conv2DTranspose, Linear"),
        ({"skip": "head"}, "quant_config.skip: found 'head', expected a list of names, or null"),
    ],
)
def test_a_wrong_value_is_told_in_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        QuantizationConfig.from_mapping(values)
    assert message in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("abs_max", AbsMax),
        ("channel_wise_abs_max", ChannelWiseAbsMax),
        ("range_abs_max", RangeAbsMax),
        ("moving_average_abs_max", MovingAverageAbsMax),
    ],
)
def test_weight_quantize_type_chooses_the_scale_of_weights(kind: str, expected: type) -> None:
    network = quantized(weight_quantize_type=kind)
    assert type(network[0].weight_quantizer.scale) is expected
    x = paddle.randn([2, 3, 6, 6])
    assert np.isfinite(network(x).numpy()).all()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("abs_max", 2.0), ("range_abs_max", 4.0), ("moving_average_abs_max", (4 * 0.9 + 2) / 1.9)],
)
def test_activation_quantize_type_chooses_the_scale_of_inputs(kind: str, expected: float) -> None:
    network = quantized(activation_quantize_type=kind)
    for largest in (4.0, 2.0):
        network(paddle.full([1, 3, 6, 6], largest))
    assert input_scales(network)["0"] == pytest.approx(expected)


def test_window_size_says_how_long_a_range_is_kept() -> None:
    network = quantized(activation_quantize_type="range_abs_max", window_size=1)
    for largest in (4.0, 2.0):
        network(paddle.full([1, 3, 6, 6], largest))
    assert input_scales(network)["0"] == 2.0


def test_moving_rate_says_how_much_the_past_counts() -> None:
    network = quantized(moving_rate=0.5)
    for largest in (4.0, 2.0):
        network(paddle.full([1, 3, 6, 6], largest))
    assert input_scales(network)["0"] == pytest.approx((4 * 0.5 + 2) / 1.5)


def test_bits_bound_the_number_of_values() -> None:
    """Two bits leave a weight its scale, nothing and minus its scale."""
    network = quantized(weight_bits=2, activation_bits=3)
    assert network[0].input_quantizer.bits == 3
    bake_weights(network)
    for channel in network[0].weight.numpy():
        assert len(np.unique(np.abs(channel).round(6))) <= 2


def test_pact_can_be_had_for_weights_and_inputs_apart() -> None:
    network = quantized(weight_preprocess_type="PACT")
    assert network[0].weight_quantizer.alpha is not None and network[0].input_quantizer.alpha is None
    network = quantized(activation_preprocess_type="PACT")
    assert network[0].weight_quantizer.alpha is None and network[0].input_quantizer.alpha is not None
    assert "0.input_quantizer.alpha" in dict(network.named_parameters())


def test_quantizable_layer_type_and_skip_choose_the_layers() -> None:
    assert set(input_scales(quantized())) == {"0", "3"}
    assert set(input_scales(quantized(quantizable_layer_type=["Linear"]))) == {"3"}
    assert set(input_scales(quantized(quantizable_layer_type=["Conv2DTranspose"]))) == {"1"}
    assert set(input_scales(quantized(skip=["0"]))) == {"3"}
    with pytest.raises(UsageError, match=r"no layer of Linear is left in Sequential \(skipped: 3\)"):
        quantized(quantizable_layer_type=["Linear"], skip=["3"])


def test_dtype_and_bits_say_whether_a_graph_can_be_int8() -> None:
    fits = [
        QuantizationConfig.from_mapping(values).fits_int8
        for values in ({}, {"weight_bits": 4}, {"activation_bits": 9}, {"dtype": "float32"})
    ]
    assert fits == [True, True, False, False]


def test_a_network_is_quantised_in_one_way_only() -> None:
    network = quantized(weight_bits=4)
    assert quantization_of(network) == QuantizationConfig(weight_bits=4)
    assert quantize_network(network, QuantizationConfig(weight_bits=4)) == ["0", "3"]
    with pytest.raises(UsageError, match="quantised already, with weight_bits 4; found 8"):
        quantize_network(network, QuantizationConfig())


# --------------------------------------------------------------------------- our networks


@pytest.mark.parametrize("name", ["FastSCNN", "UNet"])
def test_float_names_stay_and_a_quantised_state_fits_again(name: str) -> None:
    spec = SEGMENTATION[name]
    floats = spec.build(num_classes=2).state_dict()
    network = spec.build(num_classes=2, quantization={})
    assert set(floats) < set(network.state_dict())
    extra = set(network.state_dict()) - set(floats)
    assert all(".input_quantizer.scale." in key for key in extra)
    missing, unexpected = spec.build(num_classes=2, quantization={}).set_state_dict(network.state_dict())
    assert not missing and not unexpected


def test_every_convolution_of_a_network_is_quantised_and_learns() -> None:
    network = SEGMENTATION["FastSCNN"].build(num_classes=2, quantization={})
    batch = {"image": paddle.randn([2, 3, 64, 64]), "label_map": paddle.randint(0, 2, [2, 64, 64])}
    network(batch)["loss"].backward()
    assert all(scale > 0 for scale in input_scales(network).values())
    assert all(p.grad is not None for p in network.parameters() if not p.stop_gradient)


def test_mask_rcnn_keeps_its_heads_float() -> None:
    names = set(input_scales(DETECTION["MaskRCNN-ResNet50-FPN"].build(num_classes=2, quantization={})))
    assert {name.split(".")[0] for name in names} == {"backbone", "neck"}
    everything = DETECTION["MaskRCNN-ResNet50-FPN"].build(num_classes=2, quantization={"skip": []})
    assert {name.split(".")[0] for name in set(input_scales(everything)) - names} == {
        "rpn_head",
        "bbox_head",
        "mask_head",
    }


def test_baking_changes_nothing_in_evaluation() -> None:
    network = quantized()
    x = paddle.randn([2, 3, 6, 6])
    network(x)
    network.eval()
    before = network(x).numpy()
    bake_weights(network)
    np.testing.assert_allclose(network(x).numpy(), before, rtol=1e-5, atol=1e-6)
