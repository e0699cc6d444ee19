"""Proposals: how many, in which order, and of which photo."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from paddlex.repo_apis.paddle_detection.heads.roi_align import RoIAlign
from paddlex.repo_apis.paddle_detection.heads.rpn import flatten_levels
from paddlex.repo_apis.paddle_detection.heads.rpn_anchors import AnchorGrid
from paddlex.repo_apis.paddle_detection.heads.rpn_proposals import ProposalLimits, make_proposals

# Anchors as large as their cells do not overlap, so nothing is a duplicate.
ANCHORS = AnchorGrid([[8], [16]], ratios=(1.0,), strides=(8, 16))
SIZES = [(4, 6), (2, 3)]
IM_SHAPE = paddle.to_tensor([[32.0, 48.0]])

Maps = tuple[list[paddle.Tensor], list[paddle.Tensor]]


@pytest.fixture
def maps() -> Maps:
    """Random scores of two photos, and deltas that leave the anchors where they are."""
    rng = np.random.default_rng(0)
    scores = [paddle.to_tensor(rng.normal(size=(2, 1, *size)).astype(np.float32)) for size in SIZES]
    return scores, [paddle.zeros([2, 4, *size]) for size in SIZES]


def _propose(maps: Maps, im_shape: paddle.Tensor, **limits: float) -> list[np.ndarray]:
    scores, deltas = ([level[: len(im_shape)] for level in levels] for levels in maps)
    proposals = make_proposals(scores, deltas, im_shape, anchors=ANCHORS, limits=ProposalLimits(**limits))
    assert all(boxes.stop_gradient for boxes in proposals)
    return [boxes.numpy() for boxes in proposals]


def _clipped_anchors(level: int) -> np.ndarray:
    return ANCHORS.grid(level, *SIZES[level]).numpy().clip(0, [48, 32, 48, 32])


def _in_order(maps: Maps, level: int) -> np.ndarray:
    """The anchors of a level, clipped to the first photo, best first."""
    return _clipped_anchors(level)[np.argsort(-maps[0][level][0].numpy().ravel(), kind="stable")]


def test_few_proposals_keep_the_order_of_their_levels(maps: Maps) -> None:
    (boxes,) = _propose(maps, IM_SHAPE, pre_nms=5, post_nms=20)

    np.testing.assert_array_equal(boxes, np.concatenate([_in_order(maps, i)[:5] for i in range(2)]))


def test_of_many_proposals_the_best_of_all_levels_remain_in_order(maps: Maps) -> None:
    (boxes,) = _propose(maps, IM_SHAPE, pre_nms=20, post_nms=7, collect_top_k=True)

    scores = np.concatenate([level[0].numpy().ravel() for level in maps[0]])
    anchors = np.concatenate([_clipped_anchors(level) for level in range(2)])
    np.testing.assert_array_equal(boxes, anchors[np.argsort(-scores)[:7]])


def test_without_collecting_a_level_keeps_no_more_than_the_photo(maps: Maps) -> None:
    scores, deltas = maps
    # All the best boxes are on the first level, which may yet give only as many as a whole photo has.
    scores[0] += 100.0
    (boxes,) = _propose((scores, deltas), IM_SHAPE, pre_nms=20, post_nms=7)

    np.testing.assert_array_equal(boxes, _in_order(maps, 0)[:7])


def test_duplicates_fall_to_the_better_box(maps: Maps) -> None:
    scores, deltas = maps
    # Each box of the second level grows and moves onto one of the first: the whole level is one place.
    deltas[0][:, 0] = paddle.to_tensor([[2.0 - x for x in range(6)]] * 4)
    deltas[0][:, 1] = paddle.to_tensor([[2.0 - y] * 6 for y in range(4)])
    boxes = _propose((scores, deltas), IM_SHAPE, pre_nms=50, post_nms=50)[0]

    assert boxes[0].tolist() == [12.0, 12.0, 20.0, 20.0]
    assert len(boxes) == 1 + 6


def test_boxes_are_clipped_to_the_photo_and_too_small_ones_dropped(maps: Maps) -> None:
    (boxes,) = _propose(maps, paddle.to_tensor([[16.0, 20.0]]), pre_nms=50, post_nms=50)

    assert boxes[:, 2].max() == 20.0 and boxes[:, 3].max() == 16.0
    # The last column inside starts at 16 - 4, the next one at 20: nothing is left of it.
    assert (boxes[:, 2] - boxes[:, 0]).min() >= 1.0 and (boxes[:, 3] - boxes[:, 1]).min() >= 1.0
    assert len(boxes) == 3 * 3 + 2 * 2


def test_a_level_without_a_box_gives_one_of_zeros(maps: Maps) -> None:
    (boxes,) = _propose(maps, IM_SHAPE, pre_nms=50, post_nms=50, min_size=12.0)

    # The first level's boxes are 8 wide; of the second's, those in the first row and column are cut to 8.
    assert boxes[0].tolist() == [0.0, 0.0, 0.0, 0.0]
    assert len(boxes) == 1 + 2


def test_a_photo_does_not_depend_on_the_others_of_its_batch(maps: Maps) -> None:
    both = _propose(maps, paddle.to_tensor([[32.0, 48.0], [20.0, 40.0]]), pre_nms=9, post_nms=12)
    flipped = tuple([level.flip(0) for level in levels] for levels in maps)
    (second,) = _propose(flipped, paddle.to_tensor([[20.0, 40.0]]), pre_nms=9, post_nms=12)

    np.testing.assert_array_equal(both[0], _propose(maps, IM_SHAPE, pre_nms=9, post_nms=12)[0])
    np.testing.assert_array_equal(both[1], second)


def test_flattened_levels_follow_their_anchors() -> None:
    anchors = AnchorGrid([[8, 16]], ratios=(1.0,), strides=(8,))
    scores, deltas = paddle.rand([2, 2, 3, 4]), paddle.rand([2, 8, 3, 4])
    logits, flat_deltas, boxes = flatten_levels([scores], [deltas], anchors=anchors)

    # Anchor 1 of cell (2, 3) is the last one: its centre is (24, 16), its side 16.
    assert boxes[-1].tolist() == [16.0, 8.0, 32.0, 24.0]
    assert logits[1, -1].item() == scores[1, 1, 2, 3].item()
    assert flat_deltas[1, -1].tolist() == deltas[1, 4:, 2, 3].tolist()


def test_a_traced_graph_proposes_and_pools_for_any_size(maps: Maps) -> None:
    pool = RoIAlign((8, 16), resolution=2)

    def detect(
        fine: paddle.Tensor, coarse: paddle.Tensor, im_shape: paddle.Tensor
    ) -> tuple[paddle.Tensor, paddle.Tensor]:
        scores = [fine[:, :1], coarse[:, :1]]
        boxes = make_proposals(
            scores,
            [fine[:, 1:], coarse[:, 1:]],
            im_shape,
            anchors=ANCHORS,
            limits=ProposalLimits(pre_nms=20, post_nms=12, collect_top_k=True),
        )
        return boxes[0], pool(scores, boxes)

    levels = [paddle.concat([score, delta], axis=1)[:1] for score, delta in zip(*maps, strict=True)]
    free = paddle.static.InputSpec([1, 5, None, None], "float32")
    shape = paddle.static.InputSpec([1, 2], "float32")
    traced = paddle.jit.to_static(detect, input_spec=[free, free, shape], full_graph=True)
    # The second size yields more boxes than are kept, the first one does not.
    for height, width in ((1, 2), (2, 3)):
        inputs = [levels[0][:, :, : 2 * height, : 2 * width], levels[1][:, :, :height, :width]]
        im_shape = paddle.to_tensor([[16.0 * height, 16.0 * width]])
        for ours, theirs in zip(traced(*inputs, im_shape), detect(*inputs, im_shape), strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-6)
    assert len(theirs) == 12
