"""How an untrained Mask-RT-DETR starts, and that every parameter of the builder arrives."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.mask_rt_detr import (
    MaskRTDETR,
    build_mask_rt_detr_h,
    build_mask_rt_detr_s,
)


@pytest.fixture(scope="module")
def network() -> MaskRTDETR:
    paddle.seed(0)
    return build_mask_rt_detr_s(num_classes=3, eval_size=(64, 64))


def test_untrained_scores_are_one_percent_and_boxes_are_the_anchors(network: MaskRTDETR) -> None:
    network.eval()
    transformer = network.transformer
    with paddle.no_grad():
        levels, _ = network.neck(network.backbone(paddle.rand([1, 3, 64, 64])))
        corrections = transformer.bbox_head(transformer.score_tokens(transformer.encode(levels))[0])

    np.testing.assert_allclose(transformer.score_head.bias.numpy(), -math.log(99.0), rtol=1e-6)
    assert not corrections.numpy().any()


def test_decoder_layers_start_alike_but_learn_apart(network: MaskRTDETR) -> None:
    first, *others = network.transformer.decoder.layers
    for layer in others:
        for (name, ours), theirs in zip(layer.named_parameters(), first.parameters(), strict=True):
            assert ours is not theirs, name
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_both_attention_layers_of_the_largest_neck_start_alike() -> None:
    # Narrow, to be quick: the number of layers is what makes it the largest.
    network = build_mask_rt_detr_h(num_classes=3, eval_size=(64, 64), arch="S", neck_width=32)
    first, second = network.neck.encoder[0].layers

    assert network.neck.out_channels == [32, 32, 32]
    for ours, theirs in zip(second.parameters(), first.parameters(), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize(
    ("name", "bound"),
    [
        ("backbone.stages.0.blocks.0.layers.0.conv.weight", math.sqrt(2 / (9 * 32))),
        ("neck.fpn_blocks.0.bottlenecks.0.conv1.conv.weight", math.sqrt(2 / (9 * 128))),
        ("neck.input_proj.0.0.weight", math.sqrt(2 / 256)),
        ("neck.lateral_convs.0.conv.weight", 1 / math.sqrt(256) / math.sqrt(3)),
        ("neck.encoder.0.layers.0.linear2.weight", 1 / math.sqrt(1024) / math.sqrt(3)),
        ("transformer.decoder.layers.0.self_attn.in_proj_weight", math.sqrt(6 / (256 + 768)) / math.sqrt(3)),
        ("transformer.mask_query_head.layers.0.weight", 1 / math.sqrt(256) / math.sqrt(3)),
        ("transformer.denoising_class_embed.weight", 1.0),
    ],
)
def test_initial_deviations_are_the_published_ones(network: MaskRTDETR, name: str, bound: float) -> None:
    values = network.state_dict()[name].numpy()

    # Relative standard error of a deviation of n normal numbers: 1 / sqrt(2 n).
    assert values.std() == pytest.approx(bound, rel=5 / math.sqrt(2 * values.size))
    assert values.mean() == pytest.approx(0.0, abs=5 * bound / math.sqrt(values.size))


def test_variants_accept_any_parameter_of_the_builder() -> None:
    network = build_mask_rt_detr_s(
        num_classes=2, eval_size=(64, 64), num_queries=7, num_detections=5, num_decoder_layers=2
    )
    network.eval()
    with paddle.no_grad():
        images = paddle.rand([1, 3, 64, 64])
        raw, found = network({"image": images}), network.detect(images, paddle.to_tensor([[64.0, 64.0]]))

    assert raw["logits"].shape == [1, 7, 2]
    assert found["scores"].shape == [1, 5]
    assert len(network.transformer.decoder.layers) == 2
