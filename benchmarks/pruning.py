"""What pruning is worth on the CPU: ONNX Runtime with the full and the pruned network, in turns.

    python benchmarks/pruning.py [--models FastSCNN DeepLabV3P-ResNet50_vd MaskRCNN-ResNet50-FPN]
                                 [--size 512] [--shares 0.3 0.5] [--multiple 16] [--repeats 20]

Each network has random weights and loses the same share of channels everywhere, as much as makes the wanted
share of its multiply-adds go. The best of the repeats counts. R-CNN keeps its twenty best
detections, full and pruned alike.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PHOTO = Path(__file__).parents[1] / "dataset" / "nuts_labelme" / "images" / "nuts_05.jpg"
MODELS = ("DeepLabV3P-ResNet50_vd", "BiSeNetV2", "UNet", "HRNet-W18", "FastSCNN", "MaskRCNN-ResNet50-FPN")
DETECTIONS = 20
NUM_CLASSES = 19


def main() -> None:
    """Print times and ratios."""
    parser = argparse.ArgumentParser(description="Latency of pruned networks on the CPU.")
    parser.add_argument("--models", nargs="+", default=list(MODELS), help="any models of the zoo")
    parser.add_argument("--size", type=int, default=512, help="side or short side of the input, pixels")
    parser.add_argument("--shares", nargs="+", type=float, default=[0.3, 0.5], help="of multiply-adds pruned")
    parser.add_argument("--multiple", type=int, default=16, help="channels left are multiples of this")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--threads", type=int, default=0, help="of ONNX Runtime; 0: all cores")
    options = parser.parse_args()
    from paddlex.utils.cpu import prepare_cpu

    prepare_cpu()
    for name in options.models:
        _compare(name, options)


def _compare(name: str, options: argparse.Namespace) -> None:
    runs: dict[str, Callable[[], Any]] = {}
    notes = {}
    with tempfile.TemporaryDirectory() as temporary:
        for share in (0.0, *options.shares):
            label = f"{share:.0%} pruned" if share else "full"
            folder = Path(temporary) / label
            notes[label] = _export(name, folder, share=share, size=options.size, multiple=options.multiple)
            runs[label] = _session(folder, size=options.size, threads=options.threads)
        times: dict[str, list[float]] = {label: [] for label in runs}
        for repeat in range(options.repeats + 1):
            for label, run in runs.items():
                start = time.perf_counter()
                run()
                if repeat:  # the first one warms up
                    times[label].append(time.perf_counter() - start)
    best = {label: min(values) for label, values in times.items()}
    print(f"{name}, {options.size} px")
    for label, seconds in best.items():
        ratio = best["full"] / seconds
        print(f"  {label:12} {1000 * seconds:8.1f} ms  {ratio:5.2f}x  {notes[label]}", flush=True)


def _export(name: str, folder: Path, *, share: float, size: int, multiple: int) -> str:
    """Export random weights without `share` of the multiply-adds; returns what went, in words."""
    import paddle

    from paddlex.modules.prune_run import network_dependencies
    from paddlex.modules.zoo import find_model
    from paddlex.nn.channels import fitted_channels

    paddle.seed(0)
    spec = find_model(name)
    network = spec.build(num_classes=NUM_CLASSES)
    network.eval()
    _make_plausible(network)
    dependencies = network_dependencies(network, input_size=(size, size))
    note = ""
    if share:
        from paddlex.compression.prune import prune
        from paddlex.compression.sensitivity import RATIOS

        losses = {group.name: {ratio: ratio for ratio in RATIOS} for group in dependencies.groups}
        result = prune(network, dependencies, losses=losses, pruned_flops=share, multiple=multiple)
        parameters = 1 - result.parameters[1] / result.parameters[0]
        note = f"{result.pruned_flops:.1%} of multiply-adds, {parameters:.1%} of parameters gone"
    _write_graphs(spec, network, folder, size=size, options={"channels": fitted_channels(network)})
    return note


def _write_graphs(spec: Any, network: Any, folder: Path, *, size: int, options: dict[str, Any]) -> None:
    from paddlex.modules.instance_segmentation import exporter as instances
    from paddlex.modules.semantic_segmentation import exporter as pixels
    from paddlex.utils.images import read_image

    # Large enough for every pyramid level, small enough for the comparison that comes with an export.
    photo = read_image(PHOTO)[::4, ::4]
    arguments = {
        "spec": spec,
        "class_names": [f"class {index}" for index in range(NUM_CLASSES)],
        "folder": folder,
        "sample_images": [photo],
        "options": options,
    }
    if spec.task == "semantic_segmentation":
        pixels.export_network(network, **arguments)
    else:
        instances.export_network(network, input_size=spec.recipe.input_size_for(size), **arguments)


def _make_plausible(network: Any) -> None:
    """Let activations of random R-CNN stay in the usual range, and some of its boxes score high."""
    import paddle

    for name, value in network.state_dict().items():
        if name.endswith("norm._variance"):
            value.set_value(paddle.full_like(value, 4.0))
        if name.endswith("bbox_score.weight"):
            value.set_value(paddle.randn(value.shape) * 0.3)


def _session(folder: Path, *, size: int, threads: int) -> Callable[[], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(folder / "inference.onnx"), options, providers=["CPUExecutionProvider"]
    )
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, 3, size, size)).astype(np.float32)
    values = {"image": image, "im_shape": np.array([[size, size]], np.float32)}
    names = {value.name for value in session.get_inputs()}
    if "score_threshold" in names:
        everything = session.run(["scores"], {**values, "score_threshold": np.array([0.0], np.float32)})[0]
        scores = np.sort(everything.ravel())[::-1]
        threshold = scores[min(DETECTIONS, len(scores) - 1)]
        values["score_threshold"] = np.array([threshold], np.float32)
    inputs = {name: values[name] for name in names}
    return lambda: session.run(None, inputs)


if __name__ == "__main__":
    main()
