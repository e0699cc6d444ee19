"""Matching and losses of Mask-RT-DETR give the published numbers on fixed predictions."""

from __future__ import annotations

import re

import numpy as np
import paddle
import pytest
from reference import FixedDraws, Reference, find_references, require_references

from paddlex.repo_apis.paddle_detection.losses.detr_criterion import DetrCriterion
from paddlex.repo_apis.paddle_detection.losses.predictions import BatchObjects, QueryPredictions, Targets
from paddlex.repo_apis.paddle_detection.matching.hungarian import HungarianMatcher

_FILES = find_references("mask_rtdetr", model_prefix="Mask-RT-DETR")


@pytest.fixture(params=_FILES, ids=[file.stem for file in _FILES])
def reference(request: pytest.FixtureRequest) -> Reference:
    return Reference(request.param)


@pytest.fixture
def draws(reference: Reference) -> FixedDraws:
    return FixedDraws(int(re.search(r"PCG64\((\d+)\)", reference.setup["draws"]).group(1)))


@pytest.fixture
def targets(reference: Reference) -> Targets:
    """Ellipses inscribed in boxes that the JSON states as fractions of the side."""
    height, width = reference.setup["eval_size"]
    rows, columns = (np.mgrid[:height, :width] + 0.5) / np.reshape([height, width], (2, 1, 1))
    boxes, class_ids, masks = [], [], []
    for objects in reference.setup["ground_truth"]["objects"]:
        x0, y0, x1, y1, classes = np.array(objects, np.float64).T
        centre, size = ((x0 + x1) / 2, (y0 + y1) / 2), (x1 - x0, y1 - y0)
        boxes.append(paddle.to_tensor(np.stack([*centre, *size], axis=1).astype(np.float32)))
        class_ids.append(paddle.to_tensor(classes.astype(np.int64)))
        across = (columns - centre[0][:, None, None]) / (size[0][:, None, None] / 2)
        down = (rows - centre[1][:, None, None]) / (size[1][:, None, None] / 2)
        masks.append(paddle.to_tensor((across**2 + down**2 <= 1).astype(np.uint8)))
    return Targets(boxes=boxes, class_ids=class_ids, masks=masks)


def _predictions(reference: Reference, text: str) -> QueryPredictions:
    """Return the predictions that `text` describes; without a layer axis it means one layer.

    The recorded masks become prototypes, and each query's embedding picks its own.
    """
    text = re.sub(r"seed (\d+) (\([^)]*\))", r"normal(\1, \2)", text)
    arrays = [reference.normal(text, index, C=reference.info["num_classes"]) for index in range(3)]
    boxes, logits, masks = arrays if arrays[0].ndim == 4 else [array[None] for array in arrays]
    times = int(re.search(r"repeated (\d+)x", text).group(1))
    masks = masks.repeat(times, axis=-2).repeat(times, axis=-1)
    num_layers, batch, num_queries, height, width = masks.shape
    picks = np.eye(num_layers * num_queries, dtype=np.float32).reshape(num_layers, 1, num_queries, -1)
    prototypes = masks.swapaxes(0, 1).reshape(batch, -1, height, width)
    return QueryPredictions(
        logits=paddle.to_tensor(logits),
        boxes=paddle.nn.functional.sigmoid(paddle.to_tensor(boxes)),
        mask_embeds=paddle.to_tensor(picks.repeat(batch, axis=1)),
        prototypes=paddle.to_tensor(prototypes),
    )


def test_there_are_references() -> None:
    require_references(_FILES)


def test_costs_and_assignment_agree(reference: Reference, draws: FixedDraws, targets: Targets) -> None:
    pred = _predictions(reference, reference.setup["match"])
    objects = BatchObjects.from_targets(targets, num_classes=reference.info["num_classes"])
    matcher = HungarianMatcher()
    costs = matcher.costs(pred, objects, draws)
    pairs = matcher(pred, objects, draws)

    values = {f"cost{image}": cost[0] for image, cost in enumerate(costs)}
    # Recorded as the queries of all images, then the objects, counted within their image.
    values["index"] = np.stack([pairs.queries[0], pairs.objects[0] - objects.offsets[pairs.images]])
    faults = reference.faults("match", values)
    assert not faults, "\n".join(faults)


def test_losses_agree(reference: Reference, draws: FixedDraws, targets: Targets) -> None:
    criterion = DetrCriterion(num_classes=reference.info["num_classes"], draws=draws)
    losses = criterion(_predictions(reference, reference.setup["lossfix"]), targets)

    faults = reference.faults("lossfix", {name: loss.numpy() for name, loss in losses.items()})
    assert not faults, "\n".join(faults)
