"""SOLOv2 gives the numbers of the published network, on weights and inputs made by `fill`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from fill import fill_state_dict, image
from reference import Reference, find_references, require_references

from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.repo_apis.paddle_detection.heads.query_postprocess import original_sizes
from paddlex.repo_apis.paddle_detection.heads.solov2 import list_cells
from paddlex.repo_apis.paddle_detection.heads.solov2_postprocess import paste_probabilities, select_segments
from paddlex.repo_apis.paddle_detection.heads.solov2_targets import CellTargets, assign_cells
from paddlex.repo_apis.paddle_detection.losses.solov2 import category_loss, mask_loss
from paddlex.repo_apis.paddle_detection.suite import MODELS
from paddlex.structures.masks import MaskCrops
from paddlex.structures.shapes import InstanceShapes
from paddlex.training.schedules import LearningRate

_FILES = find_references("solov2", model_prefix="SOLOv2")

Values = dict[str, Any]


class Subject:
    """A reference and the network it speaks of, filled with the reference's weights."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.info = reference.info
        self.num_classes: int = reference.info["num_classes"]
        self.network = MODELS[reference.model].build(num_classes=self.num_classes)
        self.network.set_state_dict(fill_state_dict(self.network.state_dict(), keep=self.info["keep"]))
        self.network.eval()


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

    assert ours == [[name, shape] for name, shape, _ in subject.info["params"]]
    assert sum(value.size for value in subject.network.state_dict().values()) == subject.info["param_count"]


def test_layers_with_two_names_are_one_tensor_listed_once_among_the_parameters(subject: Subject) -> None:
    state = subject.network.state_dict()
    parameters = dict(subject.network.named_parameters())
    pairs = {long: entry["same_tensor_as"] for long, entry in subject.info["shared_tensors"].items()}

    assert pairs
    assert all(state[long] is state[short] for long, short in pairs.items())
    assert set(pairs) <= set(parameters)
    assert not set(pairs.values()) & set(parameters)


def test_frozen_are_the_published_modules_and_all_normalisations_of_the_backbone(subject: Subject) -> None:
    modules = tuple(f"{module}." for module in subject.info["frozen_modules"])
    for name, parameter in subject.network.named_parameters():
        is_norm = name.startswith("backbone.") and ".norm." in name
        assert parameter.stop_gradient == (is_norm or name.startswith(modules)), name


def test_learning_rate_follows_the_published_points(subject: Subject) -> None:
    recipe = MODELS[subject.reference.model].recipe
    ((key, points),) = ((k, v) for k, v in subject.info.items() if re.fullmatch(r"lr_\d+_steps_per_epoch", k))
    schedule = LearningRate(
        base=recipe.learning_rate,
        total_steps=recipe.epochs * int(key.split("_")[1]),
        decay=recipe.schedule.type,
        milestones=recipe.schedule.milestones,
        gamma=recipe.schedule.gamma,
        warmup_steps=recipe.warmup.steps or 0,
        warmup_start=recipe.warmup.start_factor,
    )

    assert [schedule(step) for step, _ in points] == pytest.approx([rate for _, rate in points], abs=1e-12)


def test_values_agree(subject: Subject, group: str) -> None:
    faults = subject.reference.faults(group, _PRODUCERS[group](subject))

    assert not faults, "\n".join(faults)


# ---------------------------------------------------------------- inputs


def _numbers(text: str, pattern: str) -> list[int]:
    """Return the whole numbers in what `pattern` captures of `text`."""
    match = re.search(pattern, text)
    assert match, f"{pattern} does not fit {text!r}"
    return [int(number) for number in re.findall(r"\d+", match.group(1))]


def _picture(text: str) -> paddle.Tensor:
    (seed,) = _numbers(text, r"image\(seed=(\d+)")
    return paddle.to_tensor(image(seed, tuple(_numbers(text, r"shape=\(([\d,]+)\)"))))


def _features(text: str) -> np.ndarray:
    """Return the feature map `maximum(4*(image(seed, shape)-0.5), 0)`."""
    seed, *shape = _numbers(text, r"maximum\(4\*\(image\(([^)]*\))")
    return np.float32(np.maximum(4 * (image(seed, tuple(shape)) - 0.5), 0))


def _objects(subject: Subject) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return boxes, classes and elliptic masks of each photo of the training checks."""
    truth = subject.info["ground_truth"]
    height, width = _numbers(subject.info["loss_input"], r"shape=\(([\d,]+)\)")[2:]
    y, x = np.mgrid[:height, :width] + 0.5
    photos = []
    for classes, boxes in zip(truth["classes"], truth["boxes_x1y1x2y2"], strict=True):
        rows = np.array(boxes, np.float64).reshape(-1, 4)
        x0, y0, x1, y1 = (rows[:, i, None, None] for i in range(4))
        across, down = (2 * x - x0 - x1) / (x1 - x0), (2 * y - y0 - y1) / (y1 - y0)
        masks = across**2 + down**2 <= 1
        photos.append((rows.astype(np.float32), np.array(classes, np.int64), masks))
    return photos


def _targets(subject: Subject) -> list[CellTargets]:
    grids = subject.network.solov2_head.grid_sizes
    return [
        assign_cells(boxes, classes, MaskCrops.from_dense(masks), grid_sizes=grids)
        for boxes, classes, masks in _objects(subject)
    ]


# ---------------------------------------------------------------- network


@paddle.no_grad()
def _backbone(subject: Subject) -> Values:
    features = subject.network.backbone(_picture(subject.info["input"]))
    return {str(i): feature for i, feature in enumerate(features)}


@paddle.no_grad()
def _neck(subject: Subject) -> Values:
    network = subject.network
    levels = network.neck(network.backbone(_picture(subject.info["input"])))
    return {str(i): level for i, level in enumerate(levels)}


@paddle.no_grad()
def _head(subject: Subject) -> Values:
    network, picture = subject.network, _picture(subject.info["input"])
    levels = network.neck(network.backbone(picture))
    kernels, logits = network.solov2_head(levels)
    raw = network({"image": picture})
    values = {"seg_feat": raw["features"]}
    start = 0
    for i, grid in enumerate(network.solov2_head.grid_sizes):
        scores = raw["scores"][:, start : start + grid * grid]
        values[f"cate_nms_{i}"] = scores.reshape([-1, grid, grid, subject.num_classes])
        values[f"cate_logits_{i}"], values[f"kernel_{i}"] = logits[i], kernels[i]
        start += grid * grid
    return values


# ---------------------------------------------------------------- post-processing


def _post_input(subject: Subject, *, count: int) -> dict[str, paddle.Tensor]:
    """Return the fixed cells and features, of which `count` cells found something."""
    text, grids = subject.info["post_input"], subject.network.solov2_head.grid_sizes
    assert list(grids) == _numbers(text, r"for q in \[([^\]]*)\]")
    (seed,) = _numbers(text, r"PCG64\((\d+)\)")
    (depth,) = _numbers(text, r"standard_normal\(\(1,(\d+),q,q\)\)")
    generator = np.random.Generator(np.random.PCG64(seed))
    kernels = [np.float32(0.2 * generator.standard_normal((1, depth, grid, grid))) for grid in grids]
    scores = [np.zeros((1, grid, grid, subject.num_classes), np.float32) for grid in grids]
    for row in range(count):
        level = row % len(grids)
        y, x = generator.integers(0, grids[level], 2)
        scores[level][0, y, x, (row // 2) % min(subject.num_classes, 4)] = 0.95 - 0.8 * row / count
    features = _features(text)
    return {
        "scores": paddle.concat([paddle.to_tensor(level).flatten(1, 2) for level in scores], axis=1)[0],
        "kernels": list_cells([paddle.to_tensor(level) for level in kernels])[0],
        "features": paddle.to_tensor(features)[0],
    }


@paddle.no_grad()
def _post(subject: Subject, *, count: int) -> Values:
    network, text = subject.network, subject.info["post_input"]
    cells = _post_input(subject, count=count)
    strides = np.repeat(np.float32([8, 8, 16, 32, 32]), [g * g for g in network.solov2_head.grid_sizes])
    segments = select_segments(**cells, strides=paddle.to_tensor(strides), limits=network.limits)
    im_shape = paddle.to_tensor([_numbers(text, r"im_shape=\[([^\]]*)\]")], dtype="float32")
    factors = re.search(r"scale_factor=\[([\d.]+),([\d.]+)\]", text).groups()
    size = original_sizes(im_shape, paddle.to_tensor([[float(factor) for factor in factors]]))[0]
    masks = paste_probabilities(segments.masks, im_shape=im_shape[0], size=size).numpy()
    return {
        "segm": masks,
        "mask_area": masks.astype(np.int64).sum(axis=(1, 2)),
        "cate_label": segments.class_ids,
        "cate_score": segments.scores,
        "bbox_num": np.array([len(masks)]),
    }


def _post_with_instances(subject: Subject) -> Values:
    (count,) = _numbers(subject.info["post_input"], r"n=(\d+) post")
    return _post(subject, count=count)


# ---------------------------------------------------------------- training


def _target(subject: Subject) -> Values:
    targets, grids = _targets(subject), subject.network.solov2_head.grid_sizes
    values: Values = {"fg_num": np.array([np.count_nonzero(target.categories) for target in targets])}
    start = 0
    for level, grid in enumerate(grids):
        cells = slice(start, start + grid * grid)
        values[f"cate_label{level}"] = np.stack([target.categories[cells] for target in targets])
        masks, order = _published_entries(targets, first_cell=start, grid=grid)
        values[f"ins_label{level}"], values[f"grid_order{level}"] = masks, order
        start += grid * grid
    return values


def _published_entries(
    targets: Sequence[CellTargets], *, first_cell: int, grid: int
) -> tuple[np.ndarray, np.ndarray]:
    """Write the claims of one level in the published form: a mask per claim, padded to the largest count."""
    claims = [
        [
            (cell - first_cell, obj)
            for cell, obj in zip(target.cells, target.objects, strict=True)
            if first_cell <= cell < first_cell + grid * grid
        ]
        for target in targets
    ]
    most = max(map(len, claims))
    masks = np.zeros((len(targets), most, *targets[0].masks.shape[1:]), np.uint8)
    order = np.zeros((len(targets), most), np.int32)
    for photo, (target, rows) in enumerate(zip(targets, claims, strict=True)):
        if most and not rows:
            order[photo, 0] = photo * grid * grid
        for entry, (cell, obj) in enumerate(rows):
            masks[photo, entry] = target.masks[obj]
            order[photo, entry] = photo * grid * grid + cell
    return masks, order


@lru_cache(maxsize=1)
def _trained(subject: Subject) -> tuple[Values, dict[str, float]]:
    """Return the losses of one step and the gradients' norms, and leave the network as it was."""
    network = subject.network
    batch: Values = {"image": _picture(subject.info["loss_input"])}
    batch |= {"gt_boxes": [], "gt_class_ids": [], "gt_masks": []}
    for boxes, classes, masks in _objects(subject):
        batch["gt_boxes"].append(paddle.to_tensor(boxes))
        batch["gt_class_ids"].append(paddle.to_tensor(classes))
        batch["gt_masks"].append(InstanceShapes.from_crops(MaskCrops.from_dense(masks)))
    network.train()
    losses = network(batch)
    losses["loss"].backward()
    norms = {name: _norm(p.grad) for name, p in network.named_parameters() if p.grad is not None}
    network.clear_gradients()
    network.eval()
    return {name: loss.numpy().reshape(1) for name, loss in losses.items()}, norms


def _norm(gradient: paddle.Tensor) -> float:
    # In float64: a float32 sum of millions of squares is off by a thousandth.
    return float(np.sqrt(np.sum(gradient.numpy().astype(np.float64) ** 2)))


def _gradient_norms(subject: Subject) -> Values:
    return {name: np.array([norm]) for name, norm in _trained(subject)[1].items()}


def _fixed_head_losses(subject: Subject) -> Values:
    """Return losses and gradient norms on fixed kernels, logits and features."""
    text, grids = subject.info["loss_fixed_head_input"], subject.network.solov2_head.grid_sizes
    (seed,) = _numbers(text, r"PCG64\((\d+)\)")
    batch, depth = _numbers(text, r"kernels=float32\(0\.1\*g\.standard_normal\(\((\d+,\d+),q,q\)\)")
    generator = np.random.Generator(np.random.PCG64(seed))
    logits, kernels = [], []
    for grid in grids:
        logits.append(generator.standard_normal((batch, subject.num_classes, grid, grid)) - 3)
        kernels.append(0.1 * generator.standard_normal((batch, depth, grid, grid)))
    logits, kernels = (
        [paddle.to_tensor(np.float32(level), stop_gradient=False) for level in levels]
        for levels in (logits, kernels)
    )
    features = paddle.to_tensor(_features(text), stop_gradient=False)
    targets = _targets(subject)
    categories = paddle.to_tensor(np.stack([target.categories for target in targets]))
    loss_ins = 3.0 * mask_loss(list_cells(kernels), features, targets)
    loss_cate = category_loss(list_cells(logits), categories)
    (loss_ins + loss_cate).backward()
    gradients = {f"grad_cate_{i}": level for i, level in enumerate(logits)}
    gradients |= {f"grad_kernel_{i}": level for i, level in enumerate(kernels)} | {"grad_seg": features}
    norms = {name: np.array([_norm(tensor.grad)]) for name, tensor in gradients.items()}
    return {"loss_ins": loss_ins.reshape([1]), "loss_cate": loss_cate.reshape([1]), **norms}


# ---------------------------------------------------------------- data


def _preprocess(subject: Subject) -> Values:
    picture = _picture(subject.info["preprocess_input"]).numpy()[0].transpose(1, 2, 0)
    operations = MODELS[subject.reference.model].recipe.deploy.preprocess
    return dict(Preprocessor(operations)(np.round(255 * picture).astype(np.uint8)))


def _poly2mask(subject: Subject) -> Values:
    drawn = subject.info["poly2mask_input"]
    shapes = InstanceShapes.from_polygons(drawn["polygons"], size=(drawn["h"], drawn["w"]))
    crops = shapes.to_crops()
    return {"masks": crops.to_dense().astype(np.uint8), "area": crops.area()}


_PRODUCERS: dict[str, Callable[[Subject], Values]] = {
    "backbone": _backbone,
    "neck": _neck,
    "head": _head,
    "post": _post_with_instances,
    "post_empty": lambda subject: _post(subject, count=0),
    "target": _target,
    "loss": lambda subject: _trained(subject)[0],
    "grad_norm": _gradient_norms,
    "loss_fixed_head": _fixed_head_losses,
    "preprocess": _preprocess,
    "poly2mask": _poly2mask,
}
