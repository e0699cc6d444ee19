"""Training steps on the CPU: what our settings and operators gain, and where a step's time goes.

    python benchmarks/cpu_training.py [--size 320] [--batch 2] [--objects 12] [--steps 3]

Each way runs the same step in processes of its own, in turns (A B C A B C); the best step of each counts.
"stock" is what Paddle does by itself: one OpenMP thread, MKL choosing its own code path, its own convolutions
and RoIAlign. "settings" has our environment variables, "paddlex" our operators too. The ratios are to stock.
That of a plain matrix product shows what settings alone could gain on the machine at most.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

# An empty value counts as the user's choice, so that nothing is set; MKL ignores it.
_PADDLES_OPERATORS = {"PADDLEX_CPU_OPERATORS": "paddle"}
WAYS = {
    "stock": {"OMP_NUM_THREADS": "1", "MKL_DEBUG_CPU_TYPE": "", **_PADDLES_OPERATORS},
    "settings": _PADDLES_OPERATORS,
    "paddlex": {},
}
_SIDE = 2048  # of the matrices whose product is timed


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=320, help="side of the input, pixels")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--objects", type=int, default=12, help="objects per photo")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(_measure(options)))
        return
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in WAYS}
    for _ in range(2):
        for name in WAYS:
            runs[name].append(_run_child(name))
    print(f"batch {options.batch}, {options.size} px, {options.objects} objects a photo")
    steps = {"Mask-RT-DETR-S": "step", "MaskRCNN-ResNet50-FPN": "rcnn", "Paddle's ResNet-50": "resnet"}
    for title, key in steps.items():
        _print_row(f"{title} step, s", {name: min(run[key] for run in runs[name]) for name in WAYS})
    speeds = {name: max(run["gflops"] for run in runs[name]) for name in WAYS}
    _print_row("matrix product, s per TFLOP", {name: 1000 / speed for name, speed in speeds.items()})
    _print_profile(min(runs["paddlex"], key=lambda run: run["step"]))


def _print_row(title: str, seconds: dict[str, float]) -> None:
    cells = [f"{name} {value:6.2f} ({seconds['stock'] / value:.1f}x)" for name, value in seconds.items()]
    print(f"{title:28} {'   '.join(cells)}")


def _run_child(name: str) -> dict[str, float]:
    environment = {k: v for k, v in os.environ.items() if k not in WAYS["stock"]} | WAYS[name]
    command = [sys.executable, __file__, "--child", *sys.argv[1:]]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return measured


def _print_profile(run: dict[str, float]) -> None:
    parts = {key.removeprefix("part: "): value for key, value in run.items() if key.startswith("part: ")}
    total = sum(parts.values())
    print("\nwhere a step's time goes (paddlex settings):")
    for part, seconds in parts.items():
        print(f"  {part:32} {seconds:6.3f} s  {100 * seconds / total:5.1f} %")
    print(f"  {'sum':32} {total:6.3f} s")


def _measure(options: argparse.Namespace) -> dict[str, float]:
    from paddlex.utils.cpu import prepare_cpu

    prepare_cpu()
    import paddle

    from paddlex.nn.conv_cpu import fast_convolutions
    from paddlex.repo_apis.paddle_detection.suite import MODELS

    size = (options.size, options.size)
    network = MODELS["Mask-RT-DETR-S"].build(num_classes=3, eval_size=size)
    network.train()
    trainable = [p for p in network.parameters() if not p.stop_gradient]
    optimizer = paddle.optimizer.AdamW(
        1e-5, parameters=trainable, weight_decay=1e-4, grad_clip=paddle.nn.ClipGradByGlobalNorm(0.1)
    )
    batch = _batch(options)

    def step() -> None:
        with fast_convolutions():
            losses = network(batch)
        losses["loss"].backward()
        optimizer.step()
        optimizer.clear_grad()

    timings = {
        "step": _best(step, options.steps),
        "rcnn": _best(_rcnn_step(options, batch), options.steps),
        "resnet": _best(_resnet_step(options), options.steps),
        "gflops": 2e-9 * _SIDE**3 / _best(_matrix_product(), 10),
    }
    profiles = [_parts(network, optimizer, batch) for _ in range(options.steps)]
    parts = min(profiles, key=lambda profile: sum(profile.values()))
    return timings | {f"part: {name}": seconds for name, seconds in parts.items()}


def _best(function: Callable[[], Any], repetitions: int) -> float:
    function()  # first-time allocations
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def _parts(network: Any, optimizer: Any, batch: dict[str, Any]) -> dict[str, float]:
    """Split one step: the criterion runs on detached predictions, its gradient is then handed on."""
    import paddle

    from paddlex.nn.conv_cpu import fast_convolutions

    stamps = [time.perf_counter()]
    received: list[tuple[Any, ...]] = []
    criterion = network.criterion

    class Recorder:
        """Stands in for the criterion to catch what the network hands it."""

        draws = criterion.draws

        def __call__(self, *arguments: Any, **keywords: Any) -> dict[str, Any]:
            received.append((arguments, keywords))
            return {}

    network.criterion = Recorder()
    with fast_convolutions():
        network(batch)
    network.criterion = criterion
    stamps.append(time.perf_counter())
    (arguments, keywords) = received[0]
    # The prototypes are handed over twice; each tensor gets one leaf.
    leaves: dict[int, tuple[Any, Any]] = {}

    def detach(value: Any) -> Any:
        if not hasattr(value, "mask_embeds"):
            return value
        fields = {}
        for name in ("logits", "boxes", "mask_embeds", "prototypes"):
            tensor = getattr(value, name)
            if id(tensor) not in leaves:
                leaves[id(tensor)] = (tensor, tensor.detach())
                leaves[id(tensor)][1].stop_gradient = False
            fields[name] = leaves[id(tensor)][1]
        return type(value)(**fields)

    losses = criterion(*map(detach, arguments), **{k: detach(v) for k, v in keywords.items()})
    stamps.append(time.perf_counter())
    losses["loss"].backward()
    stamps.append(time.perf_counter())
    used = [(output, leaf.grad) for output, leaf in leaves.values() if leaf.grad is not None]
    paddle.autograd.backward([output for output, _ in used], [gradient for _, gradient in used])
    stamps.append(time.perf_counter())
    optimizer.step()
    optimizer.clear_grad()
    stamps.append(time.perf_counter())
    names = (
        "network forward",
        "matching and losses, forward",
        "matching and losses, backward",
        "network backward",
        "optimiser",
    )
    return dict(zip(names, np.diff(stamps).tolist(), strict=True))


def _rcnn_step(options: argparse.Namespace, batch: dict[str, Any]) -> Callable[[], None]:
    """A training step of MaskRCNN-ResNet50-FPN as its recipe trains it."""
    import paddle

    from paddlex.nn.conv_cpu import fast_convolutions
    from paddlex.repo_apis.paddle_detection.suite import MODELS
    from paddlex.structures.masks import MaskCrops
    from paddlex.structures.shapes import InstanceShapes

    network = MODELS["MaskRCNN-ResNet50-FPN"].build(num_classes=3)
    network.train()
    trainable = [p for p in network.parameters() if not p.stop_gradient]
    optimizer = paddle.optimizer.Momentum(1e-4, parameters=trainable, weight_decay=1e-4)
    masks = [InstanceShapes.from_crops(MaskCrops.from_dense(dense.numpy())) for dense in batch["gt_masks"]]
    im_shape = paddle.full([options.batch, 2], options.size, dtype="float32")
    inputs = {**batch, "gt_masks": masks, "im_shape": im_shape}

    def step() -> None:
        with fast_convolutions():
            losses = network(inputs)
        losses["loss"].backward()
        optimizer.step()
        optimizer.clear_grad()

    return step


def _resnet_step(options: argparse.Namespace) -> Callable[[], None]:
    """A training step of ResNet-50: almost only convolutions, what most backbones are."""
    import paddle
    from paddle.vision.models import resnet50

    network = resnet50()
    network.train()
    optimizer = paddle.optimizer.Momentum(1e-3, parameters=network.parameters())
    images = paddle.rand([options.batch, 3, options.size, options.size])

    def step() -> None:
        network(images).mean().backward()
        optimizer.step()
        optimizer.clear_grad()

    return step


def _matrix_product() -> Callable[[], Any]:
    import paddle

    left, right = paddle.rand([_SIDE, _SIDE]), paddle.rand([_SIDE, _SIDE])
    return lambda: paddle.matmul(left, right)


def _batch(options: argparse.Namespace) -> dict[str, Any]:
    import paddle

    rng = np.random.default_rng(0)
    side, count = options.size, options.objects
    boxes, class_ids, masks = [], [], []
    for _ in range(options.batch):
        centre, sides = rng.uniform(0.2, 0.8, (count, 2)), rng.uniform(0.1, 0.3, (count, 2))
        corners = np.concatenate([centre - sides / 2, centre + sides / 2], axis=1).clip(0, 1)
        corners = (corners * side).astype(np.float32)
        mask = np.zeros((count, side, side), np.uint8)
        for index, (x0, y0, x1, y1) in enumerate(corners.astype(int)):
            mask[index, y0:y1, x0:x1] = 1
        boxes.append(paddle.to_tensor(corners))
        class_ids.append(paddle.to_tensor(rng.integers(0, 3, count)))
        masks.append(paddle.to_tensor(mask))
    image = paddle.to_tensor(rng.random((options.batch, 3, side, side), dtype=np.float32))
    return {"image": image, "gt_boxes": boxes, "gt_class_ids": class_ids, "gt_masks": masks}


if __name__ == "__main__":
    main()
