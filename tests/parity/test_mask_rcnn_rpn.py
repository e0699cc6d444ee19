"""Features, proposals and pooled features of R-CNN, and the losses of proposals, are the published ones."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import paddle
import pytest
from fill import fill_array, fill_state_dict, image
from first_choices import FirstChoices
from paddle import nn
from reference import Reference, find_references

from paddlex.repo_apis.paddle_detection.backbones.resnet import ResNet
from paddlex.repo_apis.paddle_detection.heads.roi_align import RoIAlign
from paddlex.repo_apis.paddle_detection.heads.rpn import RPNHead, flatten_levels
from paddlex.repo_apis.paddle_detection.heads.rpn_anchors import AnchorGrid
from paddlex.repo_apis.paddle_detection.heads.rpn_proposals import ProposalLimits, make_proposals
from paddlex.repo_apis.paddle_detection.losses.rpn import RPNCriterion
from paddlex.repo_apis.paddle_detection.necks.fpn import FPN

_FILES = [
    *find_references("maskrcnn", model_prefix="MaskRCNN"),
    *find_references("maskrcnn", model_prefix="Cascade-MaskRCNN"),
]
# The other checks of these groups concern the box and mask heads.
_OUR_CHECKS = (
    "eval/backbone",
    "eval/neck",
    "eval/rpn_",
    "eval/anchors",
    "eval/proposals",
    "eval/roi_align",
    "train/rpn_",
    "loss/loss_rpn_",
    "grad/rpn_head.",
)

Values = dict[str, np.ndarray]


class Trunk(nn.Layer):
    """The part of a network up to its proposals, as the names and shapes of a reference tell it."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        width, base_width = shapes["backbone.res2.res2a.branch2b.conv.weight"][:2]
        with_fpn = any(name.startswith("neck.") for name in shapes)
        self.backbone = ResNet(
            101 if "backbone.res4.res4b1.branch2a.conv.weight" in shapes else 50,
            variant="d" if "backbone.conv1.conv1_1.conv.weight" in shapes else "b",
            groups=width // base_width,
            base_width=base_width,
            out_stages=(2, 3, 4, 5) if with_fpn else (4,),
        )
        self.neck = FPN(self.backbone.out_channels) if with_fpn else None
        levels = self.neck or self.backbone
        sizes = [32, 64, 128, 256, 512]
        self.anchors = AnchorGrid(
            [[size] for size in sizes] if with_fpn else [sizes],
            ratios=(0.5, 1.0, 2.0),
            strides=levels.strides,
        )
        self.rpn_head = RPNHead(levels.out_channels[0], num_anchors=self.anchors.num_anchors)

    def forward(self, images: paddle.Tensor) -> tuple[list[paddle.Tensor], list[paddle.Tensor]]:
        """Return the features of the backbone, and the levels that proposals are made and pooled from."""
        features = self.backbone(images)
        return features, features if self.neck is None else self.neck(features)


class Subject:
    """A reference and the trunk it speaks of, filled with the reference's weights."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.arrays = reference.inputs()
        shapes = {name: tuple(shape) for name, shape, _ in reference.info["params"]}
        self.is_cascade = "bbox_head.head.0.fc6.weight" in shapes
        self.trunk = Trunk(shapes)
        self.trunk.set_state_dict(fill_state_dict(self.trunk.state_dict(), keep=reference.info["keep"]))
        self.trunk.eval()

    def images(self) -> paddle.Tensor:
        """Both pictures."""
        said = re.search(r"seed=(\d+), shape=\(([^)]*)\)", self.reference.info["input"]["image"])
        assert said is not None
        return paddle.to_tensor(image(int(said[1]), tuple(map(int, said[2].split(",")))))

    def tensors(self, name: str) -> list[paddle.Tensor]:
        """The array of that name of each picture."""
        return [paddle.to_tensor(self.arrays[f"{name}{i}"]) for i in range(2)]

    def limits(self) -> dict[str, ProposalLimits]:
        """What becomes a proposal in testing and in training."""
        if self.trunk.neck is None:
            return {
                "test": ProposalLimits(pre_nms=6000, post_nms=1000),
                "train": ProposalLimits(pre_nms=12000, post_nms=2000),
            }
        return {
            "test": ProposalLimits(pre_nms=1000, post_nms=1000),
            "train": ProposalLimits(
                pre_nms=2000, post_nms=2000 if self.is_cascade else 1000, collect_top_k=True
            ),
        }

    def faults(self, group: str, values: Values) -> list[str]:
        """Return what differs in the checks that this module is about."""
        return [line for line in self.reference.faults(group, values) if line.startswith(_OUR_CHECKS)]


@pytest.fixture(params=_FILES, ids=[file.stem for file in _FILES], scope="module")
def subject(request: pytest.FixtureRequest) -> Subject:
    return Subject(Reference(request.param))


def test_there_are_references() -> None:
    assert _FILES


def test_every_kind_of_check_was_recorded(subject: Subject) -> None:
    recorded = [check["key"] for check in subject.reference.info["checks"]]
    missing = {kind for kind in _OUR_CHECKS if not any(key.startswith(kind) for key in recorded)}

    assert missing == ({"eval/neck"} if subject.trunk.neck is None else set())


@paddle.no_grad()
def test_features_anchors_and_pooled_features_agree(subject: Subject) -> None:
    trunk, arrays = subject.trunk, subject.arrays
    features, levels = trunk(subject.images()[:1])
    scores, deltas = trunk.rpn_head(levels)
    strides = trunk.backbone.strides
    boxes = [paddle.to_tensor(arrays["rois0"])]
    small, large = (14, 14) if trunk.neck is None else (7, 14)
    lists = {
        "backbone": features,
        "neck": levels,
        "rpn_score": scores,
        "rpn_delta": deltas,
        "anchors": [trunk.anchors.grid(i, *score.shape[2:]) for i, score in enumerate(scores)],
    }
    values = {f"{name}.{i}": x.numpy() for name, tensors in lists.items() for i, x in enumerate(tensors)}
    for name, pool in {
        "bbox": RoIAlign(strides, resolution=small),
        "bbox_aligned": RoIAlign(strides, resolution=small, aligned=True),
        "mask": RoIAlign(strides, resolution=large),
    }.items():
        values[f"roi_align.{name}"] = pool(levels, boxes).numpy()

    values |= _proposals(subject, [tuple(score.shape) for score in scores])
    faults = subject.faults("eval", values)
    assert not faults, "\n".join(faults)


def _proposals(subject: Subject, shapes: list[tuple[int, ...]]) -> Values:
    """Proposals from the recorded maps, in whose scores no two are alike."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    rank = np.argsort(np.argsort(_normal("fixture.rpn.scores", (sum(sizes),)), kind="stable"))
    flat = ((rank + 0.5) / sum(sizes) * 10 - 5).astype(np.float32)
    parts = zip(np.split(flat, np.cumsum(sizes)[:-1]), shapes, strict=True)
    scores = [paddle.to_tensor(part.reshape(shape)) for part, shape in parts]
    deltas = [
        paddle.to_tensor(np.float32(0.3) * _normal(f"fixture.rpn.delta{i}", (1, 4 * a, h, w)))
        for i, (_, a, h, w) in enumerate(shapes)
    ]
    im_shape = paddle.to_tensor(subject.arrays["im_shape"][1:])
    return {
        f"proposals.{name}": make_proposals(
            scores, deltas, im_shape, anchors=subject.trunk.anchors, limits=limits
        )[0].numpy()
        for name, limits in subject.limits().items()
    }


def _normal(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return 10 * fill_array(f"{name}._mean", shape)


def test_targets_losses_and_gradients_of_proposals_agree(subject: Subject) -> None:
    trunk, gt_boxes = subject.trunk, subject.tensors("gt_bbox")
    trunk.train()
    _, levels = trunk(subject.images())
    logits, deltas, anchors = flatten_levels(*trunk.rpn_head(levels), anchors=trunk.anchors)
    criterion, draws = RPNCriterion(), FirstChoices()
    losses = criterion(logits, deltas, anchors=anchors, gt_boxes=gt_boxes, draws=draws)
    (losses["rpn_cls"] + losses["rpn_reg"]).backward()
    # Nothing but these losses reaches the head of the proposals.
    gradients = {
        f"rpn_head.{name}": np.linalg.norm(parameter.grad.numpy().astype(np.float64))
        for name, parameter in trunk.rpn_head.named_parameters()
    }
    trunk.clear_gradients()
    trunk.eval()

    labels = np.full(logits.shape, -1)
    positives, targets = [], []
    for row, boxes in zip(labels, gt_boxes, strict=True):
        sample = criterion.sample(anchors, boxes, draws=draws)
        row[sample.indices.numpy()] = sample.labels.numpy()
        is_positive = sample.labels.numpy() == 1
        positives.append(sample.indices.numpy()[is_positive])
        targets.append(sample.deltas.numpy()[is_positive])
    faults = subject.faults("grad", gradients)
    faults += subject.faults("loss", {f"loss_{name}": loss.numpy() for name, loss in losses.items()})
    faults += subject.faults(
        "train",
        {
            "rpn_labels": labels,
            "rpn_label_counts": np.stack([(labels == label).sum(axis=1) for label in (-1, 0, 1)], axis=1),
            "rpn_pos_index": np.concatenate(positives),
            "rpn_pos_delta": np.concatenate(targets),
        },
    )
    assert not faults, "\n".join(faults)
