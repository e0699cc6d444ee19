"""Hungarian matching of all layers at once."""

from types import ModuleType

import numpy as np
import paddle
import pytest

from paddlex.nn.draws import UniformDraws
from paddlex.repo_apis.paddle_detection.losses.predictions import BatchObjects, QueryPredictions
from paddlex.repo_apis.paddle_detection.matching.hungarian import HungarianMatcher, MatchingWeights
from paddlex.utils.errors import TrainingDivergedError

NUM_CLASSES = 3


@pytest.fixture
def pred(textbook: ModuleType, rng: np.random.Generator, prototypes: paddle.Tensor) -> QueryPredictions:
    return textbook.make_predictions(rng, layers=3, queries=7, prototypes=prototypes, num_classes=NUM_CLASSES)


@pytest.fixture
def objects(textbook: ModuleType, rng: np.random.Generator) -> BatchObjects:
    targets = textbook.make_targets(rng, batch=2, count=3, size=32, num_classes=NUM_CLASSES)
    return BatchObjects.from_targets(targets, num_classes=NUM_CLASSES)


def _without_objects(objects: BatchObjects, image: int) -> BatchObjects:
    kept = 1 - image
    rows = slice(3 * kept, 3 * kept + 3)
    return BatchObjects(
        counts=[0 if i == image else 3 for i in range(2)],
        boxes=objects.boxes[rows],
        class_ids=objects.class_ids[rows],
        masks=objects.masks[rows],
    )


def test_box_and_class_costs_are_the_hand_computed_ones() -> None:
    pred = QueryPredictions(
        logits=paddle.to_tensor([[[[0.0, -20.0]]]]),
        boxes=paddle.to_tensor([[[[0.3, 0.5, 0.2, 0.2]]]]),
        mask_embeds=paddle.zeros([1, 1, 1, 1]),
        prototypes=paddle.zeros([1, 1, 2, 2]),
    )
    objects = BatchObjects(
        counts=[1],
        boxes=paddle.to_tensor([[0.5, 0.5, 0.2, 0.2]]),
        class_ids=np.array([0]),
        masks=paddle.zeros([1, 8, 8], dtype="uint8"),
    )

    def cost(**weights: float) -> float:
        every = dict.fromkeys(("classes", "boxes", "giou", "mask", "dice"), 0.0)
        matcher = HungarianMatcher(weights=MatchingWeights(**{**every, **weights}), num_points=64)
        return matcher.costs(pred, objects, UniformDraws(0))[0].item()

    # p = 1/2: (0.25 - 0.75) * 1/4 * ln 2. The boxes are neighbours: IoU 0 and a hull without gap.
    assert cost(classes=1.0) == pytest.approx(-0.125 * np.log(2), rel=1e-5)
    assert cost(boxes=1.0) == pytest.approx(0.2, rel=1e-5)
    assert cost(giou=1.0) == pytest.approx(0.0, abs=1e-5)
    # Undecided logits against an empty mask: ln 2, and dice 1 - 1 / (64 / 2 + 1).
    assert cost(mask=1.0) == pytest.approx(np.log(2), rel=1e-5)
    assert cost(dice=1.0) == pytest.approx(32 / 33, rel=1e-5)


def test_pairs_equal_those_of_matching_each_layer_alone(
    textbook: ModuleType, rng: np.random.Generator, prototypes: paddle.Tensor, pred: QueryPredictions
) -> None:
    targets = textbook.make_targets(rng, batch=2, count=3, size=32, num_classes=NUM_CLASSES)
    objects = BatchObjects.from_targets(targets, num_classes=NUM_CLASSES)
    pairs = HungarianMatcher()(pred, objects, textbook.RepeatingDraws())

    for layer in range(3):
        with paddle.no_grad():
            expected = textbook.match(pred, targets, textbook.RepeatingDraws(), layer=layer)
        np.testing.assert_array_equal(pairs.queries[layer], np.concatenate([q for q, _ in expected]))
        np.testing.assert_array_equal(
            pairs.objects[layer] - objects.offsets[pairs.images], np.concatenate([o for _, o in expected])
        )


def test_an_empty_image_gives_no_pairs(pred: QueryPredictions, objects: BatchObjects) -> None:
    pairs = HungarianMatcher(num_points=64)(pred, _without_objects(objects, 0), UniformDraws(0))

    assert pairs.images.tolist() == [1, 1, 1]
    assert all(sorted(row) == [0, 1, 2] for row in pairs.objects.tolist())


def test_a_batch_without_objects_gives_no_pairs(pred: QueryPredictions) -> None:
    empty = BatchObjects(
        counts=[0, 0],
        boxes=paddle.zeros([0, 4]),
        class_ids=np.zeros(0, np.int64),
        masks=paddle.zeros([0, 32, 32], dtype="uint8"),
    )
    pairs = HungarianMatcher()(pred, empty, UniformDraws(0))

    assert len(pairs) == 0
    assert pairs.queries.shape == (3, 0)


def test_more_objects_than_queries_pair_every_query(
    textbook: ModuleType, rng: np.random.Generator, pred: QueryPredictions
) -> None:
    targets = textbook.make_targets(rng, batch=2, count=9, size=32, num_classes=NUM_CLASSES)
    objects = BatchObjects.from_targets(targets, num_classes=NUM_CLASSES)
    pairs = HungarianMatcher(num_points=64)(pred, objects, UniformDraws(0))

    assert pairs.queries.tolist() == [[*range(7), *range(7)]] * 3


def test_predictions_that_are_not_finite_stop_the_training(
    pred: QueryPredictions, objects: BatchObjects
) -> None:
    pred.boxes.detach()[1, 0, 2, 0] = float("nan")

    with pytest.raises(TrainingDivergedError, match="lower the learning rate"):
        HungarianMatcher(num_points=64)(pred, objects, UniformDraws(0))
