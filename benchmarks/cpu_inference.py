"""Prediction on the CPU end to end: ours against Paddle Inference and a bare ONNX Runtime session.

    python benchmarks/cpu_inference.py [--model Mask-RT-DETR-L] [--size 640] [--objects 12] [--repeats 5]

One network with random weights is exported, then one photo goes in turns through
    paddlex          create_model(...).predict: read, resize, network, masks at the photo's size
    paddle           the official graph in Paddle Inference with its default settings, same tensor
    onnxruntime      the bare session on the same tensor, nothing before or after it
The best of the repeats counts.
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


def main() -> None:
    """Print times and ratios."""
    parser = argparse.ArgumentParser(description="Prediction on the CPU, end to end.")
    parser.add_argument("--model", default="Mask-RT-DETR-L")
    parser.add_argument("--size", type=int, default=640, help="side of the input, pixels")
    parser.add_argument("--objects", type=int, default=12, help="detections that are decoded")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _export(options, Path(folder))
        runs = {
            "paddlex": _paddlex(options, Path(folder)),
            "paddle": _paddle(Path(folder), options.size),
            "onnxruntime": _onnxruntime(Path(folder), options.size),
        }
        times: dict[str, list[float]] = {name: [] for name in runs}
        for repeat in range(options.repeats + 1):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                if repeat:  # the first one warms up
                    times[name].append(time.perf_counter() - start)
    best = {name: min(values) for name, values in times.items()}
    print(f"{options.model}, {options.size} px, photo {PHOTO.name}, {options.objects} detections")
    for name, seconds in best.items():
        print(f"  {name:12} {1000 * seconds:8.1f} ms")
    print(f"  paddlex is {best['paddle'] / best['paddlex']:.1f}x faster than Paddle Inference")
    print(f"  paddlex takes {best['paddlex'] / best['onnxruntime']:.2f}x the time of the bare session")


def _export(options: argparse.Namespace, folder: Path) -> None:
    import paddle

    from paddlex.modules.instance_segmentation.exporter import export_network
    from paddlex.modules.zoo import find_model
    from paddlex.utils.images import read_image

    spec = find_model(options.model)
    paddle.seed(0)
    network = spec.build(num_classes=80, eval_size=(options.size, options.size))
    network.eval()
    export_network(
        network,
        spec=spec,
        class_names=[f"class {index}" for index in range(80)],
        input_size=(options.size, options.size),
        folder=folder,
        sample_images=[read_image(PHOTO)],
    )


def _paddlex(options: argparse.Namespace, folder: Path) -> Callable[[], Any]:
    from paddlex import create_model

    model = create_model(options.model, model_dir=str(folder), device="cpu")
    # Random weights score low: keep as many detections as there are objects on the photo.
    (everything,) = model.predict(str(PHOTO), threshold=0.0)
    threshold = float(np.sort(everything.scores)[::-1][options.objects])
    return lambda: list(model.predict(str(PHOTO), threshold=threshold))


def _tensor(size: int) -> np.ndarray:
    import cv2

    photo = cv2.cvtColor(cv2.imread(str(PHOTO)), cv2.COLOR_BGR2RGB)
    resized = cv2.resize(photo, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(resized.transpose(2, 0, 1)[None].astype(np.float32) / 255)


def _paddle(folder: Path, size: int) -> Callable[[], Any]:
    from paddle import inference

    config = inference.Config(str(folder / "inference.json"), str(folder / "inference.pdiparams"))
    config.disable_glog_info()
    config.disable_mkldnn()  # it crashes on interpolation in 3.3
    predictor = inference.create_predictor(config)
    inputs = {
        "im_shape": np.array([[size, size]], np.float32),
        "image": _tensor(size),
        "scale_factor": np.array([[size / 600, size / 800]], np.float32),
    }

    def run() -> Any:
        for name in predictor.get_input_names():
            predictor.get_input_handle(name).copy_from_cpu(inputs[name])
        predictor.run()
        return [predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()]

    return run


def _onnxruntime(folder: Path, size: int) -> Callable[[], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(folder / "inference.onnx"), options, providers=["CPUExecutionProvider"]
    )
    inputs = {"image": _tensor(size)}
    return lambda: session.run(None, inputs)


if __name__ == "__main__":
    main()
