"""Heads, detections, targets, losses and gradients of R-CNN are those of the published networks.

The checks up to the proposals are in test_mask_rcnn_rpn.py, those of data and schedule in
test_mask_rcnn_data.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from fill import fill_array, fill_state_dict, image
from first_choices import FirstChoices
from paddle import Tensor
from reference import Reference, find_references, require_references

from paddlex.nn.boxes import pairwise_box_iou
from paddlex.repo_apis.paddle_detection.heads.query_postprocess import original_sizes
from paddlex.repo_apis.paddle_detection.heads.rcnn_postprocess import (
    own_class,
    paste_box_masks,
    photo_rows,
    refine_boxes,
    select_detections,
)
from paddlex.repo_apis.paddle_detection.mask_rcnn_network import MaskRCNN
from paddlex.repo_apis.paddle_detection.matching.mask_targets import make_mask_targets
from paddlex.repo_apis.paddle_detection.matching.roi_sampling import SampledBoxes
from paddlex.repo_apis.paddle_detection.suite import MODELS
from paddlex.structures.shapes import InstanceShapes
from paddlex.training.optim import build_optimizer

_FILES = [
    *find_references("maskrcnn", model_prefix="MaskRCNN"),
    *find_references("maskrcnn", model_prefix="Cascade-MaskRCNN"),
]
_ELSEWHERE = (
    "eval/backbone",
    "eval/neck",
    "eval/rpn_",
    "eval/anchors",
    "eval/proposals",
    "eval/roi_align",
    "train/rpn_",
    "pre/",
    "schedule/",
)

Values = dict[str, np.ndarray]


class Subject:
    """A reference and the network it speaks of, filled with the reference's weights."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.arrays = reference.inputs()
        self.num_classes: int = reference.info["num_classes"]
        self.network: MaskRCNN = MODELS[reference.model].build(num_classes=self.num_classes)
        self.fresh = {name: value.numpy() for name, value in self.network.state_dict().items()}
        self.network.set_state_dict(fill_state_dict(self.fresh, keep=reference.info["keep"]))
        self.network.draws = FirstChoices()
        self.network.eval()

    @cached_property
    def images(self) -> Tensor:
        """Both pictures."""
        said = re.search(r"seed=(\d+), shape=\(([^)]*)\)", self.reference.info["input"]["image"])
        assert said is not None
        return paddle.to_tensor(image(int(said[1]), tuple(map(int, said[2].split(",")))))

    @cached_property
    def im_shape(self) -> Tensor:
        """Height and width of both, without padding."""
        return paddle.to_tensor(self.arrays["im_shape"])

    @cached_property
    def features(self) -> list[Tensor]:
        """What the heads see of the first picture."""
        with paddle.no_grad():
            return self.network.trunk(self.images[:1])[0]

    def tensors(self, name: str) -> list[Tensor]:
        """The array of that name of each picture."""
        return [paddle.to_tensor(self.arrays[f"{name}{i}"]) for i in range(len(self.images))]

    @cached_property
    def batch(self) -> dict[str, object]:
        """Both pictures with their objects, as the training loop hands them over."""
        gt_boxes, gt_class_ids = self.tensors("gt_bbox"), self.tensors("gt_class")
        return {
            "image": self.images,
            "im_shape": self.im_shape,
            "gt_boxes": gt_boxes,
            "gt_class_ids": [ids.flatten().astype("int64") for ids in gt_class_ids],
            "gt_masks": [self._shapes(i, count=len(boxes)) for i, boxes in enumerate(gt_boxes)],
        }

    def _shapes(self, picture: int, *, count: int) -> InstanceShapes:
        names = [[n for n in self.arrays if n.startswith(f"gt_poly{picture}_{i}_")] for i in range(count)]
        polygons = [[self.arrays[name] for name in sorted(parts)] for parts in names]
        height, width = self.images.shape[2:]
        return InstanceShapes.from_polygons(polygons, size=(height, width))

    def faults(self, group: str, values: Values) -> list[str]:
        """Return what differs in the checks of the group, those of other modules left out."""
        lines = self.reference.faults(group, values)
        return [line for line in lines if not line.startswith(_ELSEWHERE)]


@pytest.fixture(params=_FILES, ids=[file.stem for file in _FILES], scope="module")
def subject(request: pytest.FixtureRequest) -> Subject:
    return Subject(Reference(request.param))


def test_there_are_references() -> None:
    require_references(_FILES)


def test_state_dict_has_the_published_names_order_and_shapes(subject: Subject) -> None:
    ours = [[name, list(value.shape)] for name, value in subject.fresh.items()]

    assert ours == [[name, shape] for name, shape, _ in subject.reference.info["params"]]


def test_what_learns_and_how_fast_is_published(subject: Subject) -> None:
    info, parameters = subject.reference.info, dict(subject.network.named_parameters())
    learning = {name: p for name, p in parameters.items() if not p.stop_gradient}
    factors = {name: p.optimize_attr["learning_rate"] for name, p in learning.items()}

    assert sum(value.size for value in subject.fresh.values()) == info["param_count"]
    assert sum(p.size for p in learning.values()) == info["trainable_param_count"]
    assert len(learning) == info["trainable_tensors"]
    assert sorted(set(subject.fresh) - set(learning)) == sorted(info["frozen"])
    assert len(info["frozen"]) == info["frozen_tensors"]
    published = {name: factor for name, factor in info["lr_mult"].items() if name in learning}
    assert {name: factor for name, factor in factors.items() if factor != 1.0} == pytest.approx(published)


def test_every_learning_parameter_decays(subject: Subject) -> None:
    settings = MODELS[subject.reference.model].recipe.optimizer
    learning = {name: p for name, p in subject.network.named_parameters() if not p.stop_gradient}
    chosen = [name for name in learning if name.startswith("mask_head.mask_fcn_logits.")]
    before = {name: learning[name].numpy() for name in chosen}
    optimizer = build_optimizer(
        [learning[name] for name in chosen],
        algorithm=settings.type,
        weight_decay=settings.weight_decay,
        momentum=settings.momentum,
    )
    optimizer.set_lr(1.0)
    for name in chosen:
        (0.0 * learning[name].sum()).backward()
    optimizer.step()

    assert subject.reference.info["no_decay"] == []
    for name in chosen:
        decayed = before[name] * (1.0 - settings.weight_decay)
        np.testing.assert_allclose(learning[name].numpy(), decayed, rtol=1e-6)
        learning[name].set_value(before[name])
        learning[name].clear_gradient()


@paddle.no_grad()
def test_outputs_of_the_heads_agree(subject: Subject) -> None:
    network, features = subject.network, subject.features
    proposals, im_shape = paddle.to_tensor(subject.arrays["rois0"]), subject.im_shape[:1]
    values: Values = {}
    stages = network.box_stages
    boxes = proposals
    for index, stage in enumerate(stages):
        hidden = stage.trunk(network.roi_pooler(features, [boxes]))
        logits, deltas = stage.predict(hidden)
        ending = f".stage{index}" if len(stages) > 1 else ""
        named = {"feat": hidden, "score": logits, "delta": deltas, "rois": boxes}
        values |= {f"bbox_{name}{ending}": tensor.numpy() for name, tensor in named.items()}
        sizes = im_shape.expand([len(boxes), 2])
        boxes = refine_boxes(deltas, boxes, coding_weights=stage.coding_weights, sizes=sizes)[:, 0]
    _, scores = network.predict_boxes(features, [proposals], im_shape)
    # The published head returns the background's probability, too.
    values["bbox_prob"] = paddle.concat([scores, 1.0 - scores.sum(axis=1, keepdim=True)], axis=1).numpy()
    rows = paddle.to_tensor(subject.arrays["dets"])
    masks = network.mask_branch(network.mask_pooler(features, [rows[:, 2:]]))
    values["mask_prob"] = own_class(masks, rows[:, 0]).numpy()
    values["mask_logit"] = (paddle.log(masks) - paddle.log1p(-masks)).numpy()

    faults = subject.faults("eval", values)
    assert not faults, "\n".join(faults)


def _normal(name: str, shape: Sequence[int]) -> np.ndarray:
    return 10 * fill_array(f"{name}._mean", tuple(shape))


@paddle.no_grad()
def test_detections_and_pasted_masks_agree(subject: Subject) -> None:
    network, arrays, num_classes = subject.network, subject.arrays, subject.num_classes
    proposals = paddle.to_tensor(arrays["rois0"])
    logits = np.float32(3.0) * _normal("fixture.post.logits", (len(proposals), num_classes + 1))
    logits[:, -1] -= 2.0
    stage = network.box_stages[-1]
    deltas = _normal("fixture.post.delta", (len(proposals), stage.delta.weight.shape[1]))
    deltas.reshape(len(proposals), -1, 4)[:, :, 2:] *= 2.0
    boxes = refine_boxes(
        paddle.to_tensor(deltas),
        proposals,
        coding_weights=stage.coding_weights,
        sizes=subject.im_shape[:1].expand([len(proposals), 2]),
    )
    rows = select_detections(
        boxes.expand([-1, num_classes, 4]),
        F.softmax(paddle.to_tensor(logits))[:, :num_classes],
        limits=network.detection_limits,
    ).numpy()
    found = paddle.to_tensor(arrays["dets"])
    factor = paddle.to_tensor(arrays["scale_factor"])
    size = original_sizes(subject.im_shape, factor)[0]
    on_photo = photo_rows(found, scale_factor=factor[0], size=size)
    side = network.mask_resolution
    masks = F.sigmoid(paddle.to_tensor(2.0 * _normal("fixture.post.mask", (len(found), side, side))))
    pasted = paste_box_masks(masks.astype("float32"), on_photo[:, 2:], size=size).numpy()

    values = {
        "nms_label": rows[:, 0],
        "nms_score": rows[:, 1],
        "nms_bbox": rows[:, 2:],
        "bbox": on_photo.numpy(),
        "origin_shape": np.tile(size.numpy(), (len(found), 1)),
        "mask": _with_few_recorded(subject, "post/mask", pasted),
        "mask_area": pasted.sum(axis=(1, 2)),
    }
    faults = subject.faults("post", values)
    assert not faults, "\n".join(faults)


def _with_few_recorded(subject: Subject, key: str, array: np.ndarray) -> np.ndarray:
    """Return `array` with the recorded values, if no more differ than may: pixels on an edge are no error."""
    group, _, name = key.partition("/")
    allowed = subject.reference.checks(group)[name]["tolerance"]
    recorded = subject.reference.stored_values(key)
    flat = array.reshape(-1).copy()
    places = np.linspace(0, flat.size - 1, len(recorded)).astype(np.int64)
    if (flat[places] != recorded).mean() <= allowed:
        flat[places] = recorded
    return flat.reshape(array.shape)


def test_sampled_boxes_and_mask_targets_agree(subject: Subject) -> None:
    samples = subject.network.sample_proposals(subject.tensors("rois"), subject.batch)
    targets = make_mask_targets(
        samples,
        subject.batch["gt_masks"],
        num_classes=subject.num_classes,
        resolution=subject.network.mask_resolution,
    )
    masks = targets.masks.numpy()
    values = {
        **_assignment(samples, prefix="assigned_"),
        "assigned_gt_index": _joined(
            [
                _with_published_ties(s, boxes)
                for s, boxes in zip(samples, subject.batch["gt_boxes"], strict=True)
            ]
        ),
        "mask_num": np.array([len(rows) for rows in targets.rows]),
        "mask_class": targets.class_ids.numpy(),
        "mask_target": masks,
        "mask_target_area": masks.sum(axis=(1, 2)),
    }
    faults = subject.faults("train", values)
    assert not faults, "\n".join(faults)


def _with_published_ties(sample: SampledBoxes, gt_boxes: Tensor) -> Tensor:
    """Return the object of each box; for one that overlaps none, the one that the published code names."""
    overlaps = pairwise_box_iou(gt_boxes, sample.boxes)
    first = paddle.topk(overlaps, k=1, axis=0)[1].flatten()
    return paddle.where(overlaps.max(axis=0) > 0, sample.gt_indices, first)


def test_a_full_sample_of_many_proposals_agrees(subject: Subject) -> None:
    samples = subject.network.sample_proposals(subject.tensors("many_rois"), subject.batch)

    faults = subject.faults("assign", _assignment(samples))
    assert not faults, "\n".join(faults)


def _assignment(samples: Sequence[SampledBoxes], *, prefix: str = "") -> Values:
    return {
        f"{prefix}num": np.array([len(s.boxes) for s in samples]),
        f"{prefix}rois": _joined([s.boxes for s in samples]),
        f"{prefix}label": _joined([s.class_ids for s in samples]),
    }


def _joined(parts: Sequence[Tensor]) -> np.ndarray:
    return paddle.concat(list(parts)).numpy()


def test_losses_and_gradients_agree(subject: Subject) -> None:
    network, batch = subject.network, subject.batch
    network.train()
    features, scores, deltas = network.trunk(subject.images)
    losses = network.rpn_losses(scores, deltas, batch)
    samples = network.sample_proposals(subject.tensors("rois"), batch)
    losses |= network.roi_losses(features, samples, batch)
    if network.shares_trunk:
        losses["mask"] = _mask_loss_of_the_first_photo(subject, features, samples)
    total = paddle.add_n(list(losses.values()))
    total.backward()
    # In float64: a float32 sum of millions of squares is off by a thousandth.
    norms = {
        name: np.linalg.norm(parameter.grad.numpy().astype(np.float64))
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }
    network.clear_gradients()
    network.eval()

    norms["global"] = np.sqrt(sum(norm**2 for norm in norms.values()))
    values = {f"loss_{name.replace('rcnn', 'bbox')}": loss.numpy() for name, loss in losses.items()}
    faults = subject.faults("loss", values | {"loss": total.numpy()}) + subject.faults("grad", norms)
    assert not faults, "\n".join(faults)


def _mask_loss_of_the_first_photo(
    subject: Subject, features: Sequence[Tensor], samples: Sequence[SampledBoxes]
) -> Tensor:
    """Return the mask loss of the published C4 code, which is right for one photo a step only.

    It takes the features of every photo's masks from the first photo's boxes, at the index within the photo.
    """
    network = subject.network
    targets = make_mask_targets(
        samples,
        subject.batch["gt_masks"],
        num_classes=subject.num_classes,
        resolution=network.mask_resolution,
    )
    shared = network.box_stages[0].trunk(network.roi_pooler(features, [s.boxes for s in samples]))
    logits = network.mask_head(shared.gather(paddle.concat(targets.rows)))
    return network.roi_criterion.mask_term(logits, targets)
