"""PP-YOLOE_seg gives the numbers of the published networks, on weights and inputs made by `fill`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from fill import fill_state_dict, image
from reference import Reference, find_references, require_references

from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.repo_apis.paddle_detection import ppyoloe_seg
from paddlex.repo_apis.paddle_detection.heads.ppyoloe_seg import CellPredictions, cell_tables
from paddlex.repo_apis.paddle_detection.heads.ppyoloe_seg_postprocess import official_detections
from paddlex.repo_apis.paddle_detection.heads.query_postprocess import original_sizes
from paddlex.repo_apis.paddle_detection.losses.ppyoloe_seg_criterion import PPYOLOESegTargets
from paddlex.repo_apis.paddle_detection.suite import MODELS
from paddlex.training.schedules import LearningRate

_FILES = find_references("ppyoloe_seg", model_prefix="PP-YOLOE_seg")

Values = dict[str, Any]


class Subject:
    """A reference and the network it speaks of, filled with the reference's weights."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.num_classes: int = reference.info["num_classes"]
        build = getattr(ppyoloe_seg, f"build_ppyoloe_seg_{reference.model[-1].lower()}")
        self.network: ppyoloe_seg.PPYOLOESeg = build(num_classes=self.num_classes)
        filled = fill_state_dict(self.network.state_dict(), keep=reference.info["keep"])
        self.network.set_state_dict(filled)
        self._statistics = {
            name: value for name, value in filled.items() if name.endswith(("._mean", "._variance"))
        }
        self.network.eval()

    def restore(self) -> None:
        """Undo what a training step changes, and return to evaluation mode."""
        self.network.set_state_dict(self._statistics)
        self.network.clear_gradients()
        self.network.eval()

    @cached_property
    @paddle.no_grad()
    def features(self) -> tuple[list[paddle.Tensor], list[paddle.Tensor], CellPredictions]:
        """Outputs of backbone, neck and head in evaluation mode."""
        picture = _images(self.reference.info["input"])[0]
        backbone = self.network.backbone(picture)
        neck = self.network.neck(backbone)
        return backbone, neck, self.network.yolo_head(neck)

    @cached_property
    def step(self) -> dict[str, Values]:
        """Losses, gradient norms and running statistics of one training step, by group."""
        losses, fixed = self._train(_images(self.reference.info["loss_input"])[0])
        parameters = dict(self.network.named_parameters())
        names = self.reference.checks("grad_norm")
        norms = {name: _norm(parameters[name].grad) for name in names}
        state = self.network.state_dict()
        statistics = {name: state[name].numpy() for name in self.reference.checks("bn_after")}
        self.restore()
        return {"loss": losses | fixed, "grad_norm": norms, "bn_after": statistics}

    def _train(self, pictures: paddle.Tensor) -> tuple[Values, Values]:
        truth = self.ground_truth(len(pictures), size=(pictures.shape[2], pictures.shape[3]))
        self.network.train()
        predictions = self.network.predict(pictures)
        losses = self.network.criterion(predictions, truth)
        losses["loss"].backward()
        return self.unweighted(losses), {"loss_l1": self.mean_l1(predictions, truth)}

    def unweighted(self, losses: dict[str, paddle.Tensor]) -> Values:
        """Return the terms as the reference reports them: before the factors that the sum has."""
        weights = self.network.criterion.weights
        factors = (weights.classes, weights.iou, weights.dfl, weights.mask, 1.0)
        return {
            name: loss.numpy() / factor for (name, loss), factor in zip(losses.items(), factors, strict=True)
        }

    def mean_l1(self, predictions: CellPredictions, truth: PPYOLOESegTargets) -> np.ndarray:
        """Return the mean distance of the positive cells' boxes, in strides, which nothing learns from."""
        assigned = self.assigned(predictions, truth)
        positive = assigned["labels"] < self.num_classes
        wanted = assigned["boxes"] / predictions.strides.numpy()
        return np.abs(predictions.grid_boxes.numpy() - wanted)[positive].mean()

    def assigned(self, predictions: CellPredictions, truth: PPYOLOESegTargets) -> Values:
        """Return the assignment in the reference's form, every image with the same number of objects."""
        assignment = self.network.criterion.assign(predictions, truth)
        assert assignment is not None
        objects, positive = assignment.objects.numpy(), assignment.positive.numpy()
        padded = [_padded(values, max(truth.counts)) for values in (truth.boxes, truth.class_ids)]
        boxes, class_ids = (
            np.take_along_axis(values, objects.reshape(*objects.shape, *[1] * (values.ndim - 2)), axis=1)
            for values in padded
        )
        cells = np.flatnonzero(positive)
        objects += np.arange(len(objects))[:, None] * padded[0].shape[1]
        return {
            "labels": np.where(positive, class_ids, self.num_classes),
            # In pixels, although the reference's own description says cells.
            "boxes": boxes,
            "score_per_anchor": assignment.quality.numpy(),
            "num_pos": positive.sum(axis=1),
            "pos_index": cells,
            "pos_gt": objects.ravel()[cells],
        }

    def ground_truth(self, count: int, *, size: tuple[int, int]) -> PPYOLOESegTargets:
        """Return the objects of the first `count` images at (height, width) `size`, with elliptic masks."""
        info = self.reference.info["ground_truth"]
        own_size = tuple(json.loads(re.match(r"\[[\d, ]+\]", info["at"]).group()))
        rows = info["boxes_x1y1x2y2"] if size == own_size else info[f"loss{size[0]}_boxes"]
        targets: dict[str, list[paddle.Tensor]] = {"boxes": [], "class_ids": [], "masks": []}
        for boxes, classes, valid in list(zip(rows, info["classes"], info["valid"], strict=True))[:count]:
            real = np.array(valid) > 0
            boxes = np.float32(boxes)[real]
            targets["boxes"].append(paddle.to_tensor(boxes))
            targets["class_ids"].append(paddle.to_tensor(np.array(classes, np.int64)[real]))
            targets["masks"].append(paddle.to_tensor(_ellipses(boxes, size)[:, ::4, ::4]))
        return PPYOLOESegTargets(**targets)


@lru_cache(maxsize=1)
def _subject(file: Path) -> Subject:
    return Subject(Reference(file))


@pytest.fixture
def subject(request: pytest.FixtureRequest) -> Subject:
    """The network of one reference, built once for all its checks (conftest.py puts them in a row)."""
    return _subject(request.param)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per model, and per model and group of checks where a test asks for the group."""
    if "group" in metafunc.fixturenames:
        cases = [
            pytest.param(file, group, id=f"{file.stem}-{group}")
            for file in _FILES
            for group in Reference(file).groups
        ]
        metafunc.parametrize(("subject", "group"), cases, indirect=["subject"])
    elif "subject" in metafunc.fixturenames:
        ids = [file.stem for file in _FILES]
        metafunc.parametrize("subject", _FILES, indirect=True, ids=ids, scope="module")


def test_there_are_references() -> None:
    require_references(_FILES)


def test_state_dict_has_the_published_names_order_and_shapes(subject: Subject) -> None:
    ours = [[name, list(value.shape)] for name, value in subject.network.state_dict().items()]

    assert ours == [[name, shape] for name, shape, _ in subject.reference.info["params"]]


def test_element_count_is_the_published_one(subject: Subject) -> None:
    state = subject.network.state_dict()

    assert sum(value.size for value in state.values()) == subject.reference.info["param_count"]


def test_learning_rates_are_the_published_ones(subject: Subject) -> None:
    recipe = MODELS[subject.reference.model].recipe
    per_epoch = 100
    steps = recipe.epochs * per_epoch
    rate = LearningRate(
        base=recipe.learning_rate,
        total_steps=steps,
        decay=recipe.schedule.type,
        length=recipe.schedule.length,
        decay_after_warmup=recipe.schedule.after_warmup,
        warmup_steps=round(recipe.warmup.epochs * steps),
        warmup_start=recipe.warmup.start_factor,
    )

    for step, expected in subject.reference.info[f"lr_{per_epoch}_steps_per_epoch"]:
        assert rate(step) == pytest.approx(expected, rel=1e-9), step


def test_values_agree(subject: Subject, group: str) -> None:
    values = _PRODUCERS[group](subject, group)
    faults = subject.reference.faults(group, values)

    assert not faults, "\n".join(faults)


# ---------------------------------------------------------------- inputs


def _images(text: str) -> list[paddle.Tensor]:
    """Return the pictures of all `image(seed=..., shape=...)` and `image(seed, shape)` written in `text`."""
    found = re.findall(r"image\((?:seed=)?(\d+), ?(?:shape=)?\(([\d, ]+)\)\)", text)
    return [
        paddle.to_tensor(image(int(seed), tuple(int(n) for n in shape.split(",")))) for seed, shape in found
    ]


def _generator(text: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(int(re.search(r"PCG64\((\d+)\)", text).group(1))))


def _ellipses(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return (n, H, W) uint8 ellipses inscribed in xyxy `boxes`."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    x1, y1, x2, y2 = (boxes[:, i, None, None].astype(np.float64) for i in range(4))
    across, down = (2 * x - x1 - x2) / (x2 - x1), (2 * y - y1 - y2) / (y2 - y1)
    return (across**2 + down**2 <= 1).astype(np.uint8)


def _padded(values: list[paddle.Tensor], count: int) -> np.ndarray:
    arrays = [value.numpy() for value in values]
    return np.stack(
        [np.pad(array, [(0, count - len(array))] + [(0, 0)] * (array.ndim - 1)) for array in arrays]
    )


def _norm(gradient: paddle.Tensor) -> float:
    # In float64: a float32 sum of millions of squares is off by a thousandth.
    return float(np.sqrt(np.sum(gradient.numpy().astype(np.float64) ** 2)))


def _level_sizes(size: tuple[int, int], strides: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    return tuple((size[0] // stride, size[1] // stride) for stride in strides)


# ---------------------------------------------------------------- one producer per group


def _backbone(subject: Subject, group: str) -> Values:
    return {str(i): feature.numpy() for i, feature in enumerate(subject.features[0])}


def _neck(subject: Subject, group: str) -> Values:
    return {str(i): feature.numpy() for i, feature in enumerate(subject.features[1])}


@paddle.no_grad()
def _head(subject: Subject, group: str) -> Values:
    pred = subject.features[2]
    picture = _images(subject.reference.info["input"])[0]
    im_shape = paddle.to_tensor([[float(side) for side in picture.shape[2:]]])
    return {
        "cls_score": subject.network({"image": picture, "im_shape": im_shape})["scores"].numpy(),
        "reg_dist": pred.distances.numpy(),
        "mask_coeff": pred.coefficients.numpy().transpose(0, 2, 1),
        "proto": pred.prototypes.numpy(),
        "anchor_points": pred.points.numpy(),
        "stride_tensor": pred.strides.numpy(),
        "boxes": pred.boxes.numpy(),
    }


@paddle.no_grad()
def _postprocess(subject: Subject, group: str) -> Values:
    text = subject.reference.info["post_input"]
    score, distances, coefficients = _detection_inputs(text, group, num_classes=subject.num_classes)
    (prototypes,) = _images(text)
    prototypes = 4 * (prototypes.astype("float64") - 0.5)
    height, width = json.loads(re.search(r"im_shape=(\[[\d, ]+\])", text).group(1))
    factors = re.search(r"scale_factor=\[(\d+)/(\d+),(\d+)/(\d+)\]", text).groups()
    y_in, y_photo, x_in, x_photo = (float(number) for number in factors)
    scale_factor = paddle.to_tensor(np.float32([[y_in / y_photo, x_in / x_photo]]))
    points, strides = cell_tables(
        _level_sizes((height, width), subject.network.neck.strides), strides=subject.network.neck.strides
    )
    pred = CellPredictions(
        logits=score,
        side_logits=distances,
        distances=distances,
        coefficients=coefficients,
        prototypes=prototypes.astype("float32"),
        points=points,
        strides=strides,
    )
    kept = subject.network.nms(pred.boxes, score)
    im_shape = paddle.to_tensor([[float(height), float(width)]])
    rows, count, masks = official_detections(
        kept,
        coefficients=pred.coefficients,
        prototypes=pred.prototypes,
        input_size=(height, width),
        scale_factor=scale_factor,
        photo_size=original_sizes(im_shape, scale_factor)[0],
    )
    return {
        "bbox": rows.numpy(),
        "bbox_num": count.numpy(),
        "mask": masks.numpy(),
        "mask_area": masks.sum([1, 2]).numpy(),
        "index": kept.index.numpy()[:, None],
    }


def _detection_inputs(text: str, group: str, *, num_classes: int) -> list[paddle.Tensor]:
    """Return scores (1, C, L), distances (1, L, 4) and coefficients (1, L, P), drawn as `text` says."""
    count = int(re.search(rf"(\d+) \({group}\)", text).group(1))
    num_cells, width = (int(re.search(pattern, text).group(1)) for pattern in (r"L=(\d+)", r"\(1,(\d+),L\)"))
    rng = _generator(text)
    score = 0.008 * rng.random((1, num_classes, num_cells))
    distances = 0.5 + 3.5 * rng.random((1, num_cells, 4))
    coefficients = 0.25 * rng.standard_normal((1, width, num_cells))
    where = rng.permutation(num_cells)[:count]
    classes = rng.integers(0, num_classes, count)
    for rank in range(count):
        score[0, classes[rank], where[rank]] = 0.95 - 0.9 * rank / count
    for rank in range(min(3, count)):
        first = where[rank]
        second = first + 1 if first + 1 < num_cells and first + 1 not in where else first - 1
        sign = 1 if second > first else -1
        distances[0, second] = distances[0, first] + sign * np.array([1, 0, -1, 0])
        score[0, classes[rank], second] = 0.5 + 0.01 * rank
    arrays = score, distances, coefficients.transpose(0, 2, 1)
    return [paddle.to_tensor(array.astype(np.float32)) for array in arrays]


def _step(subject: Subject, group: str) -> Values:
    return subject.step[group]


@paddle.no_grad()
def _loss_of_one(subject: Subject, group: str) -> Values:
    pictures = _images(subject.reference.info["loss_input"])[1]
    truth = subject.ground_truth(1, size=(pictures.shape[2], pictures.shape[3]))
    subject.network.train()
    predictions = subject.network.predict(pictures)
    losses = subject.unweighted(subject.network.criterion(predictions, truth))
    subject.restore()
    return losses | {"loss_l1": subject.mean_l1(predictions, truth)}


def _fixed_head(subject: Subject) -> tuple[CellPredictions, dict[str, paddle.Tensor]]:
    """Return the predictions of the recipe for losses, and the leaves they are made of."""
    text = subject.reference.info["loss_fixed_head_input"]
    rng = _generator(text)
    score, sides, coefficients = (
        rng.standard_normal([subject.num_classes if size == "C" else int(size) for size in shape.split(",")])
        for shape in re.findall(r"standard_normal\(\(([\dC,]+)\)\)", text)
    )
    (prototypes,) = _images(text)
    leaves = {
        "grad_cls_score": 1 / (1 + np.exp(3 - score.astype(np.float32))),
        "grad_reg_distri": sides,
        "grad_mask_coeff": 0.5 * coefficients,
        "grad_proto": 4 * (prototypes.numpy() - 0.5),
    }
    tensors = {
        name: paddle.to_tensor(array.astype(np.float32), stop_gradient=False)
        for name, array in leaves.items()
    }
    probability = tensors["grad_cls_score"]
    side_logits = tensors["grad_reg_distri"].reshape([0, 0, 4, -1])
    head = subject.network.yolo_head
    size = tuple(4 * side for side in prototypes.shape[2:])
    points, strides = cell_tables(_level_sizes(size, head.strides), strides=head.strides)
    pred = CellPredictions(
        logits=paddle.log(probability) - paddle.log1p(-probability),
        side_logits=side_logits,
        distances=head.mean_distances(side_logits),
        coefficients=tensors["grad_mask_coeff"],
        prototypes=tensors["grad_proto"],
        points=points,
        strides=strides,
    )
    return pred, tensors


def _truth_of(subject: Subject, predictions: CellPredictions) -> PPYOLOESegTargets:
    height, width = (4 * side for side in predictions.prototypes.shape[2:])
    return subject.ground_truth(len(predictions.prototypes), size=(height, width))


def _loss_fixed_head(subject: Subject, group: str) -> Values:
    predictions, leaves = _fixed_head(subject)
    truth = _truth_of(subject, predictions)
    losses = subject.network.criterion(predictions, truth)
    losses["loss"].backward()
    values = subject.unweighted(losses) | {name: _norm(leaf.grad) for name, leaf in leaves.items()}
    return values | {"loss_l1": subject.mean_l1(predictions, truth)}


def _assign(subject: Subject, group: str) -> Values:
    predictions, _ = _fixed_head(subject)
    return subject.assigned(predictions, _truth_of(subject, predictions))


def _preprocess(subject: Subject, group: str) -> Values:
    picture = _images(subject.reference.info["preprocess_input"])[0].numpy()[0].transpose(1, 2, 0)
    operations = MODELS[subject.reference.model].recipe.deploy.preprocess
    return dict(Preprocessor(operations)(np.round(255 * picture).astype(np.uint8)))


_PRODUCERS: dict[str, Callable[[Subject, str], Values]] = {
    "backbone": _backbone,
    "neck": _neck,
    "head": _head,
    "post": _postprocess,
    "post_empty": _postprocess,
    "loss": _step,
    "grad_norm": _step,
    "bn_after": _step,
    "loss_fixed_head": _loss_fixed_head,
    "assign": _assign,
    "loss640": _loss_of_one,
    "preprocess": _preprocess,
}
