"""Time the criterion of Mask-RT-DETR against the textbook formulation, on the same predictions.

The textbook formulation follows the papers literally: each layer is matched on its own, the mask logits of
all queries are formed, and the point losses sample instance by instance with `grid_sample`. Both sides run
on as many threads as OMP_NUM_THREADS says and use the same random points.

    OMP_NUM_THREADS=2 python benchmarks/cpu_losses.py
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor
from scipy.optimize import linear_sum_assignment

from paddlex.nn.boxes import (
    box_iou,
    cxcywh_to_xyxy,
    generalized_box_iou,
    pairwise_generalized_box_iou,
)
from paddlex.nn.draws import UniformDraws
from paddlex.repo_apis.paddle_detection.losses.detr_criterion import DetrCriterion
from paddlex.repo_apis.paddle_detection.losses.predictions import DenoisingMeta, QueryPredictions, Targets

Pairs = list[tuple[np.ndarray, np.ndarray]]  # per image: queries, objects


class RepeatingDraws(UniformDraws):
    """The same numbers at every draw, so that both sides see the same points."""

    def uniform(self, shape: list[int]) -> Tensor:
        """Return the first numbers of one fixed sequence."""
        return paddle.to_tensor(np.random.default_rng(0).random(tuple(shape), dtype=np.float32))


def sample(maps: Tensor, points: Tensor) -> Tensor:
    """Sample (N, C, H, W) at (N, K, 2); (N, C, K)."""
    return F.grid_sample(maps, (points * 2 - 1).unsqueeze(1), align_corners=False).squeeze(2)


def match(pred: QueryPredictions, targets: Targets, draws: UniformDraws, *, layer: int) -> Pairs:
    """Match one layer, image by image."""
    batch = pred.logits.shape[1]
    points = draws.uniform([batch, 1, 12544, 2]).squeeze(1)
    pairs = []
    for image in range(batch):
        p = F.sigmoid(pred.logits[layer, image])[:, targets.class_ids[image]]
        classes = 0.25 * (1 - p) ** 2 * -(p + 1e-8).log() - 0.75 * p**2 * -(1 - p + 1e-8).log()
        boxes, gt_boxes = pred.boxes[layer, image], targets.boxes[image]
        distance = (boxes.unsqueeze(1) - gt_boxes).abs().sum(-1)
        giou = pairwise_generalized_box_iou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(gt_boxes))
        masks = mask_logits(pred, layer=layer, image=image)
        z = sample(masks.unsqueeze(0), points[image : image + 1])[0]
        t = sample(targets.masks[image].astype("float32").unsqueeze(0), points[image : image + 1])[0]
        bce = (F.softplus(-z) @ t.T + F.softplus(z) @ (1 - t).T) / z.shape[1]
        s = F.sigmoid(z)
        dice = 1 - (2 * s @ t.T + 1) / (s.sum(-1, keepdim=True) + t.sum(-1) + 1)
        cost = 4 * classes + 5 * distance - 2 * giou + 5 * bce + 5 * dice
        pairs.append(linear_sum_assignment(cost.numpy()))
    return pairs


def mask_logits(pred: QueryPredictions, *, layer: int, image: int) -> Tensor:
    """Return the (Q, h, w) mask logits of all queries."""
    prototypes = pred.prototypes[image]
    flat = pred.mask_embeds[layer, image] @ prototypes.flatten(1)
    return flat.reshape([-1, *prototypes.shape[1:]])


def layer_losses(
    pred: QueryPredictions, targets: Targets, pairs: Pairs, draws: UniformDraws, *, layer: int
) -> list[Tensor]:
    """Return the five sums of one layer."""
    main = layer == pred.logits.shape[0] - 1
    total = sum(len(queries) for queries, _ in pairs)
    candidates = draws.uniform([total, 1, 37632, 2]).squeeze(1)
    fresh = draws.uniform([total, 3136, 2])
    scores = paddle.zeros_like(pred.logits[layer])
    labels = paddle.zeros_like(scores)
    sums = [paddle.zeros([]) for _ in range(4)]
    number = 0
    for image, (queries, objects) in enumerate(pairs):
        masks = mask_logits(pred, layer=layer, image=image)
        for query, target in zip(queries.tolist(), objects.tolist(), strict=True):
            box, gt_box = pred.boxes[layer, image, query], targets.boxes[image][target]
            corners, gt_corners = cxcywh_to_xyxy(box), cxcywh_to_xyxy(gt_box)
            gt_mask = targets.masks[image][target].astype("float32")
            bce, dice = instance_losses(masks[query], gt_mask, candidates[number], fresh[number])
            parts = [(box - gt_box).abs().sum(), 1 - generalized_box_iou(corners, gt_corners), bce, dice]
            sums = [a + b for a, b in zip(sums, parts, strict=True)]
            iou = mask_iou(masks[query], gt_mask) if main else box_iou(corners, gt_corners)
            class_id = int(targets.class_ids[image][target])
            scores[image, query, class_id] = iou.detach()
            labels[image, query, class_id] = 1.0
            number += 1
    weight = 0.75 * F.sigmoid(pred.logits[layer]) ** 2 * (1 - labels) + scores * labels
    bce = F.binary_cross_entropy_with_logits(pred.logits[layer], scores, reduction="none")
    return [(weight * bce).sum(), *sums]


def instance_losses(
    logits: Tensor, gt_mask: Tensor, candidates: Tensor, fresh: Tensor
) -> tuple[Tensor, Tensor]:
    """Return cross-entropy and dice of one instance on its uncertain and random points."""
    maps, gt_maps = logits.unsqueeze([0, 1]), gt_mask.unsqueeze([0, 1])
    with paddle.no_grad():
        distance = sample(maps, candidates.unsqueeze(0)).abs().flatten()
        nearest = paddle.topk(distance, 9408, largest=False, sorted=False)[1]
        points = paddle.concat([paddle.gather(candidates, nearest), fresh]).unsqueeze(0)
        t = sample(gt_maps, points).flatten()
    z = sample(maps, points).flatten()
    s = F.sigmoid(z)
    dice = 1 - (2 * (s * t).sum() + 1) / (s.sum() + t.sum() + 1)
    return F.binary_cross_entropy_with_logits(z, t), dice


def mask_iou(logits: Tensor, gt_mask: Tensor) -> Tensor:
    """Return the IoU of the thresholded mask at half resolution."""
    size = [2 * side for side in logits.shape]
    pred = F.interpolate(logits.detach().unsqueeze([0, 1]), size=size, mode="bilinear") > 0
    target = F.interpolate(gt_mask.unsqueeze([0, 1]), size=size, mode="bilinear") > 0.5
    intersection = (pred & target).astype("float32").sum()
    return (intersection + 0.01) / ((pred | target).astype("float32").sum() + 0.01)


def textbook_loss(
    pred: QueryPredictions,
    targets: Targets,
    denoising_pred: QueryPredictions,
    meta: DenoisingMeta,
    draws: UniformDraws,
) -> Tensor:
    """Return the total loss, formed layer by layer and instance by instance."""
    objects = sum(len(ids) for ids in targets.class_ids)
    total = paddle.zeros([])
    factors = (4.0, 5.0, 2.0, 5.0, 5.0)
    for layer in range(pred.logits.shape[0]):
        with paddle.no_grad():
            pairs = match(pred, targets, draws, layer=layer)
        sums = layer_losses(pred, targets, pairs, draws, layer=layer)
        total += sum(f * s for f, s in zip(factors, sums, strict=True)) / objects
    pairs = []
    for ids in targets.class_ids:
        group, slot = np.divmod(np.arange(meta.num_groups * len(ids)), len(ids))
        pairs.append((group * meta.group_size + slot, slot))
    for layer in range(denoising_pred.logits.shape[0]):
        sums = layer_losses(denoising_pred, targets, pairs, draws, layer=layer)
        total += sum(f * s for f, s in zip(factors, sums, strict=True)) / (objects * meta.num_groups)
    return total


def make_targets(rng: np.random.Generator, *, batch: int, count: int, size: int, num_classes: int) -> Targets:
    """Return ellipses of random places and sizes."""
    centres, sides = rng.uniform(0.2, 0.8, (batch, count, 2)), rng.uniform(0.1, 0.4, (batch, count, 2))
    boxes = np.concatenate([centres, sides], -1).astype(np.float32)
    axis = (np.arange(size) + 0.5) / size
    dx = (axis - boxes[..., 0, None]) / (boxes[..., 2, None] / 2)
    dy = (axis - boxes[..., 1, None]) / (boxes[..., 3, None] / 2)
    masks = (dx[:, :, None, :] ** 2 + dy[..., None] ** 2 <= 1).astype(np.uint8)
    class_ids = rng.integers(0, num_classes, (batch, count))
    return Targets(
        boxes=[paddle.to_tensor(part) for part in boxes],
        class_ids=[paddle.to_tensor(part) for part in class_ids],
        masks=[paddle.to_tensor(part) for part in masks],
    )


def make_predictions(
    rng: np.random.Generator, *, layers: int, queries: int, prototypes: Tensor, num_classes: int
) -> QueryPredictions:
    """Return random predictions whose mask logits are smooth, as a network's are."""
    batch, width = prototypes.shape[:2]
    lead = (layers, batch, queries)

    def leaf(values: np.ndarray) -> Tensor:
        return paddle.to_tensor(values.astype(np.float32), stop_gradient=False)

    return QueryPredictions(
        logits=leaf(rng.normal(-3, 1, (*lead, num_classes))),
        boxes=leaf(rng.uniform(0.1, 0.6, (*lead, 4))),
        mask_embeds=leaf(rng.normal(0, 3 / np.sqrt(width), (*lead, width))),
        prototypes=prototypes,
    )


def measure(step: Callable[[], Tensor], leaves: list[Tensor]) -> tuple[float, float, list[np.ndarray]]:
    """Return the seconds of forward and backward, the loss, and the gradients."""
    for leaf in leaves:
        leaf.clear_gradient()
    start = time.perf_counter()
    loss = step()
    loss.backward()
    seconds = time.perf_counter() - start
    return seconds, float(loss), [leaf.grad.numpy() for leaf in leaves]


def main() -> None:
    """Build one batch, time both formulations and compare their results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image-size", type=int, default=320)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--objects", type=int, default=12, help="objects per image")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--denoising", type=int, default=100, help="nominal denoising queries")
    parser.add_argument("--prototypes", type=int, default=128)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    side, draws = options.image_size // 4, RepeatingDraws()
    coarse = paddle.to_tensor(
        rng.normal(0, 1, (options.batch, options.prototypes, 10, 10)).astype(np.float32)
    )
    prototypes = F.interpolate(coarse, size=[side, side], mode="bilinear").detach()
    prototypes.stop_gradient = False
    targets = make_targets(
        rng, batch=options.batch, count=options.objects, size=options.image_size, num_classes=options.classes
    )
    meta = DenoisingMeta(num_groups=max(1, options.denoising // options.objects), group_size=options.objects)
    kind = {"prototypes": prototypes, "num_classes": options.classes}
    pred = make_predictions(rng, layers=8, queries=options.queries, **kind)
    denoising_pred = make_predictions(rng, layers=7, queries=meta.num_groups * meta.group_size, **kind)
    criterion = DetrCriterion(num_classes=options.classes, draws=draws)
    leaves = [prototypes] + [
        leaf for part in (pred, denoising_pred) for leaf in (part.logits, part.boxes, part.mask_embeds)
    ]

    steps: dict[str, Callable[[], Tensor]] = {
        "textbook": lambda: textbook_loss(pred, targets, denoising_pred, meta, draws),
        "ours": lambda: criterion(pred, targets, denoising_pred, meta)["loss"],
    }
    # In turns, so that other work on the machine slows both alike; the first round warms up.
    rounds = [
        {name: measure(step, leaves) for name, step in steps.items()} for _ in range(options.repeats + 1)
    ]
    textbook, ours = (min(each[name][0] for each in rounds[1:]) for name in steps)
    (_, expected, expected_gradients), (_, loss, gradients) = rounds[-1].values()
    # Near the limit of the uncertain points, rounding lets either side keep another point of a pair.
    difference = max(
        float(np.linalg.norm(a - b) / np.linalg.norm(b))
        for a, b in zip(gradients, expected_gradients, strict=True)
    )
    print(f"textbook    {textbook * 1e3:8.0f} ms   loss {expected:.4f}")
    print(
        f"ours        {ours * 1e3:8.0f} ms   loss {loss:.4f}   largest gradient difference {difference:.1e}"
    )
    print(f"ratio       {textbook / ours:8.1f} x")


if __name__ == "__main__":
    main()
