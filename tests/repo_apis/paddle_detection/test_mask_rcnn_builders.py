"""How an untrained Mask R-CNN starts, and that every parameter of the builder arrives."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest

from paddlex.nn.draws import UniformDraws
from paddlex.repo_apis.paddle_detection.heads.box_head import StageSettings
from paddlex.repo_apis.paddle_detection.heads.rcnn_postprocess import DetectionLimits
from paddlex.repo_apis.paddle_detection.heads.rpn_proposals import ProposalLimits
from paddlex.repo_apis.paddle_detection.losses.roi import RoICriterion
from paddlex.repo_apis.paddle_detection.losses.rpn import RPNCriterion
from paddlex.repo_apis.paddle_detection.mask_rcnn import CASCADE_STAGES, MaskRCNN, build_mask_rcnn
from paddlex.repo_apis.paddle_detection.matching.roi_sampling import RoISampler
from paddlex.structures.shapes import InstanceShapes
from paddlex.utils.errors import UsageError


@pytest.fixture(scope="module")
def networks() -> dict[str, MaskRCNN]:
    paddle.seed(0)
    return {
        "fpn": build_mask_rcnn(num_classes=5),
        "c4": build_mask_rcnn(num_classes=5, with_fpn=False),
    }


@pytest.mark.parametrize(
    ("model", "name", "deviation"),
    [
        # Uniform within +-b has deviation b / sqrt(3).
        ("fpn", "bbox_head.head.fc6.weight", math.sqrt(6 / 25088) / math.sqrt(3)),
        ("fpn", "bbox_head.head.fc7.weight", math.sqrt(6 / 2048) / math.sqrt(3)),
        ("fpn", "bbox_head.bbox_score.weight", 0.01),
        ("fpn", "bbox_head.bbox_delta.weight", 0.001),
        ("fpn", "mask_head.head.upsample.mask_inter_feat_2.weight", math.sqrt(2 / 2304)),
        ("fpn", "mask_head.head.upsample.conv5_mask.weight", math.sqrt(2 / 1024)),
        # Ours: upstream starts with sqrt(2 / classes).
        ("fpn", "mask_head.mask_fcn_logits.weight", 0.001),
        ("c4", "mask_head.head.upsample.conv5_mask.weight", math.sqrt(2 / 1024)),
        ("c4", "bbox_head.head.res5.res5a.branch2b.conv.weight", math.sqrt(2 / 4608)),
    ],
)
def test_weights_start_with_their_deviation(
    networks: dict[str, MaskRCNN], model: str, name: str, deviation: float
) -> None:
    weight = networks[model].state_dict()[name].numpy()

    assert weight.std() == pytest.approx(deviation, rel=0.06)
    assert abs(weight.mean()) < 0.1 * deviation


@pytest.mark.parametrize("model", ["fpn", "c4"])
def test_biases_of_the_heads_start_at_zero(networks: dict[str, MaskRCNN], model: str) -> None:
    network = networks[model]
    parts = [network.rpn_head, network.mask_head, network.bbox_head.bbox_score, network.bbox_head.bbox_delta]
    biases = [p for part in parts for name, p in part.named_parameters() if name.endswith("bias")]

    assert len(biases) >= 7
    assert not any(bias.numpy().any() for bias in biases)


def test_parameters_of_the_pyramid_arrive() -> None:
    network = build_mask_rcnn(
        num_classes=3,
        fpn_width=16,
        anchor_sizes=[[8, 12], [16, 24], [32, 48], [64, 96], [128, 192]],
        anchor_ratios=(1.0, 2.0),
        train_proposals=ProposalLimits(pre_nms=50, post_nms=20),
        test_proposals=ProposalLimits(pre_nms=40, post_nms=10, nms_iou=0.6),
        rpn_criterion=RPNCriterion(samples_per_image=32, min_pos_iou=0.3, beta=1 / 9),
        roi_sampler=RoISampler(samples_per_image=8),
        roi_criterion=RoICriterion(beta=1.0, mask_weight=2.0),
        stages=[StageSettings(match_iou=0.4)],
        box_resolution=5,
        mask_resolution=20,
        sampling_ratio=2,
        aligned=True,
        detection_limits=DetectionLimits(score_threshold=0.0, keep_top_k=7),
        learn_norm_affine=True,
    )
    network.eval()
    image = paddle.rand([1, 3, 64, 64])
    with paddle.no_grad():
        found = network.detect(image, paddle.full([1, 2], 64.0))
        _, scores, deltas = network.trunk(image)

    assert [scores[0].shape[1], deltas[0].shape[1]] == [4, 16]
    assert list(found["masks"].shape[1:]) == [found["scores"].shape[1], 20, 20]
    assert found["scores"].shape[1] <= 7
    assert network.bbox_head.head.fc6.weight.shape[0] == 16 * 25
    assert network.mask_head.head.upsample.mask_inter_feat_1.weight.shape == [256, 16, 3, 3]
    assert (network.train_proposals.post_nms, network.test_proposals.nms_iou) == (20, 0.6)
    assert (network.rpn_criterion.min_pos_iou, network.roi_criterion.mask_weight) == (0.3, 2.0)
    assert network.roi_sampler.samples_per_image == 8
    assert network.box_stages[0].settings.match_iou == 0.4
    for pooler in (network.roi_pooler, network.mask_pooler):
        assert (pooler.sampling_ratio, pooler.aligned) == (2, True)
    learning = {name for name, p in network.backbone.named_parameters() if not p.stop_gradient}
    assert "res3.res3a.branch2a.norm.weight" in learning
    assert "res2.res2a.branch2a.norm.weight" not in learning


def test_without_a_pyramid_only_the_given_sizes_are_anchors() -> None:
    network = build_mask_rcnn(num_classes=3, with_fpn=False, anchor_sizes=[[32.0]])

    assert network.neck is None
    assert network.anchors.num_anchors == 3
    assert network.anchors.strides == (16,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"with_fpn": False, "stages": CASCADE_STAGES}, "a cascade without a pyramid"),
        ({"mask_resolution": 27}, "mask_resolution 27.*an even number"),
        ({"with_fpn": False, "mask_resolution": 28}, "mask_resolution 28 with box_resolution 14"),
    ],
    ids=["cascade_c4", "odd_masks", "c4_masks"],
)
def test_contradictions_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_mask_rcnn(num_classes=3, **options)


def test_reseeding_repeats_a_training_step() -> None:
    paddle.seed(0)
    sampler = RoISampler(samples_per_image=8, foreground_fraction=0.5)
    network = build_mask_rcnn(num_classes=3, fpn_width=16, roi_sampler=sampler)
    network.train()
    outline = [[8, 8, 40, 8, 40, 40, 8, 40]]
    batch = {
        "image": paddle.rand([1, 3, 64, 64]),
        "im_shape": paddle.full([1, 2], 64.0),
        "gt_boxes": [paddle.to_tensor([[8.0, 8.0, 40.0, 40.0]])],
        "gt_class_ids": [paddle.to_tensor([1])],
        "gt_masks": [InstanceShapes.from_polygons([outline], size=(64, 64))],
    }
    losses = []
    for seed in (1, 1, 2):
        network.draws = UniformDraws(seed)
        losses.append(float(network(batch)["loss"]))

    assert losses[0] == losses[1]
    assert not np.isclose(losses[0], losses[2], rtol=1e-6)
