"""Mask-RT-DETR gives the numbers of the published networks, on weights and inputs made by `fill`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from fill import fill_state_dict, image
from reference import FixedDraws, Reference, find_references, require_references

from paddlex.data.transforms.preprocess import Preprocessor
from paddlex.nn.boxes import masks_to_boxes, xyxy_to_cxcywh
from paddlex.repo_apis.paddle_detection import mask_rt_detr
from paddlex.repo_apis.paddle_detection.heads.anchors import anchor_tables
from paddlex.repo_apis.paddle_detection.heads.query import mask_logits
from paddlex.repo_apis.paddle_detection.heads.query_postprocess import (
    gather_queries,
    official_rows,
    original_sizes,
    paste_masks,
    select_top_pairs,
)
from paddlex.repo_apis.paddle_detection.suite import MODELS

_FILES = find_references("mask_rtdetr", model_prefix="Mask-RT-DETR")
# Their inputs are predictions, not images: see the tests of the losses.
_ELSEWHERE = {"match", "lossfix"}

Values = dict[str, np.ndarray]


class Subject:
    """A reference and the network it speaks of, filled with the reference's weights."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.num_classes: int = reference.info["num_classes"]
        self.image_size: tuple[int, int] = tuple(reference.setup["eval_size"])
        build = getattr(mask_rt_detr, f"build_mask_rt_detr_{reference.model[-1].lower()}")
        self.network = build(num_classes=self.num_classes, eval_size=self.image_size)
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


@lru_cache(maxsize=1)
def _subject(file: Path) -> Subject:
    return Subject(Reference(file))


@pytest.fixture
def subject(request: pytest.FixtureRequest) -> Subject:
    """The network of one reference, built once for all its checks (conftest.py puts them in a row)."""
    return _subject(request.param)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per model, and per model and group of checks where a test asks for the group."""
    if "subject" not in metafunc.fixturenames:
        return
    if "group" not in metafunc.fixturenames:
        metafunc.parametrize(
            "subject", _FILES, indirect=True, ids=[file.stem for file in _FILES], scope="module"
        )
        return
    cases = [
        pytest.param(file, group, id=f"{file.stem}-{group}")
        for file in _FILES
        for group in Reference(file).groups
        if group not in _ELSEWHERE
    ]
    metafunc.parametrize(("subject", "group"), cases, indirect=["subject"])


def test_there_are_references() -> None:
    require_references(_FILES)


def test_state_dict_has_the_published_names_order_and_shapes(subject: Subject) -> None:
    ours = [[name, list(value.shape)] for name, value in subject.network.state_dict().items()]

    assert ours == [[name, shape] for name, shape, _ in subject.reference.info["params"]]


def test_element_counts_are_the_published_ones(subject: Subject) -> None:
    info = subject.reference.info
    state = subject.network.state_dict()
    trainable = [p for p in subject.network.parameters() if not p.stop_gradient]

    assert sum(value.size for value in state.values()) == info["param_count"]
    assert sum(p.size for p in trainable) == info["trainable_count"]
    assert len(trainable) == info["trainable_params"]
    assert len(state) - len(trainable) == info["frozen_params"]


def test_learning_rate_factors_are_the_published_ones(subject: Subject) -> None:
    factors: dict[float, list[str]] = {}
    for name, parameter in subject.network.named_parameters():
        if not parameter.stop_gradient:
            factors.setdefault(parameter.optimize_attr["learning_rate"], []).append(name)
    factors.pop(1.0)

    expected = subject.reference.info["lr_mult"]
    assert {str(factor): len(names) for factor, names in factors.items()} == {
        factor: entry["count"] for factor, entry in expected.items()
    }
    for factor, names in factors.items():
        assert all(name.startswith(expected[str(factor)]["prefix"]) for name in names)


def test_values_agree(subject: Subject, group: str) -> None:
    values = _producer(group)(subject)
    faults = subject.reference.faults(group, values)

    assert not faults, "\n".join(faults)


def _producer(group: str) -> Callable[[Subject], Values]:
    """Return the function that computes a group's values with our network."""
    for pattern, produce in _PRODUCERS.items():
        if re.fullmatch(pattern, group):
            return partial(produce, group=group)
    raise LookupError(f"{group}: no producer for this group of checks")


def _image_of(text: str, index: int = 0) -> paddle.Tensor:
    """Return the picture of the `index`-th `image(seed=..., shape)` written in `text`."""
    seed, shape = re.findall(r"image\(seed=(\d+), (?:shape=)?\(([\d, ]+)\)\)", text)[index]
    return paddle.to_tensor(image(int(seed), tuple(int(n) for n in shape.split(","))))


def _number(text: str, name: str) -> int:
    match = re.search(rf"{name}=(\d+)", text)
    assert match, f"{name} is not in {text!r}"
    return int(match.group(1))


def _numpy(**tensors: paddle.Tensor) -> Values:
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def _first_image(subject: Subject) -> paddle.Tensor:
    return _image_of(subject.reference.info["input"])


@paddle.no_grad()
def _backbone(subject: Subject, *, group: str) -> Values:
    features = subject.network.backbone(_first_image(subject))
    return {str(i): feature.numpy() for i, feature in enumerate(features)}


@paddle.no_grad()
def _neck(subject: Subject, *, group: str) -> Values:
    levels, prototypes = subject.network.neck(subject.network.backbone(_first_image(subject)))
    return {f"enc{i}": level.numpy() for i, level in enumerate(levels)} | _numpy(mask=prototypes)


@paddle.no_grad()
def _query(subject: Subject, *, group: str) -> Values:
    transformer = subject.network.transformer
    levels, _ = subject.network.neck(subject.network.backbone(_first_image(subject)))
    memory = transformer.encode(levels)
    content, logits = transformer.score_tokens(memory)
    anchors, valid = transformer.anchors(memory.level_sizes)
    boxes = F.sigmoid(transformer.bbox_head(content) + anchors)
    values = _numpy(
        memory=memory.tokens,
        content=content,
        logits=logits,
        boxes=boxes,
        anchors=F.sigmoid(anchors),
        valid=valid,
    )
    for name in subject.reference.checks(group):
        if match := re.fullmatch(r"(anchors|valid)(\d+)", name):
            sides = [int(match.group(2)) // stride for stride in (8, 16, 32)]
            anchors, valid = anchor_tables([(side, side) for side in sides])
            values[name] = (F.sigmoid(anchors) if match.group(1) == "anchors" else valid).numpy()
    return values


@paddle.no_grad()
def _decoder(subject: Subject, *, group: str) -> Values:
    reference, transformer = subject.reference, subject.network.transformer
    levels, prototypes = subject.network.neck(subject.network.backbone(_first_image(subject)))
    text = reference.setup["decoder"]
    contents, boxes = transformer.decode(
        paddle.to_tensor(reference.normal(text, 0)),
        boxes=F.sigmoid(paddle.to_tensor(reference.normal(text, 1))),
        memory=transformer.encode(levels),
    )
    logits, mask_embeds = transformer.predict(contents[-1])
    text = reference.setup["mask_boxes"]
    threshold = float(re.search(r"thresholded > ([\d.]+)", text).group(1))
    masks = paddle.to_tensor(_repeat_cells(reference.normal(text), text))
    mask_boxes = xyxy_to_cxcywh(masks_to_boxes(masks, threshold=threshold))
    return _numpy(
        logits=logits, boxes=boxes[-1], masks=mask_logits(mask_embeds, prototypes), mask_boxes=mask_boxes
    )


def _repeat_cells(array: np.ndarray, text: str) -> np.ndarray:
    """Repeat the cells of the last two axes as `text` says."""
    times = int(re.search(r"each cell repeated (\d+)x", text).group(1))
    return array.repeat(times, axis=-2).repeat(times, axis=-1)


@paddle.no_grad()
def _order_free(subject: Subject, *, group: str) -> Values:
    network = subject.network
    network.transformer.num_queries = int(group.removeprefix("e2e"))
    picture = _first_image(subject)
    levels, _ = network.neck(network.backbone(picture))
    scores = network.transformer.score_tokens(network.transformer.encode(levels))[1].numpy().max(axis=-1)
    logits = network({"image": picture})["logits"].numpy().max(axis=-1)
    top_scores = np.sort(scores.ravel())[::-1][: network.transformer.num_queries]
    return {"top_scores": top_scores, "max_logits": np.sort(logits.ravel())[::-1]}


@paddle.no_grad()
def _end_to_end(subject: Subject, *, group: str) -> Values:
    if "logits" not in subject.reference.checks(group):
        return _order_free(subject, group=group)
    network, text = subject.network, subject.reference.setup[group]
    network.transformer.num_queries = _number(text, "num_queries")
    picture = _image_of(text)
    levels, prototypes = network.neck(network.backbone(picture))
    memory = network.transformer.encode(levels)
    selection = network.transformer.select(memory, prototypes, with_boxes=True)
    return _numpy(
        enc_logits=selection.logits,
        enc_boxes=selection.boxes,
        enc_masks=mask_logits(selection.mask_embeds, prototypes),
        **network({"image": picture}),
    )


@paddle.no_grad()
def _postprocess(subject: Subject, *, group: str) -> Values:
    text = subject.reference.setup[group]
    normal = partial(subject.reference.normal, text, C=subject.num_classes)
    offset = float(re.search(r"logits = normal\(.*?\)\)? ([-+] [\d.]+)", text).group(1).replace(" ", ""))
    boxes, logits = F.sigmoid(paddle.to_tensor(normal(0))), paddle.to_tensor(normal(1) + np.float32(offset))
    masks = paddle.to_tensor(_repeat_cells(normal(2), text))
    im_shape = re.search(r"im_shape \[\[(\d+), (\d+)\]\]", text).groups()
    factors = re.search(r"scale_factor float32 \[\[(\d+)/(\d+), (\d+)/(\d+)\]\]", text).groups()
    y_in, y_photo, x_in, x_photo = (float(number) for number in factors)
    sizes = original_sizes(
        paddle.to_tensor([[float(side) for side in im_shape]]),
        paddle.to_tensor(np.float32([[y_in / y_photo, x_in / x_photo]])),
    )
    pairs = select_top_pairs(logits, count=subject.network.num_detections)
    rows = official_rows(pairs, gather_queries(boxes, pairs.queries), sizes=sizes)
    height, width = masks.shape[2:]
    chosen = gather_queries(masks.flatten(2), pairs.queries).reshape([1, -1, height, width])
    values = _numpy(bbox=rows, mask=paste_masks(chosen, size=sizes[0]))
    return values | {"bbox_num": np.array([len(values["bbox"])], np.int32)}


def _preprocess(subject: Subject, *, group: str) -> Values:
    picture = _image_of(subject.reference.setup[group]).numpy()[0].transpose(1, 2, 0)
    operations = MODELS[subject.reference.model].recipe.deploy.preprocess
    return dict(Preprocessor(operations)(np.round(255 * picture).astype(np.uint8)))


def _train(subject: Subject, *, group: str) -> Values:
    reference, network = subject.reference, subject.network
    text = reference.setup[group]
    network.transformer.num_queries = _number(text, "num_queries")
    network.num_denoising = _number(text, "num_denoising")
    seed = re.search(r"PCG64\((\d+)\)", reference.setup["draws"]).group(1)
    network.draws = FixedDraws(int(seed))
    network.train()
    losses = network(_ground_truth_batch(subject))
    losses["loss"].backward()
    values = {name: loss.numpy() for name, loss in losses.items()}
    parameters = dict(network.named_parameters())
    names = list(reference.info["grad_params"])
    names += re.findall(r"plus ([\w.]+)", reference.checks(group)["grad_norms"]["what"])
    # In float64: a float32 sum of millions of squares is off by a thousandth.
    gradients = [parameters[name].grad.numpy().astype(np.float64) for name in names]
    values["grad_norms"] = np.array([np.sqrt(np.sum(gradient**2)) for gradient in gradients])
    subject.restore()
    return values


def _ground_truth_batch(subject: Subject) -> dict[str, object]:
    """Return the batch of the training checks: boxes in pixels, elliptic masks."""
    pictures = _image_of(subject.reference.info["input"], 1)
    height, width = pictures.shape[2:]
    batch: dict[str, list[paddle.Tensor]] = {"gt_boxes": [], "gt_class_ids": [], "gt_masks": []}
    y, x = np.mgrid[:height, :width] + 0.5
    for objects in subject.reference.setup["ground_truth"]["objects"]:
        rows = np.array(objects, np.float64)
        x0, y0, x1, y1 = (rows[:, i, None, None] for i in range(4))
        across, down = (2 * x / width - x0 - x1) / (x1 - x0), (2 * y / height - y0 - y1) / (y1 - y0)
        boxes = rows[:, :4] * [width, height, width, height]
        batch["gt_boxes"].append(paddle.to_tensor(boxes.astype(np.float32)))
        batch["gt_class_ids"].append(paddle.to_tensor(rows[:, 4].astype(np.int64)))
        batch["gt_masks"].append(paddle.to_tensor((across**2 + down**2 <= 1).astype(np.uint8)))
    return {"image": pictures, **batch}


_PRODUCERS: dict[str, Callable[..., Values]] = {
    "backbone": _backbone,
    "neck": _neck,
    "query": _query,
    "decoder": _decoder,
    r"e2e\d+": _end_to_end,
    "post": _postprocess,
    "pre": _preprocess,
    r"train\d+(dn)?": _train,
}
