"""Prediction on the CPU end to end: ours against Paddle Inference and a bare ONNX Runtime session.

    python benchmarks/cpu_inference.py [--model Mask-RT-DETR-L] [--size 640] [--objects 12] [--repeats 5]
                                       [--settings stock]

One network with random weights is exported, then one photo goes in turns through
    paddlex          create_model(...).predict: read, resize, network, masks or classes at the photo's size
    paddle           the official graph in Paddle Inference, same tensor: with its default settings, or with
                     `--settings ours` as our Paddle backend runs it (all cores, MKL told the processor)
    onnxruntime      the bare session on the same tensor, nothing before or after it
The best of the repeats counts. Networks that classify pixels get the photo as a square of `--size`.
"""

from __future__ import annotations

import argparse
import json
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
    parser.add_argument("--model", default="Mask-RT-DETR-L", help="any model of the zoo")
    parser.add_argument(
        "--size", type=int, help="side of the input or its short side, pixels; else the recipe's"
    )
    parser.add_argument("--objects", type=int, default=12, help="detections that are decoded")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--settings", choices=("stock", "ours"), default="stock", help="for Paddle Inference")
    parser.add_argument("--folder", type=Path, help="keep the exported model there")
    parser.add_argument("--json", type=Path, help="also write the seconds there")
    options = parser.parse_args()
    if options.settings == "ours":
        from paddlex.utils.cpu import prepare_cpu

        prepare_cpu()  # counts before Paddle is imported only
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        photo = _photo(options)
        size = _export(options, folder, photo)
        predict, threshold = _paddlex(options, folder, photo)
        tensors = _tensors(folder, photo)
        runs = {
            "paddlex": predict,
            "paddle": _paddle(folder, tensors, stock=options.settings == "stock"),
            "onnxruntime": _onnxruntime(folder, tensors, threshold=threshold),
        }
        times: dict[str, list[float]] = {name: [] for name in runs}
        for repeat in range(options.repeats + 1):
            for run_name, run in runs.items():
                start = time.perf_counter()
                run()
                if repeat:  # the first one warms up
                    times[run_name].append(time.perf_counter() - start)
    best = {name: min(values) for name, values in times.items()}
    if options.json:
        options.json.write_text(json.dumps({"input": size, "seconds": best}), encoding="utf-8")
    print(f"{options.model}, {size} px, photo {PHOTO.name}, at most {options.objects} detections")
    for run_name, seconds in best.items():
        print(f"  {run_name:12} {1000 * seconds:8.1f} ms")
    ratio = best["paddle"] / best["paddlex"]
    print(f"  paddlex is {ratio:.1f}x faster than Paddle Inference with {options.settings} settings")
    print(f"  paddlex takes {best['paddlex'] / best['onnxruntime']:.2f}x the time of the bare session")


def _classifies_pixels(options: argparse.Namespace) -> bool:
    from paddlex.modules.zoo import find_model

    return find_model(options.model).task == "semantic_segmentation"


def _photo(options: argparse.Namespace) -> np.ndarray:
    """(H, W, 3) RGB."""
    import cv2

    from paddlex.utils.images import read_image

    photo = read_image(PHOTO)
    if options.size and _classifies_pixels(options):
        return np.asarray(cv2.resize(photo, (options.size, options.size), interpolation=cv2.INTER_AREA))
    return photo


def _export(options: argparse.Namespace, folder: Path, photo: np.ndarray) -> str:
    """Export random weights; returns the size of the network's input in words."""
    import paddle

    from paddlex.modules.instance_segmentation.exporter import export_network
    from paddlex.modules.semantic_segmentation import exporter as semantic
    from paddlex.modules.zoo import find_model

    spec = find_model(options.model)
    if _classifies_pixels(options):
        paddle.seed(0)
        names = [f"class {index}" for index in range(19)]
        network = spec.build(num_classes=len(names))
        network.eval()
        semantic.export_network(network, spec=spec, class_names=names, folder=folder, sample_images=[photo])
        return f"{photo.shape[0]} x {photo.shape[1]}"
    size = spec.recipe.input_size_for(options.size)
    paddle.seed(0)
    network = spec.build(num_classes=80, eval_size=size)
    network.eval()
    _make_plausible(network)
    if options.model.startswith("Mask-RT-DETR"):
        _settle(network.backbone, size)
    export_network(
        network,
        spec=spec,
        class_names=[f"class {index}" for index in range(80)],
        input_size=size,
        folder=folder,
        sample_images=[photo],
    )
    return f"within {size[0]} x {size[1]}" if spec.recipe.keep_ratio else f"{size[0]} x {size[1]}"


def _make_plausible(network: Any) -> None:
    """Give a network that nobody trained activations and scores of the usual range, so that it finds much."""
    import paddle

    # By part of a class layer's name the deviation of its weights, and its bias: some objects score high.
    class_layers = {"bbox_score": (0.3, None), "pred_cls": (0.05, -2.0), "solo_cate": (0.03, -2.0)}
    # Masks of PP-YOLOE_seg fill their boxes: those of noise differ where graphs resize in other steps.
    filled = {"pred_ins": 0.5, "proto.conv3": 4.0}
    for name, value in network.state_dict().items():
        for layer, level in filled.items():
            if layer in name and name.endswith("bias"):
                value.set_value(paddle.full_like(value, level))
        if name.endswith("norm._variance"):
            value.set_value(paddle.full_like(value, 4.0))
        for layer, (deviation, bias) in class_layers.items():
            if layer in name and name.endswith("weight"):
                value.set_value(paddle.randn(value.shape) * deviation)
            elif layer in name and name.endswith("bias") and bias is not None:
                value.set_value(paddle.full_like(value, bias))


def _settle(backbone: Any, size: tuple[int, int]) -> None:
    """Give the normalisations the statistics of noise: else it grows beyond bounds, layer by layer."""
    import paddle

    def take_statistics(layer: Any, inputs: tuple[Any, ...]) -> None:
        layer._mean.set_value(inputs[0].mean([0, 2, 3]))
        layer._variance.set_value(inputs[0].var([0, 2, 3]))

    norms = [layer for layer in backbone.sublayers() if hasattr(layer, "_variance")]
    hooks = [layer.register_forward_pre_hook(take_statistics) for layer in norms]
    with paddle.no_grad():
        backbone(paddle.randn([1, 3, *size]))
    for hook in hooks:
        hook.remove()


def _paddlex(options: argparse.Namespace, folder: Path, photo: np.ndarray) -> tuple[Callable[[], Any], float]:
    """The prediction, and the threshold that leaves as many detections as there are objects on the photo."""
    from paddlex import create_model
    from paddlex.modules.semantic_segmentation.predictor import SemanticPredictor

    model = create_model(options.model, model_dir=str(folder), device="cpu")
    if isinstance(model, SemanticPredictor):
        return lambda: list(model.predict(photo)), 0.0
    (everything,) = model.predict(str(PHOTO), threshold=0.0)
    scores = np.sort(everything.scores)[::-1]
    threshold = float(scores[min(options.objects, len(scores) - 1)])
    return lambda: list(model.predict(str(PHOTO), threshold=threshold)), threshold


def _tensors(folder: Path, photo: np.ndarray) -> dict[str, np.ndarray]:
    """What the graphs are fed with, as the model prepares it."""
    from paddlex.data.transforms.preprocess import Preprocessor
    from paddlex.inference.folder import read_model_folder

    preprocess = Preprocessor(read_model_folder(folder).preprocess, where=str(folder))
    tensors = Preprocessor.stack([preprocess(photo)])
    # Official graphs that classify pixels call their only input x.
    return {**tensors, "x": tensors["image"]}


def _paddle(folder: Path, tensors: dict[str, np.ndarray], *, stock: bool) -> Callable[[], Any]:
    from paddle import inference

    from paddlex.utils.cpu import available_cores

    config = inference.Config(str(folder / "inference.json"), str(folder / "inference.pdiparams"))
    config.disable_glog_info()
    config.disable_mkldnn()  # it crashes on interpolation in 3.3
    if not stock:
        config.enable_new_ir(True)
        config.enable_new_executor(True)
        config.enable_memory_optim()
        config.set_cpu_math_library_num_threads(available_cores())
    predictor = inference.create_predictor(config)

    def run() -> Any:
        for name in predictor.get_input_names():
            predictor.get_input_handle(name).copy_from_cpu(np.ascontiguousarray(tensors[name]))
        predictor.run()
        return [predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()]

    return run


def _onnxruntime(folder: Path, tensors: dict[str, np.ndarray], *, threshold: float) -> Callable[[], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(folder / "inference.onnx"), options, providers=["CPUExecutionProvider"]
    )
    values = {**tensors, "score_threshold": np.array([threshold], np.float32)}
    inputs = {value.name: values[value.name] for value in session.get_inputs()}
    return lambda: session.run(None, inputs)


if __name__ == "__main__":
    main()
