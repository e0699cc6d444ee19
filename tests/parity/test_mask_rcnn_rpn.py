"""Features, proposals, pooled features and targets of proposals are those of the published R-CNN networks.

`test_mask_rcnn.py` has the heads and all losses and gradients, `test_mask_rcnn_data.py` data and schedule.
"""

from __future__ import annotations

import re

import numpy as np
import paddle
import pytest
from fill import fill_array, fill_state_dict, image
from first_choices import FirstChoices
from reference import Reference, find_references, require_references

from paddlex.repo_apis.paddle_detection.heads.roi_align import RoIAlign
from paddlex.repo_apis.paddle_detection.heads.rpn_proposals import make_proposals
from paddlex.repo_apis.paddle_detection.mask_rcnn_network import MaskRCNN
from paddlex.repo_apis.paddle_detection.suite import MODELS

_FILES = [
    *find_references("maskrcnn", model_prefix="MaskRCNN"),
    *find_references("maskrcnn", model_prefix="Cascade-MaskRCNN"),
]
_OUR_CHECKS = (
    "eval/backbone",
    "eval/neck",
    "eval/rpn_",
    "eval/anchors",
    "eval/proposals",
    "eval/roi_align",
    "train/rpn_",
)

Values = dict[str, np.ndarray]


class Subject:
    """A reference and the network it speaks of, filled with the reference's weights."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.arrays = reference.inputs()
        self.network: MaskRCNN = MODELS[reference.model].build(num_classes=reference.info["num_classes"])
        filled = fill_state_dict(self.network.state_dict(), keep=reference.info["keep"])
        self.network.set_state_dict(filled)
        self.network.eval()

    def images(self) -> paddle.Tensor:
        """Both pictures."""
        said = re.search(r"seed=(\d+), shape=\(([^)]*)\)", self.reference.info["input"]["image"])
        assert said is not None
        return paddle.to_tensor(image(int(said[1]), tuple(map(int, said[2].split(",")))))

    def faults(self, group: str, values: Values) -> list[str]:
        """Return what differs in the checks that this module is about."""
        return [line for line in self.reference.faults(group, values) if line.startswith(_OUR_CHECKS)]


@pytest.fixture(params=_FILES, ids=[file.stem for file in _FILES], scope="module")
def subject(request: pytest.FixtureRequest) -> Subject:
    return Subject(Reference(request.param))


def test_there_are_references() -> None:
    require_references(_FILES)


def test_every_kind_of_check_was_recorded(subject: Subject) -> None:
    recorded = [check["key"] for check in subject.reference.info["checks"]]
    missing = {kind for kind in _OUR_CHECKS if not any(key.startswith(kind) for key in recorded)}

    assert missing == ({"eval/neck"} if subject.network.neck is None else set())


@paddle.no_grad()
def test_features_proposals_and_pooled_features_agree(subject: Subject) -> None:
    network = subject.network
    features = network.backbone(subject.images()[:1])
    levels = features if network.neck is None else network.neck(features)
    scores, deltas = network.rpn_head(levels)
    lists = {
        "backbone": features,
        "neck": levels,
        "rpn_score": scores,
        "rpn_delta": deltas,
        "anchors": [network.anchors.grid(i, *score.shape[2:]) for i, score in enumerate(scores)],
    }
    values = {f"{name}.{i}": x.numpy() for name, tensors in lists.items() for i, x in enumerate(tensors)}
    values |= _proposals(subject, [tuple(score.shape) for score in scores])
    pooler = network.roi_pooler
    boxes = [paddle.to_tensor(subject.arrays["rois0"])]
    for name, pool in {
        "bbox": pooler,
        "bbox_aligned": RoIAlign(pooler.strides, resolution=pooler.resolution, aligned=True),
        "mask": network.mask_pooler,
    }.items():
        values[f"roi_align.{name}"] = pool(levels, boxes).numpy()

    faults = subject.faults("eval", values)
    assert not faults, "\n".join(faults)


def _proposals(subject: Subject, shapes: list[tuple[int, ...]]) -> Values:
    """Proposals from the recorded maps, in whose scores no two are alike."""
    network = subject.network
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
    values = {}
    for mode, limits in {"test": network.test_proposals, "train": network.train_proposals}.items():
        (boxes,) = make_proposals(scores, deltas, im_shape, anchors=network.anchors, limits=limits)
        values[f"proposals.{mode}"] = boxes.numpy()
    return values


def _normal(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return 10 * fill_array(f"{name}._mean", shape)


def test_targets_of_proposals_agree(subject: Subject) -> None:
    network, (height, width) = subject.network, subject.images().shape[2:]
    anchors = paddle.concat(
        [
            network.anchors.grid(level, -(-height // stride), -(-width // stride))
            for level, stride in enumerate(network.anchors.strides)
        ]
    )
    labels = np.full((2, len(anchors)), -1)
    positives, targets = [], []
    for photo, row in enumerate(labels):
        boxes = paddle.to_tensor(subject.arrays[f"gt_bbox{photo}"])
        sample = network.rpn_criterion.sample(anchors, boxes, draws=FirstChoices())
        row[sample.indices.numpy()] = sample.labels.numpy()
        is_positive = sample.labels.numpy() == 1
        positives.append(sample.indices.numpy()[is_positive])
        targets.append(sample.deltas.numpy()[is_positive])

    values = {
        "rpn_labels": labels,
        "rpn_label_counts": np.stack([(labels == label).sum(axis=1) for label in (-1, 0, 1)], axis=1),
        "rpn_pos_index": np.concatenate(positives),
        "rpn_pos_delta": np.concatenate(targets),
    }
    faults = subject.faults("train", values)
    assert not faults, "\n".join(faults)
